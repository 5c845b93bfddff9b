import AuditLog
import Authenticator
import CBOR
import CTAP
import Crypto
import Policy
import Secrets
import WebAuthn

/// What must be true of the answers of an authenticator, from what was asked and answered before alone.
struct EngineWitness {
  /// Why the user counts as verified.
  enum Verification {
    case none
    case pin
    case policy
  }

  /// What a connection may still ask of the command that goes on with the last one.
  struct Walk {
    enum Kind {
      case assertions(relyingPartyID: String, clientDataHash: [UInt8], verification: Verification)
      case relyingParties
      case credentials(relyingPartyIDHash: [UInt8])
    }

    let kind: Kind
    var remaining: Int
    var given: Set<[UInt8]>
    var deadline: UInt64
  }

  /// What a credential was made as.
  struct Made {
    let relyingPartyIDHash: [UInt8]
    /// nil where it was made by U2F.
    let relyingPartyID: String?
    let isDiscoverable: Bool
    /// credProtect.
    let protection: UInt64
  }

  /// Every credential ID that was ever given out, in order.
  private(set) var known: [[UInt8]] = []
  private(set) var made: [[UInt8]: Made] = [:]
  var pin = PINWitness()
  /// Whether a record may be missing.
  var auditMayFail = false
  var walks: [UInt64: Walk] = [:]
  /// The credentials that must be there; a discoverable one may be replaced.
  private(set) var living: Set<[UInt8]> = []
  private var counters: Set<UInt32> = []
  /// Places in the audit log of the records that a signature went out with.
  private var used: Set<Int> = []
  /// Outputs of hmac-secret: by credential, verification and salt.
  private var secrets: [[UInt8]: [UInt8]] = [:]

  mutating func begin(_ request: EngineRequest) {
    // Whatever it is, it takes the walk with it; of U2F only what is a message.
    if !request.isU2F || request.u2f != nil {
      request.walk = walks.removeValue(forKey: request.caller.connection)
    }
    pin.begin(request)
  }

  mutating func end(_ connection: UInt64) {
    walks[connection] = nil
    pin.end(connection)
  }

  mutating func restart() {
    walks = [:]
    pin.restart()
  }

  /// Looks at answers that arrived together, in whatever order.
  mutating func take(_ answers: [EngineAnswer], _ records: [AuditRecord], now: UInt64) throws {
    var hasReset = false
    for answer in answers {
      let request = answer.request
      if request.isU2F {
        try takeU2F(answer.reply, request, records)
        continue
      }
      let status = try status(of: answer)
      guard status == .ok else {
        try pin.take(request, status, nil)
        continue
      }
      let decoded = try require(request.decoded, "what is no request has no success")
      let response: CTAPResponse
      do throws(CTAPReplyError) {
        response = try CTAPResponse.decode(answer.reply, to: decoded.command)
      } catch {
        throw Finding("a client can read the reply: \(error)")
      }
      try require(response.encoded() == answer.reply, "a reply is in canonical form")
      try pin.take(request, status, response)
      try take(response, to: decoded, request, records, now)
      if decoded == .reset { hasReset = true }
    }
    // A reset waits for all others, so that whatever came with it was before it.
    guard hasReset else { return }
    (living, walks, secrets) = ([], [:], [:])
    pin.reset()
  }

  private mutating func take(
    _ response: CTAPResponse, to decoded: CTAPRequest, _ request: EngineRequest, _ records: [AuditRecord],
    _ now: UInt64
  ) throws {
    switch (decoded, response) {
    case (.makeCredential(let parameters), .makeCredential(let made)):
      try take(made, to: parameters, request, records)
    case (.getAssertion(let parameters), .assertion(let assertion)):
      try take(assertion, to: parameters, request, records, now)
    case (.getNextAssertion, .assertion(let assertion)):
      try take(assertion, request, records, now)
    case (.reset, .done):
      try require(request.isAllowed(.reset, .all), "a reset needs a rule")
      try require(request.isRecorded(.reset, nil, in: records), "a reset has an audit record")
    case (.selection, .done):
      try require(request.books.contains { $0.recognises(request.caller) }, "selection is for known callers")
    case (.getInfo, .info): break
    case (.clientPIN(let parameters), .clientPIN):
      let detail = [3: "pin.set", 4: "pin.change"][parameters.subCommand]
      if let detail { try require(request.isRecorded(.manage, detail, in: records), "a new PIN has a record") }
    case (.config(let parameters), .done):
      let detail = parameters.subCommand == 2 ? "config.toggleAlwaysUv" : "config.setMinPINLength"
      try require(request.isRecorded(.manage, detail, in: records), "a change of settings has a record")
    case (.credentialManagement(let parameters), .credentialManagement(let managed)):
      try take(managed, to: parameters, request, records, now)
    case (.largeBlobs(let parameters), .largeBlobs): try take(parameters, request)
    default: throw Finding("a reply belongs to its request")
    }
  }

  private func status(of answer: EngineAnswer) throws -> CTAPStatus {
    let status = CTAPStatus(rawValue: try require(answer.reply.first, "a reply has a status"))
    try require(answer.reply.count <= AuthenticatorLimits.maximumMessageSize, "a reply is no longer than getInfo says")
    if status == .ok { return status }
    try require(answer.reply.count == 1, "a refusal is a status alone")
    try require(engineStatuses.contains(status), "\(status) is no status of this authenticator")
    return status
  }

