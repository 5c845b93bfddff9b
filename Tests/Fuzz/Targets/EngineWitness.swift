import AuditLog
import Authenticator
import CBOR
import CTAP
import Crypto
import Policy
import WebAuthn

/// A request on its way.
final class EngineRequest {
  let message: [UInt8]
  let caller: Caller
  /// nil where the message is none.
  let decoded: CTAPRequest?
  /// Every policy that was in force meanwhile.
  var books: [RuleBook]
  /// How many records there were before it.
  let firstRecord: Int
  /// Monotonic nanoseconds.
  let time: UInt64
  /// What was left by the getAssertion before it.
  var walk: EngineWitness.Walk?
  var isCancelled = false

  init(message: [UInt8], caller: Caller, books: [RuleBook], firstRecord: Int, time: UInt64) {
    self.message = message
    self.caller = caller
    self.books = books
    self.firstRecord = firstRecord
    self.time = time
    decoded = message.count <= AuthenticatorLimits.maximumMessageSize ? try? CTAPRequest.decode(message) : nil
  }

  /// Whether a policy that was in force allows it.
  func isAllowed(_ operation: Policy.Operation, _ relyingPartyID: String?) -> Bool {
    books.contains { book in
      do {
        _ = try book.judge(caller, operation, relyingPartyID: relyingPartyID)
        return true
      } catch {
        return false
      }
    }
  }
}

struct EngineAnswer {
  let request: EngineRequest
  let reply: [UInt8]
}

/// What must be true of the answers of an authenticator, from what was asked and answered before alone.
struct EngineWitness {
  /// What a connection may still ask of getNextAssertion.
  struct Walk {
    let relyingPartyID: String
    let clientDataHash: [UInt8]
    var remaining: Int
    var given: Set<[UInt8]>
    var deadline: UInt64
  }

  /// Every credential ID that was ever given out, in order.
  private(set) var known: [[UInt8]] = []
  /// Whether a record may be missing.
  var auditMayFail = false
  private var walks: [UInt64: Walk] = [:]
  /// The credentials that must be there; a discoverable one may be replaced.
  private var living: Set<[UInt8]> = []
  private var discoverable: Set<[UInt8]> = []
  private var counters: Set<UInt32> = []
  /// Places in the audit log of the records that a signature went out with.
  private var used: Set<Int> = []

  mutating func begin(_ request: EngineRequest) {
    // Whatever it is, it takes the walk with it.
    request.walk = walks.removeValue(forKey: request.caller.connection)
  }

  mutating func end(_ connection: UInt64) {
    walks[connection] = nil
  }

  /// Looks at answers that arrived together, in whatever order.
  mutating func take(_ answers: [EngineAnswer], _ records: [AuditRecord], now: UInt64) throws {
    let successes = try answers.filter { try isSuccess($0) }
    for answer in successes {
      let request = answer.request
      let decoded = try require(request.decoded, "what is no request has no success")
      let response: CTAPResponse
      do throws(CTAPReplyError) {
        response = try CTAPResponse.decode(answer.reply, to: decoded.command)
      } catch {
        throw Finding("a client can read the reply: \(error)")
      }
      try require(response.encoded() == answer.reply, "a reply is in canonical form")
      switch (decoded, response) {
      case (.makeCredential(let parameters), .makeCredential(let made)):
        try take(made, to: parameters, request, records)
      case (.getAssertion(let parameters), .assertion(let assertion)):
        try take(assertion, to: parameters, request, records, now)
      case (.getNextAssertion, .assertion(let assertion)):
        try take(assertion, request, records, now)
      case (.reset, .done):
        try require(request.isAllowed(.reset, nil), "a reset needs a rule")
        try require(
          records[request.firstRecord...].contains {
            $0.outcome == .allowed && $0.operation == "reset" && $0.connection == request.caller.connection
          }, "a reset has an audit record")
      case (.selection, .done):
        try require(request.books.contains { $0.recognises(request.caller) }, "selection is for known callers")
      case (.getInfo, .info): break
      default: throw Finding("a reply belongs to its request")
      }
    }
    // A reset waits for all others, so that whatever came with it was before it.
    if successes.contains(where: { $0.request.decoded == .reset }) { (living, walks) = ([], [:]) }
  }

