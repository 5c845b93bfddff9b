internal import AuditLog
internal import Authenticator
internal import CTAP
internal import CTAPHID
internal import Configuration
internal import FoundationEssentials
internal import Platform
internal import Policy
internal import TPMKeyStore
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
    /// Of `credentials` and `grantList`: where the page before this one ended.
    var after: Int64?
    /// Of `grantCreate`.
    var grant: GrantMembers?
    /// Of `attestationRespond`, `attestationInstall` and `bootApprove`: the file, JSON as text.
    var file: String?
    /// Of `decommission`: only say what would be done.
    var dryRun: Bool?
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
    /// What to send as `after` for the next page; absent at the end.
    var next: Int64?
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
  /// Bytes of a page of grants: with one of them whose claims and relying parties are as long as may be it fits a frame.
  private static let pageSize = 24_576
  /// A grant's.
  private static let maximumRelyingParties = 64

  /// The daemon's own effective user, which may ask beside root.
  let owner: UInt32
  /// Whose members may ask too; nil for nobody.
  let group: UInt32?
  let engine: AuthenticatorEngine
  let grants: JobGrants
  let executables: MachineReader
  /// nil in tests that have none.
  var keys: TPMKeyStore?
  /// nil in tests that have none.
  var attestation: AttestationKeeper?
  /// The same.
  var boot: BootDesk?
  /// The same.
  var decommissioning: Decommissioning?
  /// The same.
  var changes: (@Sendable () async -> ConfigurationChanges)?
  let status: @Sendable () async -> StatusReport
  let auditLog: @Sendable () async -> AuditReport
  let metrics: @Sendable (RequestTally) async -> String

  /// nil for a stranger.
  func open(_ caller: Caller) async -> Caller? {
    guard caller.mayAdministrate(owner: owner, group: group) else { return nil }
    return caller.asOperator
  }

  func answer(_ command: FrameCommand, _ payload: [UInt8], in session: Caller?) async -> FrameReply {
    switch command {
    case .administration:
      guard let caller = session else {
        return encode(AdminProblem.stranger)
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
      return encode(AdminProblem.noRequest)
    }
    do {
      switch request.request {
      case "status": return encode(await status())
      case "audit": return encode(await auditLog())
      case "configurationChanges":
        guard let changes else { throw AdminProblem(error: "this daemon has no configuration") }
        return encode(await changes())
      case "metrics": return encode(Metrics(metrics: await metrics(await engine.tally)))
      case "credentials":
        let (page, next) = try await engine.credentials(after: request.after, limit: Self.pageCount, for: caller)
        return encode(CredentialPage(credentials: page.map(report), next: next))
      case "credential":
        let found = try await engine.credential(id: try credentialID(request), for: caller)
        return encode(OneCredential(credential: found.map(report)))
      case "grantCreate":
        guard let members = request.grant else { throw AdminProblem(error: "the key \"grant\" is missing") }
        return encode(try await grants.create(try grantRequest(members), by: caller))
      case "grantList": return encode(await grantPage(after: request.after))
      case "grantRevoke":
        guard let id = request.id else { throw AdminProblem(error: "the key \"id\" is missing") }
        return encode(GrantEnd(revoked: await grants.end(id, "it was revoked by uid \(caller.user)", by: caller)))
      case "explain": return .data(JSONValue.object(try await explain(payload)).serialized())
      case "deleteCredential":
        let removed = try await engine.removeCredential(id: try credentialID(request), for: caller)
        return encode(OneCredential(credential: removed.map(report)))
      case "attestationRequest":
        let made = try await enrolling("attestation.request", for: caller) { try await $0.request(for: caller) }
        return encode(FileAnswer(made))
      case "attestationRespond":
        let challenge = try FileAnswer.content(request.file)
        let response = try await enrolling("attestation.respond", for: caller) {
          try await $0.respond(to: challenge, for: caller)
        }
        return encode(FileAnswer(response))
      case "attestationInstall":
        let certificates = try FileAnswer.content(request.file)
        try await enrolling("attestation.install", for: caller) { try await $0.install(certificates) }
        return encode(FileAnswer())
      case "decommission": return encode(try await decommission(request, for: caller))
      case "bootState": return encode(try await bootDesk().answer())
      case "bootApprove":
        let desk = try bootDesk()
        return encode(
          try await recorded(.boot, "boot.approve", for: caller) { try await desk.answer(to: request.file) })
      case "disableCredential": return try await answer(.disabled, to: request, for: caller)
      case "enableCredential": return try await answer(.enabled, to: request, for: caller)
      case "setCredentialOutgoing": return try await answer(.outgoing, to: request, for: caller)
      case "pinCredential": return try await answer(isPinned: true, to: request, for: caller)
      case "unpinCredential": return try await answer(isPinned: false, to: request, for: caller)
      case "renameCredential":
        guard let label = request.label else { throw AdminProblem(error: "the key \"label\" is missing") }
        let renamed = try await engine.setLabel(label, of: try credentialID(request), for: caller)
        return encode(OneCredential(credential: renamed.map(report)))
      default:
        return encode(
          AdminProblem(error: "unknown request \(quoted(request.request)): client and daemon differ in version"))
      }
    } catch {
      return encode(AdminProblem(of: error))
    }
  }

  private func grantPage(after number: Int64?) async -> GrantList {
    var page = GrantList(grants: [])
    var size = 0
    var last: Int64?
    for (number, report) in await grants.list(after: number) {
      if size >= Self.pageSize {
        page.next = last
        break
      }
      if case .data(let bytes) = encode(report) { size += bytes.count + 1 }
      page.grants.append(report)
      last = number
    }
    return page
  }

  private func grantRequest(_ members: GrantMembers) throws -> GrantRequest {
    func refuse(_ what: String) -> AdminProblem { .usage(what) }
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
    guard members.rpIds?.count ?? 0 <= Self.maximumRelyingParties else {
      throw refuse("a grant names at most \(Self.maximumRelyingParties) relying parties")
    }
    var parties: [RelyingPartyPattern] = []
    for text in members.rpIds ?? [] {
      do {
        parties.append(try RelyingPartyPattern(text))
      } catch {
        throw AdminProblem.usage(error.problem, error.advice)
      }
    }
    return GrantRequest(
      rule: members.rule, user: members.uid, lifetime: members.ttl, operations: members.signatures,
      relyingParties: parties, claims: claims, token: members.token, process: members.pid,
      controlGroup: members.cgroup)
  }

  /// Names and values are bounded, since each record of the audit log repeats them.
  private func check(_ claims: [String: String]) throws {
    guard claims.count <= 64 else { throw AdminProblem.usage("a grant has at most 64 claims") }
    for (name, value) in claims {
      guard (1...64).contains(name.utf8.count), name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
        throw AdminProblem.usage("claim \(quoted(name, limit: 64)): a name has 1 to 64 printable ASCII characters")
      }
      guard value.utf8.count <= 1024 else {
        throw AdminProblem.usage("claim \(quoted(name, limit: 64)) is longer than 1024 bytes")
      }
      // Who sees it may believe that a token was verified.
      if name == "iss" { throw AdminProblem.usage("the claim \"iss\" comes from a verified token alone") }
    }
  }

  /// By the rules in force.
  private func explain(_ payload: [UInt8]) async throws -> [String: JSONValue] {
    guard case .object(let members) = try JSONValue.parse(payload) else { return [:] }
    let question = try PolicyQuestion(json: members)
    let inquiry = try await executables.inquiry(question)
    var explanation = await engine.explain(inquiry)
    explanation.warnings += await executables.strangers(question)
    return explanation.json
  }

  private func answer(
    _ state: CredentialState, to request: Request, for caller: Caller
  ) async throws -> FrameReply {
    let changed = try await engine.setState(state, of: try credentialID(request), for: caller)
    return encode(OneCredential(credential: changed.map(report)))
  }

  private func answer(
    isPinned: Bool, to request: Request, for caller: Caller
  ) async throws -> FrameReply {
    guard let keys else { throw AdminProblem(error: "this daemon pins no keys") }
    let changed = try await engine.setPinned(isPinned, of: try credentialID(request), for: caller) {
      key throws(KeyStoreError) in
      if isPinned { try await keys.pin(key) } else { try await keys.unpin(key.binding) }
    }
    return encode(OneCredential(credential: changed.map(report)))
  }

  /// With what the TPM has of it.
  private func report(_ credential: Credential) -> CredentialReport {
    var report = CredentialReport(credential)
    if let pin = keys?.status.pins?.pins.first(where: { $0.binding == credential.key.binding }) {
      report.pinned = pin.byOperator ? "operator" : "use"
    }
    return report
  }

  private func credentialID(_ request: Request) throws(AdminProblem) -> [UInt8] {
    guard let text = request.id, let id = Base64URL.decode(text) else {
      throw AdminProblem(error: "the key \"id\" is not a credential ID in base64url")
    }
    return id
  }

  /// A step of the enrolment, once its record is durable.
  private func enrolling<Answer: Sendable>(
    _ step: String, for caller: Caller, _ take: (AttestationKeeper) async throws -> Answer
  ) async throws -> Answer {
    guard let attestation else { throw AdminProblem(error: "this daemon has no attestation") }
    return try await recorded(.attestation, step, for: caller) { try await take(attestation) }
  }

  /// An act, once its record is durable; where it fails, a second record says so.
  private func recorded<Answer: Sendable>(
    _ operation: AuditRecord.Operation, _ detail: String, for caller: Caller, _ act: () async throws -> Answer
  ) async throws -> Answer {
    try await engine.recordOperatorAct(operation, detail, for: caller)
    do {
      return try await act()
    } catch {
      try await engine.recordOperatorAct(operation, detail, for: caller, failure: "\(error)")
      throw error
    }
  }

  /// Not for the group: nothing of it can be undone.
  private func decommission(_ request: Request, for caller: Caller) async throws -> DecommissionReport {
    guard let decommissioning else { throw AdminProblem(error: "this daemon cannot be decommissioned") }
    guard caller.user == 0 || caller.user == owner else { throw AdminProblem.rootOnly }
    if request.dryRun == true { return try await decommissioning.prospect() }
    return try await decommissioning.run(for: caller)
  }

  private func bootDesk() throws(AdminProblem) -> BootDesk {
    guard let boot else { throw AdminProblem(error: "this daemon has no boot state") }
    return boot
  }

  private func encode(_ value: some Encodable) -> FrameReply { AdminAnswer.encode(value) }
}
