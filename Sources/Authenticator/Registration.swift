internal import AuditLog
internal import CBOR
internal import Crypto
internal import CTAP
internal import Platform
internal import Policy
internal import WebAuthn

extension AuthenticatorEngine {
  /// authenticatorMakeCredential (CTAP 2.1 section 6.1.2; the numbers of its steps stand beside the checks).
  func makeCredential(
    _ request: MakeCredentialRequest, for caller: Caller
  ) async throws(CTAPStatus) -> MakeCredentialResponse {
    try refusePINAuthorization(request.pinUvAuthParam, protocol: request.pinUvAuthProtocol)  // 1, 2
    let algorithm = try chooseAlgorithm(request.parameters)  // 3
    if request.options.uv == true || request.options.up == false { throw .invalidOption }  // 5
    // 9: enterprise attestation is not offered, so asking for it is an error, not a wish.
    guard request.enterpriseAttestation == nil else { throw .invalidParameter }
    guard request.excludeList?.count ?? 0 <= AuthenticatorLimits.maximumCredentialsInList else { throw .limitExceeded }

    let presence = try await admit(caller, .register, relyingPartyID: request.relyingParty.id)  // 14
    var draft = AuditRecord(.allowed, Operation.register.rawValue, caller, environment.time)
    draft.rule = presence.rule
    draft.relyingPartyID = request.relyingParty.id
    draft.userHandleHash = SHA256.hash(request.user.id)
    draft.clientDataHash = request.clientDataHash
    do throws(Failure) {
      try await checkExcluded(request, &draft)  // 12; after 14, so that only who may register learns what is here
      return try await create(request, algorithm, presence, &draft, for: caller)  // 15 to 18
    } catch {
      throw await fail(draft, error)
    }
  }

  /// The first algorithm in the relying party's order that the TPM can do.
  private func chooseAlgorithm(_ parameters: [CredentialParameters]) throws(CTAPStatus) -> COSEAlgorithm {
    let offered = environment.keys.algorithms
    for parameter in parameters where parameter.type == CredentialParameters.publicKeyType {
      if let algorithm = COSEAlgorithm(rawValue: parameter.algorithm), offered.contains(algorithm) { return algorithm }
    }
    throw .unsupportedAlgorithm
  }

  /// Before the TPM makes a key in vain. A discoverable credential may have one to replace: the store decides that.
  private func refuseFullStore(_ request: MakeCredentialRequest) async throws(Failure) {
    if request.options.rk == true { return }
    do {
      guard try await environment.store.remainingDiscoverableCredentials() == 0 else { return }
    } catch {
      throw Failure(error)
    }
    throw Failure(.full("the store holds its maximum of credentials: raise limits.credentials"))
  }

  private func checkExcluded(_ request: MakeCredentialRequest, _ draft: inout AuditRecord) async throws(Failure) {
    for descriptor in request.excludeList ?? [] where descriptor.type == CredentialParameters.publicKeyType {
      if let known = try await find(descriptor.id, relyingPartyID: request.relyingParty.id) {
        draft.credentialID = known.id
        throw Failure(.credentialExcluded, "the exclude list names a credential that is here")
      }
    }
  }

  private func create(
    _ request: MakeCredentialRequest, _ algorithm: COSEAlgorithm, _ presence: consuming Presence,
    _ draft: inout AuditRecord, for caller: Caller
  ) async throws(Failure) -> MakeCredentialResponse {
    try await refuseFullStore(request)
    let binding = KeyBinding(
      credentialID: environment.random.bytes(AuthenticatorLimits.credentialIDLength),
      relyingPartyID: request.relyingParty.id)
    draft.credentialID = binding.credentialID
    let made: (key: CredentialKey, publicKey: CredentialPublicKey)
    do {
      made = try await environment.keys.createKey(algorithm, binding: binding, caller: caller, presence: presence)
    } catch {
      throw Failure(error)
    }
    let credential = Credential(
      relyingPartyID: request.relyingParty.id, relyingPartyName: request.relyingParty.name.map(truncated),
      userHandle: request.user.id, userName: request.user.name.map(truncated),
      userDisplayName: request.user.displayName.map(truncated),
      isDiscoverable: request.options.rk ?? false, publicKey: made.publicKey, key: made.key,
      signatureCounter: presence.signatureCounter, createdAt: environment.time.unixMilliseconds)
    let data = AuthenticatorData(
      relyingPartyIDHash: SHA256.hash(Array(credential.relyingPartyID.utf8)), flags: [.up, .at],
      signatureCounter: try await counter(for: credential.signatureCounter, caller: caller),
      attestedCredential: AttestedCredential(
        aaguid: environment.identity.aaguid, credentialID: credential.id, publicKey: credential.publicKey))
    draft.flags = data.flags.rawValue
    draft.signatureCounter = data.signatureCounter

    // Packed self-attestation (WebAuthn section 8.2): the credential key signs.
    let signed = data.encoded()
    let signature = try await sign(
      signed, request.clientDataHash, with: credential, presence, recording: draft, for: caller)
    // It may replace another one: not for a caller who is gone and would never learn of it.
    try refuseCancelled()
    try await keep(credential)
    return MakeCredentialResponse(
      format: "packed", authenticatorData: signed,
      attestationStatement: ["alg": .integer(algorithm.rawValue), "sig": .bytes(signature)])
  }

  /// Makes the credential durable, last of all: what was not answered for is not there.
  private func keep(_ credential: Credential) async throws(Failure) {
    let replaced: [KeyBinding]
    do {
      replaced = try await environment.store.insert(credential)
    } catch {
      throw Failure(error)
    }
    if !replaced.isEmpty { await environment.keys.evict(replaced) }
  }
}

/// A name as it is stored: at most 64 bytes, cut between characters (CTAP 2.1 section 6.1.2 lets authenticators cut
/// names, and asks that 64 bytes be kept).
private func truncated(_ name: String) -> String {
  var kept = ""
  for character in name {
    guard kept.utf8.count + character.utf8.count <= 64 else { break }
    kept.append(character)
  }
  return kept
}
