internal import Authenticator
internal import CTAP
internal import CTAPHID
internal import Configuration
internal import FoundationEssentials
internal import Platform
internal import Policy
internal import Transports
internal import WebAuthn

/// The operator's socket: one JSON request a frame and one JSON answer, or a CTAP2 message as on the jobs' socket, which
/// may manage everything and sign nothing. Only root, the daemon's own user and the configured group can open it; the
/// kernel checks that, and this checks it again.
struct AdminService: FrameService {
  private struct Request: Codable {
    var request: String
    /// Of every request about one credential: its ID, base64url.
    var id: String?
    /// Of `renameCredential`.
    var label: String?
    /// Of `credentials`: where the page before this one ended.
    var after: Int64?
    /// Of `grantCreate`.
    var grant: GrantMembers?
    /// Of `attestationRespond` and `attestationInstall`: the file, JSON as text.
    var file: String?
  }

  private struct FileAnswer: Codable {
    /// JSON as text; nil where there is nothing to pass on.
    var file: String?
  }

  private struct Problem: Codable, Error {
    var error: String
  }

  private struct CredentialPage: Codable {
    var credentials: [CredentialReport]
    /// What to send as `after` for the next page; absent at the end.
    var next: Int64?
  }

  /// What a grant is asked to be, in the words of the command line.
  private struct GrantMembers: Codable {
    var rule: String
    var uid: UInt32
    /// Seconds.
    var ttl: UInt64
    var signatures: Int?
    var rpIds: [String]?
    var claims: [String: String]?
    var token: String?
    var pid: Int32?
    var cgroup: String?
  }

  private struct GrantList: Codable {
    var grants: [GrantReport]
  }

  private struct GrantEnd: Codable {
    /// Whether there was one.
    var revoked: Bool
  }

  private struct Metrics: Codable {
    /// OpenMetrics text.
    var metrics: String
  }

  private struct OneCredential: Codable {
    /// nil where there is none with that ID.
    var credential: CredentialReport?
  }

  /// Fit a frame with the longest names.
  private static let pageCount = 50

  /// The daemon's own effective user, which may ask beside root.
  let owner: UInt32
  /// Whose members may ask too; nil for nobody.
  let group: UInt32?
  let engine: AuthenticatorEngine
  let grants: JobGrants
  let executables: MachineReader
  /// nil in tests that have none.
  var attestation: AttestationKeeper?
  let status: @Sendable () async -> StatusReport
  let auditLog: @Sendable () async -> AuditReport
  let metrics: @Sendable (RequestTally) async -> String

  /// nil for a stranger.
  func open(_ caller: Caller) async -> Caller? {
    let isMember = group.map { caller.group == $0 || caller.supplementaryGroups.contains($0) } ?? false
    guard caller.user == 0 || caller.user == owner || isMember else { return nil }
    return caller.asOperator
  }

  func answer(_ command: FrameCommand, _ payload: [UInt8], in session: Caller?) async -> FrameReply {
    switch command {
    case .administration:
      guard let caller = session else {
        return encode(Problem(error: "only root, the service's own user and the group of adminGroup may ask"))
      }
      return await answer(payload, for: caller)
    case .cbor:
      guard let caller = session else { return .data(CTAPStatus.notAllowed.encoded()) }
      return .data(await engine.respond(to: payload, from: caller))
    default: return .error(.invalidCommand)
    }
  }

  func close(_ session: Caller?) async {
    if let session { await engine.close(session) }
  }

  private func answer(_ payload: [UInt8], for caller: Caller) async -> FrameReply {
    guard let request = try? JSONDecoder().decode(Request.self, from: Data(payload)) else {
      return encode(Problem(error: "the request is not a JSON object with the key \"request\""))
    }
    do {
      switch request.request {
      case "status": return encode(await status())
      case "audit": return encode(await auditLog())
      case "metrics": return encode(Metrics(metrics: await metrics(await engine.tally)))
      case "credentials":
        let (page, next) = try await engine.credentials(after: request.after, limit: Self.pageCount, for: caller)
        return encode(CredentialPage(credentials: page.map(CredentialReport.init), next: next))
      case "credential":
        let found = try await engine.credential(id: try credentialID(request), for: caller)
        return encode(OneCredential(credential: found.map(CredentialReport.init)))
      case "grantCreate":
        guard let members = request.grant else { throw Problem(error: "the key \"grant\" is missing") }
        return encode(try await grants.create(try grantRequest(members), by: caller))
      case "grantList": return encode(GrantList(grants: await grants.list()))
      case "grantRevoke":
        guard let id = request.id else { throw Problem(error: "the key \"id\" is missing") }
        return encode(GrantEnd(revoked: await grants.end(id, "it was revoked by uid \(caller.user)", by: caller)))
      case "explain": return .data(JSONValue.object(try await explain(payload)).serialized())
      case "deleteCredential":
        let removed = try await engine.removeCredential(id: try credentialID(request), for: caller)
        return encode(OneCredential(credential: removed.map(CredentialReport.init)))
      case "attestationRequest":
        let made = try await enrolling("attestation.request", for: caller) { try await $0.request(for: caller) }
        return encode(FileAnswer(file: text(made)))
      case "attestationRespond":
        let challenge = try file(request)
        let response = try await enrolling("attestation.respond", for: caller) {
          try await $0.respond(to: challenge, for: caller)
        }
        return encode(FileAnswer(file: text(response)))
      case "attestationInstall":
        let certificates = try file(request)
        try await enrolling("attestation.install", for: caller) { try await $0.install(certificates) }
        return encode(FileAnswer())
      case "disableCredential": return try await answer(.disabled, to: request, for: caller)
      case "enableCredential": return try await answer(.enabled, to: request, for: caller)
      case "setCredentialOutgoing": return try await answer(.outgoing, to: request, for: caller)
      case "renameCredential":
        guard let label = request.label else { throw Problem(error: "the key \"label\" is missing") }
        let renamed = try await engine.setLabel(label, of: try credentialID(request), for: caller)
        return encode(OneCredential(credential: renamed.map(CredentialReport.init)))
      default:
        return encode(Problem(error: "unknown request \(quoted(request.request)): client and daemon differ in version"))
      }
    } catch let problem as Problem {
      return encode(problem)
    } catch {
      return encode(Problem(error: "\(error)"))
    }
  }