  mutating func add(_ id: [UInt8], _ credential: Made) throws {
    try require(!known.contains(id), "a credential ID is new")
    known.append(id)
    made[id] = credential
    living.insert(id)
  }

  /// It has been removed, and nothing signs with it any more.
  mutating func remove(_ id: [UInt8]) {
    living.remove(id)
  }

  /// hmac-secret gives the same for the same, and other than for verified users for others.
  mutating func checkSecrets(
    _ encrypted: [UInt8], of id: [UInt8], isVerified: Bool, _ request: EngineRequest
  ) throws {
    guard let agreement = request.authored.agreement, let salts = request.authored.salts else { return }
    guard let outputs = try? agreement.secret.decrypt(encrypted) else { return }
    try require(outputs.count == salts.count, "each salt has its output")
    let clear = outputs.reveal { span in span.indices.map { span[$0] } }
    for start in stride(from: 0, to: clear.count, by: 32) {
      let (salt, output) = (salts[start..<start + 32], Array(clear[start..<start + 32]))
      let known = secrets.updateValue(output, forKey: [isVerified ? 1 : 0] + id + salt)
      try require(known ?? output == output, "the same salt gives the same output")
      try require(secrets[[isVerified ? 0 : 1] + id + salt] != output, "verified users have outputs of their own")
    }
  }

  // MARK: Signatures

  struct Signed {
    let data: AuthenticatorData
    let bytes: [UInt8]
    /// nil where nothing is attested.
    let signature: [UInt8]?
    let id: [UInt8]
    /// nil where U2F only knows the hash.
    let relyingPartyID: String?
    let clientDataHash: [UInt8]
    let operation: AuditRecord.Operation
    var detail: String?
    /// What is signed, where it is not authenticator data and the client data's hash.
    var message: [UInt8]?
    var isCounted = true
  }

  /// A registration that has another credential make way says which.
  private static func says(_ detail: String?, _ signed: Signed) -> Bool {
    detail == signed.detail
      || signed.operation == .register && signed.detail == nil && detail?.hasPrefix("replaces ") == true
  }

  /// The signature is over what the reply says, and exactly one audit record says the same.
  mutating func checkSignature(_ signed: Signed, _ request: EngineRequest, _ records: [AuditRecord]) throws {
    let message = signed.message ?? signed.bytes + signed.clientDataHash
    if let signature = signed.signature {
      // The key store in memory signs with the digest, after a shell and the key's number.
      let digest = Array(signature.dropFirst(3))
      try require(
        digest == SHA256.hash(message) || digest == SHA384.hash(message),
        "the signature is over the authenticator data and the client data's hash")
    }
    let counter = signed.data.signatureCounter
    if signed.isCounted {
      try require(counter == 0 || counters.insert(counter).inserted, "a signature counter is used once")
    }
    let place = records.indices[request.firstRecord...].first { index in
      let record = records[index]
      return !used.contains(index) && record.outcome == .allowed && record.operation == signed.operation
        && record.connection == request.caller.connection && record.user == request.caller.user
        && record.credentialID == signed.id && record.relyingPartyID == signed.relyingPartyID
        && record.clientDataHash == signed.clientDataHash && EngineWitness.says(record.detail, signed)
        && (!signed.isCounted || record.signatureCounter == counter && record.flags == signed.data.flags.rawValue)
    }
    used.insert(try require(place, "no signature without its audit record"))
  }

  // MARK: What is left

  /// What is in the store once no request is under way.
  mutating func checkStore(_ credentials: [Credential]) throws {
    let ids = Set(credentials.map(\.id))
    try require(ids.isSubset(of: living), "what was not answered for is not in the store")
    try require(
      living.subtracting(ids).allSatisfy { made[$0]?.isDiscoverable ?? false },
      "only a discoverable credential is replaced")
    let users = credentials.filter(\.isDiscoverable).map { $0.key.binding.relyingPartyIDHash + $0.userHandle }
    try require(Set(users).count == users.count, "a user has one discoverable credential of an RP ID")
    for credential in credentials {
      try require(
        UInt64(credential.protection.rawValue) == made[credential.id]?.protection, "the protection asked for is kept")
    }
    living = ids
  }

  /// Every permission to sign is followed by the signature, or by the record that there was none.
  func checkRecords(_ records: [AuditRecord]) throws {
    guard !auditMayFail else { return }
    for (index, record) in records.enumerated()
    where record.outcome == .allowed && record.clientDataHash != nil && !used.contains(index) {
      try require(
        records[(index + 1)...].contains {
          $0.outcome == .failed && $0.connection == record.connection && $0.credentialID == record.credentialID
        }, "a signature that did not go out is recorded as failed")
    }
  }
}

private let engineStatuses: Set<CTAPStatus> = [
  .invalidCommand, .invalidParameter, .invalidLength, .invalidSeq, .timeout, .channelBusy, .cborUnexpectedType,
  .invalidCBOR,
  .missingParameter, .limitExceeded, .largeBlobStorageFull, .credentialExcluded, .unsupportedAlgorithm,
  .operationDenied, .keyStoreFull, .unsupportedOption, .invalidOption, .keepaliveCancel, .noCredentials, .notAllowed,
  .pinInvalid, .pinBlocked, .pinAuthInvalid, .pinAuthBlocked, .pinNotSet, .puatRequired, .pinPolicyViolation,
  .requestTooLarge, .uvBlocked, .integrityFailure, .invalidSubcommand, .unauthorizedPermission, .other,
  .tpmUnavailable, .storageUnavailable, .auditUnavailable,
]
