import AuditLog
import Authenticator
import CTAP
import Crypto
import Policy
import WebAuthn

extension EngineWitness {
  // MARK: Credential management

  mutating func take(
    _ managed: CredentialManagementResponse, to parameters: CredentialManagementRequest, _ request: EngineRequest,
    _ records: [AuditRecord], _ now: UInt64
  ) throws {
    let subcommand = try require(
      CredentialManagementSubcommand(rawValue: parameters.subCommand), "only what is served succeeds")
    try checkCoverage(managed, request)
    let isNext = subcommand == .enumerateRPsGetNextRP || subcommand == .enumerateCredentialsGetNextCredential
    let grant = isNext ? nil : try managementGrant(subcommand, parameters, request)
    switch subcommand {
    case .getCredsMetadata:
      try require(grant?.relyingPartyID == nil, "a token of one RP ID does not count all")
      let count = living.count { isManageable($0, request) }
      try require(
        managed.existingResidentCredentialsCount ?? -1 <= count, "only credentials that the caller may manage count")
    case .enumerateRPsBegin:
      try require(grant?.relyingPartyID == nil, "a token of one RP ID does not list all")
      try begin(.relyingParties, managed.totalRPs, managed.relyingPartyIDHash, request, now)
    case .enumerateCredentialsBegin:
      let hash = try require(parameters.parameters?.relyingPartyIDHash, "credentials of an RP ID are asked for")
      try begin(
        .credentials(relyingPartyIDHash: hash), managed.totalCredentials, managed.credentialID?.id, request, now)
    case .enumerateRPsGetNextRP: try goOn(with: managed.relyingPartyIDHash, request, now)
    case .enumerateCredentialsGetNextCredential: try goOn(with: managed.credentialID?.id, request, now)
    case .deleteCredential, .updateUserInformation:
      let id = try require(parameters.parameters?.credentialID?.id, "a credential is named")
      try require(isManageable(id, request), "only who may manage a credential changes it")
      let isRemoved = subcommand == .deleteCredential
      try require(
        request.isRecorded(.manage, isRemoved ? "credential.delete" : "credential.update", in: records),
        "a change of credentials has a record")
      if isRemoved { remove(id) }
    }
  }

  private func managementGrant(
    _ subcommand: CredentialManagementSubcommand, _ parameters: CredentialManagementRequest, _ request: EngineRequest
  ) throws -> Grant {
    let grant = try require(request.grant, "credential management asks for a token that is right")
    let isReading = subcommand != .deleteCredential && subcommand != .updateUserInformation
    if grant.isPersistent {
      try require(isReading, "the persistent token only reads")
      return grant
    }
    let scope = grant.relyingPartyID.map(Scope.relyingParty) ?? .all
    return try pin.checkGrant(request, .credentialManagement, .manage, scope)
  }

  private func isManageable(_ id: [UInt8], _ request: EngineRequest) -> Bool {
    guard let known = made[id], known.isDiscoverable, let relyingPartyID = known.relyingPartyID else { return false }
    return request.isAllowed(.manage, .relyingParty(relyingPartyID))
  }

  /// No result is outside what the caller's rules cover, or another RP ID's than its token's.
  private func checkCoverage(_ managed: CredentialManagementResponse, _ request: EngineRequest) throws {
    if let relyingParty = managed.relyingParty {
      try require(
        request.isAllowed(.manage, .relyingParty(relyingParty.id)), "a relying party is shown to who may manage it")
      try require(
        managed.relyingPartyIDHash == SHA256.hash(Array(relyingParty.id.utf8)), "a relying party comes with its hash")
    }
    guard let id = managed.credentialID?.id else { return }
    try require(isManageable(id, request), "a credential is shown to who may manage it")
    try require(managed.credProtect == made[id]?.protection, "a credential is shown with its protection")
    if let bound = request.grant?.relyingPartyID {
      try require(made[id]?.relyingPartyID == bound, "a token of one RP ID shows its credentials only")
    }
  }

  private mutating func begin(
    _ kind: Walk.Kind, _ total: Int?, _ first: [UInt8]?, _ request: EngineRequest, _ now: UInt64
  ) throws {
    let first = try require(first, "an enumeration has a first one")
    let total = try require(total, "an enumeration is counted")
    try require(total > 0, "an enumeration has one at least")
    walks[request.caller.connection] = Walk(
      kind: kind, remaining: total - 1, given: [first], deadline: now + 30_000_000_000)
  }

  private mutating func goOn(with next: [UInt8]?, _ request: EngineRequest, _ now: UInt64) throws {
    var walk = try require(request.walk, "an enumeration goes on with what its own connection began")
    let next = try require(next, "an enumeration goes on with another one")
    switch walk.kind {
    case .assertions: throw Finding("assertions do not go on with management")
    case .relyingParties: break
    case .credentials(let hash):
      try require(made[next]?.relyingPartyIDHash == hash, "an enumeration stays with its RP ID")
    }
    try require(walk.remaining > 0 && request.time <= walk.deadline, "an enumeration comes to its end")
    try require(walk.given.insert(next).inserted, "an enumeration gives each one once")
    walk.remaining -= 1
    walk.deadline = now + 30_000_000_000
    walks[request.caller.connection] = walk
  }