  private func grantRequest(_ members: GrantMembers) throws -> GrantRequest {
    func refuse(_ what: String) -> Problem { Problem(error: what) }
    guard JobGrants.lifetimes.contains(members.ttl) else {
      throw refuse("a grant lives from \(JobGrants.lifetimes.lowerBound) to \(JobGrants.lifetimes.upperBound) seconds")
    }
    if let count = members.signatures, !(1...1_000_000_000).contains(count) {
      throw refuse("the number of signatures is not one from 1 to 1000000000")
    }
    if members.uid == .max { throw refuse("nobody has uid \(members.uid)") }
    if members.pid != nil, members.cgroup != nil { throw refuse("one of pid and cgroup can end a grant, not both") }
    let claims = members.claims ?? [:]
    if members.token != nil, !claims.isEmpty {
      throw refuse("the claims of a grant come from a token or from whoever makes it, not from both")
    }
    try check(claims)
    var parties: [RelyingPartyPattern] = []
    for text in members.rpIds ?? [] {
      do {
        parties.append(try RelyingPartyPattern(text))
      } catch {
        throw refuse("\(error.problem): \(error.advice)")
      }
    }
    return GrantRequest(
      rule: members.rule, user: members.uid, lifetime: members.ttl, operations: members.signatures,
      relyingParties: parties, claims: claims, token: members.token, process: members.pid,
      controlGroup: members.cgroup)
  }

  /// Names and values are bounded, since each record of the audit log repeats them.
  private func check(_ claims: [String: String]) throws {
    guard claims.count <= 64 else { throw Problem(error: "a grant has at most 64 claims") }
    for (name, value) in claims {
      guard (1...64).contains(name.utf8.count), name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
        throw Problem(error: "claim \(quoted(name, limit: 64)): a name has 1 to 64 printable ASCII characters")
      }
      guard value.utf8.count <= 1024 else {
        throw Problem(error: "claim \(quoted(name, limit: 64)) is longer than 1024 bytes")
      }
      // Who sees it may believe that a token was verified.
      if name == "iss" { throw Problem(error: "the claim \"iss\" comes from a verified token alone") }
    }
  }

  /// By the rules in force.
  private func explain(_ payload: [UInt8]) async throws -> [String: JSONValue] {
    guard case .object(let members) = try JSONValue.parse(payload) else { return [:] }
    let inquiry = try await executables.inquiry(try PolicyQuestion(json: members))
    return await engine.explain(inquiry).json
  }

  private func answer(
    _ state: CredentialState, to request: Request, for caller: Caller
  ) async throws -> FrameReply {
    let changed = try await engine.setState(state, of: try credentialID(request), for: caller)
    return encode(OneCredential(credential: changed.map(CredentialReport.init)))
  }

  private func credentialID(_ request: Request) throws(Problem) -> [UInt8] {
    guard let text = request.id, let id = Base64URL.decode(text) else {
      throw Problem(error: "the key \"id\" is not a credential ID in base64url")
    }
    return id
  }

  /// A step of the enrolment, once its record is durable.
  private func enrolling<Answer: Sendable>(
    _ step: String, for caller: Caller, _ take: (AttestationKeeper) async throws -> Answer
  ) async throws -> Answer {
    guard let attestation else { throw Problem(error: "this daemon has no attestation") }
    try await engine.recordOperatorAct("attestation", step, for: caller)
    do {
      return try await take(attestation)
    } catch {
      try await engine.recordOperatorAct("attestation", step, for: caller, failure: "\(error)")
      throw error
    }
  }

  private func file(_ request: Request) throws(Problem) -> JSONValue {
    guard let text = request.file, let value = try? JSONValue.parse(Array(text.utf8)) else {
      throw Problem(error: "the key \"file\" is no JSON as text")
    }
    return value
  }

  private func text(_ file: JSONValue) -> String { String(decoding: file.serialized(), as: UTF8.self) }

  private func encode(_ value: some Encodable) -> FrameReply {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(value) else { return .error(.other) }
    return .data(Array(data))
  }
}
