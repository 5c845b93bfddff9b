import AuditLog
import CBOR
import CTAP
import Crypto
import Policy
import WebAuthn

extension EngineWitness {
  /// User verification is claimed where it took place, and nowhere else.
  private func checkVerification(
    _ flags: AuthenticatorDataFlags, _ hasCode: Bool, _ permission: Permissions, _ operation: Policy.Operation,
    _ relyingPartyID: String, _ request: EngineRequest
  ) throws {
    let isVerified = flags.contains(.uv)
    let scope = Scope.relyingParty(relyingPartyID)
    try require(isVerified || !hasCode, "who brings a token is verified, or refused")
    guard isVerified else { return }
    if hasCode {
      let grant = try pin.checkGrant(request, permission, operation, scope)
      grant.relyingPartyID = relyingPartyID
      // Spent for everything else; without presence nothing is spent.
      if flags.contains(.up) { grant.permissions.formIntersection(.largeBlobWrite) }
    } else {
      try require(request.isVerified(operation, scope), "verification without a token needs a rule that verifies")
    }
  }

  mutating func take(
    _ made: MakeCredentialResponse, to parameters: MakeCredentialRequest, _ request: EngineRequest,
    _ records: [AuditRecord]
  ) throws {
    let id = parameters.relyingParty.id
    try require(request.isAllowed(.register, .relyingParty(id)), "a registration needs a rule")
    let data = try AuthenticatorData.decode(made.authenticatorData)
    let credential = try require(data.attestedCredential, "a registration has a credential")
    let flags = data.flags.subtracting(data.extensions == nil ? [] : .ed)
    try require(flags.subtracting(.uv) == [.up, .at], "no other flags than of presence, verification and credential")
    try require(flags.contains(.uv) || !request.needsVerification, "verification is wanted always")
    try checkVerification(flags, parameters.pinUvAuthParam != nil, .makeCredential, .register, id, request)
    var signature: [UInt8]?
    if case .bytes(let bytes)? = made.attestationStatement["sig"] { signature = bytes }
    try require(made.format == (signature == nil ? "none" : "packed"), "packed attestation has a signature")
    try require(
      parameters.parameters.contains { $0.algorithm == credential.publicKey.algorithm.rawValue },
      "the algorithm was asked for")
    let inputs = try CreationExtensions(parameters.extensions)
    try add(
      credential.credentialID,
      Made(
        relyingPartyIDHash: SHA256.hash(Array(id.utf8)), relyingPartyID: id,
        isDiscoverable: parameters.options.rk == true, protection: inputs.credProtect ?? 1))
    try check(data.extensions ?? [:], of: inputs)
    try require((made.largeBlobKey != nil) == (inputs.largeBlobKey == true), "a large-blob key comes when asked for")
    if case .bytes(let encrypted)? = data.extensions?["hmac-secret-mc"] {
      try checkSecrets(encrypted, of: credential.credentialID, isVerified: flags.contains(.uv), request)
    }
    try require(data.relyingPartyIDHash == SHA256.hash(Array(id.utf8)), "it is for the RP ID asked for")
    try checkSignature(
      Signed(
        data: data, bytes: made.authenticatorData, signature: signature, id: credential.credentialID,
        relyingPartyID: id, clientDataHash: parameters.clientDataHash, operation: .register), request, records)
  }

  private func check(_ outputs: CBORMap, of inputs: CreationExtensions) throws {
    let expected = inputs.credProtect.map(CBORValue.unsigned)
    try require(outputs["credProtect"] == expected, "credProtect answers with what was asked for")
    try require((outputs["hmac-secret"] != nil) == (inputs.hmacSecret == true), "hmac-secret answers when asked")
    try require((outputs["hmac-secret-mc"] != nil) == (inputs.hmacSecretMC != nil), "hmac-secret-mc answers when asked")
    try require((outputs["credBlob"] != nil) == (inputs.credBlob != nil), "credBlob answers when asked")
    try require(outputs["minPinLength"] == nil || inputs.minPINLength == true, "minPinLength answers only when asked")
  }