  private func isSuccess(_ answer: EngineAnswer) throws -> Bool {
    let status = CTAPStatus(rawValue: try require(answer.reply.first, "a reply has a status"))
    try require(answer.reply.count <= AuthenticatorLimits.maximumMessageSize, "a reply is no longer than getInfo says")
    if status == .ok { return true }
    try require(answer.reply.count == 1, "a refusal is a status alone")
    try require(engineStatuses.contains(status), "\(status) is no status of this authenticator")
    return false
  }

  // MARK: Signatures

  private mutating func take(
    _ made: MakeCredentialResponse, to parameters: MakeCredentialRequest, _ request: EngineRequest,
    _ records: [AuditRecord]
  ) throws {
    try require(request.isAllowed(.register, parameters.relyingParty.id), "a registration needs a rule")
    let data = try AuthenticatorData.decode(made.authenticatorData)
    let credential = try require(data.attestedCredential, "a registration has a credential")
    try require(data.flags == [.up, .at], "no other flags than of presence and credential")
    guard case .bytes(let signature)? = made.attestationStatement["sig"] else {
      throw Finding("packed attestation has a signature")
    }
    try require(!known.contains(credential.credentialID), "a credential ID is new")
    try require(
      parameters.parameters.contains { $0.algorithm == credential.publicKey.algorithm.rawValue },
      "the algorithm was asked for")
    known.append(credential.credentialID)
    living.insert(credential.credentialID)
    if parameters.options.rk == true { discoverable.insert(credential.credentialID) }
    try checkSignature(
      Signed(
        data: data, bytes: made.authenticatorData, signature: signature, id: credential.credentialID,
        relyingPartyID: parameters.relyingParty.id, clientDataHash: parameters.clientDataHash, operation: "register"),
      request, records)
  }

  private mutating func take(
    _ assertion: AssertionResponse, to parameters: GetAssertionRequest, _ request: EngineRequest,
    _ records: [AuditRecord], _ now: UInt64
  ) throws {
    try require(request.isAllowed(.authenticate, parameters.relyingPartyID), "an assertion needs a rule")
    if let list = parameters.allowList {
      try require(list.contains { $0.id == assertion.credential.id }, "the credential is in the allow list")
      try require(assertion.numberOfCredentials == nil, "an allow list has one assertion")
    } else {
      try require(discoverable.contains(assertion.credential.id), "without an allow list it is discoverable")
    }
    let present = parameters.options.up ?? true
    try check(
      assertion, parameters.relyingPartyID, parameters.clientDataHash, flags: present ? [.up] : [], request, records)
    guard let count = assertion.numberOfCredentials else { return }
    try require(count > 1, "one account is not counted")
    walks[request.caller.connection] = Walk(
      relyingPartyID: parameters.relyingPartyID, clientDataHash: parameters.clientDataHash, remaining: count - 1,
      given: [assertion.credential.id], deadline: now + 30_000_000_000)
  }

  private mutating func take(
    _ assertion: AssertionResponse, _ request: EngineRequest, _ records: [AuditRecord], _ now: UInt64
  ) throws {
    var walk = try require(request.walk, "getNextAssertion goes on with what its own connection began")
    try require(request.time <= walk.deadline, "a walk ends after thirty seconds")
    try require(request.isAllowed(.authenticate, walk.relyingPartyID), "each assertion of a walk needs a rule")
    try require(walk.given.insert(assertion.credential.id).inserted, "a walk gives each account once")
    try require(assertion.numberOfCredentials == nil, "only the first assertion counts")
    try check(assertion, walk.relyingPartyID, walk.clientDataHash, flags: nil, request, records)
    walk.remaining -= 1
    walk.deadline = now + 30_000_000_000
    walks[request.caller.connection] = walk.remaining > 0 ? walk : nil
  }