  // MARK: Large blobs

  func take(_ parameters: LargeBlobsRequest, _ request: EngineRequest) throws {
    guard parameters.set != nil else {
      return try require(request.books.contains { $0.recognises(request.caller) }, "large blobs are for known callers")
    }
    try require(request.isAllowed(.manage, .all), "large blobs are written by whom a rule lets manage everything")
    if parameters.pinUvAuthParam == nil {
      try require(
        pin.mayBeUnprotected(request) && !request.needsVerification, "a PIN or a rule protects the large blobs")
    } else {
      _ = try pin.checkGrant(request, .largeBlobWrite, .manage, .all)
    }
  }

  static func checkLargeBlobs(_ stored: [UInt8]) throws {
    let content = Array(stored.dropLast(16))
    try require(
      stored.count >= 17 && stored.count <= AuthenticatorLimits.maximumLargeBlobs
        && Array(SHA256.hash(content).prefix(16)) == Array(stored.suffix(16)),
      "the large-blob array is whole and its hash is right")
  }

  // MARK: U2F

  mutating func takeU2F(_ reply: [UInt8], _ request: EngineRequest, _ records: [AuditRecord]) throws {
    try require(reply.count >= 2, "a reply has a status word")
    let status = U2FStatus(rawValue: reply.suffix(2).reduce(0) { $0 << 8 | UInt16($1) })
    guard status == .noError else {
      try require(reply.count == 2, "a refusal is a status word alone")
      return try require(u2fStatuses.contains(status), "\(status) is no status word of this authenticator")
    }
    let data = Array(reply.dropLast(2))
    switch try require(request.u2f, "what is no request has no success") {
    case .version: try require(data == Array("U2F_V2".utf8), "the version is U2F_V2")
    case .register(let challenge, let application):
      try takeRegistration(data, challenge, application, request, records)
    case .authenticate(let control, let challenge, let application, let keyHandle):
      try require(control != .checkOnly, "a check signs nothing")
      try checkU2F(.authenticate, application, request)
      let known = try require(made[keyHandle], "a key handle was given out here")
      try require(known.relyingPartyIDHash == application, "a key handle is of its own application")
      try require(known.protection < 3, "a credential of level 3 does not sign by U2F")
      try require(data.count == 5 + signatureCount, "an authentication is presence, counter and signature")
      let present: UInt8 = control == .enforceUserPresence ? 1 : 0
      try require(data[0] == present, "presence is what was asked for")
      let signed = AuthenticatorData(
        relyingPartyIDHash: application, flags: present == 1 ? [.up] : [],
        signatureCounter: data[1..<5].reduce(0) { $0 << 8 | UInt32($1) })
      try checkSignature(
        Signed(
          data: signed, bytes: signed.encoded(), signature: Array(data.dropFirst(5)), id: keyHandle,
          relyingPartyID: known.relyingPartyID, clientDataHash: challenge, operation: .authenticate, detail: "u2f"),
        request, records)
    }
  }

  private func checkU2F(_ operation: Policy.Operation, _ application: [UInt8], _ request: EngineRequest) throws {
    try require(!request.needsVerification, "U2F ends where verification is always wanted")
    try require(request.isAllowed(operation, .application(application)), "U2F needs a rule")
  }

  private mutating func takeRegistration(
    _ data: [UInt8], _ challenge: [UInt8], _ application: [UInt8], _ request: EngineRequest, _ records: [AuditRecord]
  ) throws {
    try checkU2F(.register, application, request)
    try require(data.count > 67 + 16 + signatureCount && data[0] == 5 && data[66] == 16, "a registration has its parts")
    let (point, id) = (Array(data[1..<66]), Array(data[67..<83]))
    try add(
      id, Made(relyingPartyIDHash: application, relyingPartyID: nil, isDiscoverable: false, protection: 1))
    let certificate = data[83...].dropLast(signatureCount)
    let empty = AuthenticatorData(relyingPartyIDHash: application, flags: [], signatureCounter: 0)
    // What the certificate's own signature is over, the unsigned part, is the tests' of the certificate to check.
    try require(certificate.starts(with: [0x30]), "a certificate is a SEQUENCE")
    for (detail, signature) in [("u2f certificate", nil), ("u2f", Array(data.suffix(signatureCount)))] {
      try checkSignature(
        Signed(
          data: empty, bytes: [], signature: signature, id: id, relyingPartyID: nil, clientDataHash: challenge,
          operation: .register, detail: detail, message: [0] + application + challenge + id + point,
          isCounted: false), request, records)
    }
  }
}

/// Of the key store in memory: a shell, the key's number and a SHA-256 hash.
private let signatureCount = 2 + 1 + 32

private let u2fStatuses: Set<U2FStatus> = [
  .wrongLength, .conditionsNotSatisfied, .commandNotAllowed, .wrongData, .incorrectParameters, .classNotSupported,
  .instructionNotSupported, .unknown,
]