  mutating func take(
    _ assertion: AssertionResponse, to parameters: GetAssertionRequest, _ request: EngineRequest,
    _ records: [AuditRecord], _ now: UInt64
  ) throws {
    let id = parameters.relyingPartyID
    try require(request.isAllowed(.authenticate, .relyingParty(id)), "an assertion needs a rule")
    let data = try check(assertion, id, parameters.clientDataHash, request, records)
    let isVerified = data.flags.contains(.uv)
    let known = try require(made[assertion.credential.id], "the credential was made here")
    if let list = parameters.allowList, !list.isEmpty {
      try require(list.contains { $0.id == assertion.credential.id }, "the credential is in the allow list")
      try require(assertion.numberOfCredentials == nil, "an allow list has one assertion")
    } else {
      try require(known.isDiscoverable, "without an allow list it is discoverable")
      try require(known.protection < 2 || isVerified, "a credential of level 2 is only found by verified users")
    }
    let present = parameters.options.up ?? true
    try require(data.flags.contains(.up) == present, "the flags say what was asked for")
    try require(isVerified || !present || !request.needsVerification, "verification is wanted always")
    try checkVerification(data.flags, parameters.pinUvAuthParam != nil, .getAssertion, .authenticate, id, request)
    guard let count = assertion.numberOfCredentials else { return }
    try require(count > 1, "one account is not counted")
    walks[request.caller.connection] = Walk(
      kind: .assertions(
        relyingPartyID: id, clientDataHash: parameters.clientDataHash,
        verification: !isVerified ? .none : request.grant?.isFromPIN == true ? .pin : .policy),
      remaining: count - 1, given: [assertion.credential.id], deadline: now + 30_000_000_000)
  }

  mutating func take(
    _ assertion: AssertionResponse, _ request: EngineRequest, _ records: [AuditRecord], _ now: UInt64
  ) throws {
    guard var walk = request.walk, case .assertions(let id, let clientDataHash, let verification) = walk.kind else {
      throw Finding("getNextAssertion goes on with what its own connection began")
    }
    try require(request.time <= walk.deadline, "a walk ends after thirty seconds")
    try require(request.isAllowed(.authenticate, .relyingParty(id)), "each assertion of a walk needs a rule")
    try require(walk.given.insert(assertion.credential.id).inserted, "a walk gives each account once")
    try require(assertion.numberOfCredentials == nil, "only the first assertion counts")
    let data = try check(assertion, id, clientDataHash, request, records)
    let isVerified = verification != .none
    try require(data.flags.contains(.uv) == isVerified, "a walk is as verified as its first assertion")
    try require(
      verification != .policy || request.isVerified(.authenticate, .relyingParty(id)),
      "a walk that policy verifies goes on while the rule does")
    let known = try require(made[assertion.credential.id], "the credential was made here")
    try require(known.isDiscoverable && (known.protection < 2 || isVerified), "a walk finds what its first one could")
    walk.remaining -= 1
    walk.deadline = now + 30_000_000_000
    walks[request.caller.connection] = walk.remaining > 0 ? walk : nil
  }

  private mutating func check(
    _ assertion: AssertionResponse, _ relyingPartyID: String, _ clientDataHash: [UInt8], _ request: EngineRequest,
    _ records: [AuditRecord]
  ) throws -> AuthenticatorData {
    let data = try AuthenticatorData.decode(assertion.authenticatorData)
    let id = assertion.credential.id
    let isVerified = data.flags.contains(.uv)
    try require(data.flags.isSubset(of: [.up, .uv, .ed]), "an assertion claims no more than presence and verification")
    let hash = SHA256.hash(Array(relyingPartyID.utf8))
    try require(data.relyingPartyIDHash == hash, "it is for the RP ID asked for")
    let known = try require(made[id], "an assertion is of a credential that was given out")
    try require(known.relyingPartyIDHash == hash, "a credential signs for its own RP ID")
    try require(known.protection < 3 || isVerified, "a credential of level 3 signs for verified users only")
    if let user = assertion.user, !isVerified {
      try require(user.name == nil && user.displayName == nil, "without user verification there is no name")
    }
    if case .bytes(let encrypted)? = data.extensions?["hmac-secret"] {
      try checkSecrets(encrypted, of: id, isVerified: isVerified, request)
    }
    try checkSignature(
      Signed(
        data: data, bytes: assertion.authenticatorData, signature: assertion.signature, id: id,
        relyingPartyID: relyingPartyID, clientDataHash: clientDataHash, operation: .authenticate), request, records)
    return data
  }
}