  private mutating func check(
    _ assertion: AssertionResponse, _ relyingPartyID: String, _ clientDataHash: [UInt8],
    flags: AuthenticatorDataFlags?, _ request: EngineRequest, _ records: [AuditRecord]
  ) throws {
    let data = try AuthenticatorData.decode(assertion.authenticatorData)
    try require(data.flags == flags ?? data.flags, "the flags say what was asked for")
    try require(data.flags.isSubset(of: [.up]), "an assertion claims no more than presence")
    try require(known.contains(assertion.credential.id), "an assertion is of a credential that was given out")
    if let user = assertion.user {
      try require(user.name == nil && user.displayName == nil, "without user verification there is no name")
    }
    try checkSignature(
      Signed(
        data: data, bytes: assertion.authenticatorData, signature: assertion.signature, id: assertion.credential.id,
        relyingPartyID: relyingPartyID, clientDataHash: clientDataHash, operation: "authenticate"),
      request, records)
  }

  private struct Signed {
    let data: AuthenticatorData
    let bytes: [UInt8]
    let signature: [UInt8]
    let id: [UInt8]
    let relyingPartyID: String
    let clientDataHash: [UInt8]
    let operation: String
  }

  /// The signature is over what the reply says, and exactly one audit record says the same.
  private mutating func checkSignature(
    _ signed: Signed, _ request: EngineRequest, _ records: [AuditRecord]
  ) throws {
    try require(
      signed.data.relyingPartyIDHash == SHA256.hash(Array(signed.relyingPartyID.utf8)), "it is for the RP ID asked for")
    let message = signed.bytes + signed.clientDataHash
    // The key store in memory signs with the digest and the key's number before it.
    let digest = Array(signed.signature.dropFirst())
    try require(
      digest == SHA256.hash(message) || digest == SHA384.hash(message),
      "the signature is over the authenticator data and the client data's hash")
    let counter = signed.data.signatureCounter
    try require(counter == 0 || counters.insert(counter).inserted, "a signature counter is used once")
    let place = records.indices[request.firstRecord...].first { index in
      let record = records[index]
      return !used.contains(index) && record.outcome == .allowed && record.operation == signed.operation
        && record.connection == request.caller.connection && record.user == request.caller.user
        && record.credentialID == signed.id && record.relyingPartyID == signed.relyingPartyID
        && record.clientDataHash == signed.clientDataHash && record.signatureCounter == counter
        && record.flags == signed.data.flags.rawValue
    }
    used.insert(try require(place, "no signature without its audit record"))
  }

  // MARK: What is left

  /// What is in the store once no request is under way.
  mutating func checkStore(_ credentials: [Credential]) throws {
    let ids = Set(credentials.map(\.id))
    try require(ids.isSubset(of: living), "what was not answered for is not in the store")
    try require(
      living.subtracting(ids).isSubset(of: discoverable), "only a discoverable credential is replaced")
    let users = credentials.filter(\.isDiscoverable).map { "\($0.relyingPartyID) \($0.userHandle)" }
    try require(Set(users).count == users.count, "a user has one discoverable credential of an RP ID")
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
  .invalidCommand, .invalidParameter, .invalidLength, .channelBusy, .cborUnexpectedType, .invalidCBOR,
  .missingParameter, .limitExceeded, .credentialExcluded, .unsupportedAlgorithm, .operationDenied, .keyStoreFull,
  .unsupportedOption, .invalidOption, .keepaliveCancel, .noCredentials, .notAllowed, .requestTooLarge, .other,
  .tpmUnavailable, .storageUnavailable, .auditUnavailable,
]
