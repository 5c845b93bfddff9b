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
    _ request: MakeCredentialRequest, on channel: ChannelState, for caller: Caller
  ) async throws(CTAPStatus) -> MakeCredentialResponse {
    try await checkPINAuthorization(request.pinUvAuthParam, protocol: request.pinUvAuthProtocol, for: caller)  // 1, 2
    let algorithm = try chooseAlgorithm(request.parameters)  // 3
    if request.options.up == false { throw .invalidOption }  // 5
    let isDiscoverable = request.options.rk ?? false
    let account = Account(userHandle: request.user.id, userName: request.user.name.map(truncated))
    let verification = VerificationRequest(
      operation: .register, permission: .makeCredential, relyingPartyID: request.relyingParty.id, account: account,
      clientDataHash: request.clientDataHash, pinUvAuthParam: request.pinUvAuthParam,
      pinUvAuthProtocol: request.pinUvAuthProtocol, isRequested: request.options.uv ?? false)
    let byPolicy = try await wantsPolicyVerification(verification, isNeeded: isDiscoverable, for: caller)  // 5 to 8
    try await checkEnterpriseAttestation(request.enterpriseAttestation)  // 9
    guard request.excludeList?.count ?? 0 <= AuthenticatorLimits.maximumCredentialsInList else { throw .limitExceeded }
    let extensions = try CheckedCreationExtensions(request.extensions, isDiscoverable: isDiscoverable)

    let inquiry = Inquiry(caller, .register, .relyingParty(request.relyingParty.id), account: account)
    var draft = draft(.register, nil, inquiry.scope, for: caller)
    draft.userHandleHash = request.user.id.isEmpty ? nil : SHA256.hash(request.user.id)
    draft.clientDataHash = request.clientDataHash
    do throws(Failure) {
      try refuseOverload(inquiry, &draft)
    } catch {
      throw await fail(draft, error)
    }
    let presence = try await admit(inquiry)  // 14
    draft.rule = presence.rule
    do throws(Failure) {
      let source = try await verify(
        verification, byPolicy: byPolicy, Prospect(presence), on: channel, for: caller)  // 11
      let isVerified = source != nil
      // 12; after 14, so that only who may register learns what is here
      try await checkExcluded(request, isVerified: isVerified, &draft)
      if request.pinUvAuthParam != nil { channel.token?.spend() }  // 14
      return try await create(
        NewCredential(
          request: request, algorithm: algorithm, extensions: extensions, isVerified: isVerified), presence, &draft,
        on: channel, for: caller)  // 15 to 18
    } catch {
      throw await fail(draft, error)
    }
  }

  /// Enterprise attestation is a wish that only an authenticator that has it enabled understands. Whoever judges by a
  /// list of RP IDs, the authenticator (1) or the platform (2), here it is the operator's rule in both cases: a job is no
  /// platform that could be believed.
  private func checkEnterpriseAttestation(_ value: UInt64?) async throws(CTAPStatus) {
    guard let value else { return }
    let isEnabled = try await settings().enterpriseAttestation
    guard judge.offersEnterpriseAttestation, isEnabled else { throw .invalidParameter }
    guard value == 1 || value == 2 else { throw .invalidOption }
  }

  /// The first algorithm in the relying party's order that the TPM can do.
  private func chooseAlgorithm(_ parameters: [CredentialParameters]) throws(CTAPStatus) -> COSEAlgorithm {
    let offered = environment.keys.algorithms
    for parameter in parameters where parameter.type == CredentialParameters.publicKeyType {
      if let algorithm = COSEAlgorithm(rawValue: parameter.algorithm), offered.contains(algorithm) { return algorithm }
    }
    throw .unsupportedAlgorithm
  }

  /// Before the TPM makes a key in vain.
  func refuseFullStore() async throws(Failure) {
    do {
      guard try await environment.store.remainingDiscoverableCredentials() == 0 else { return }
    } catch {
      throw Failure(error)
    }
    throw Failure(.full("the store holds its maximum of credentials: raise limits.credentials"))
  }

  /// - Returns: its place among those in progress, from 1
  func enterRegistration(_ relyingPartyIDHash: [UInt8]) -> Int {
    let place = registrations[relyingPartyIDHash, default: 0] + 1
    registrations[relyingPartyIDHash] = place
    return place
  }

  func leaveRegistration(_ relyingPartyIDHash: [UInt8]) {
    let left = registrations[relyingPartyIDHash, default: 1] - 1
    registrations[relyingPartyIDHash] = left > 0 ? left : nil
  }

  /// `maxRegistrations`: those in progress that came before count too, so that two at once do not both see the last
  /// place free; those that came after do not, so that they do not both see it taken.
  func refuseTooMany(
    _ presence: borrowing Presence, _ place: Int, _ relyingPartyIDHash: [UInt8]
  ) async throws(Failure) {
    guard let limit = presence.terms.maximumRegistrations else { return }
    let rule = presence.rule
    let stored: Int
    do {
      stored = try await environment.store.count(relyingPartyIDHash: relyingPartyIDHash)
    } catch {
      throw Failure(error)
    }
    if stored + place > limit {
      throw Failure(
        .operationDenied, "rule \(rule) allows \(counted(limit)), and the relying party has \(stored) here")
    }
  }

  private func counted(_ credentials: Int) -> String { "\(credentials) credential\(credentials == 1 ? "" : "s")" }

  private func checkExcluded(
    _ request: MakeCredentialRequest, isVerified: Bool, _ draft: inout AuditRecord
  ) async throws(Failure) {
    let hash = SHA256.hash(Array(request.relyingParty.id.utf8))
    // A disabled one counts: registering anew is no way around the operator.
    for descriptor in request.excludeList ?? [] where descriptor.type == CredentialParameters.publicKeyType {
      if let known = try await find(descriptor.id, relyingPartyIDHash: hash),
        isVerified || known.protection < .userVerificationRequired
      {
        draft.credentialID = known.id
        throw Failure(.credentialExcluded, "the exclude list names a credential that is here")
      }
    }
  }

  private func create(
    _ new: NewCredential, _ presence: consuming Presence, _ draft: inout AuditRecord, on channel: ChannelState,
    for caller: Caller
  ) async throws(Failure) -> MakeCredentialResponse {
    let request = new.request
    let salts = try creationSalts(new.extensions.inputs, on: channel)
    let hash = SHA256.hash(Array(request.relyingParty.id.utf8))
    let place = enterRegistration(hash)
    defer { leaveRegistration(hash) }
    try await refuseTooMany(presence, place, hash)
    // A discoverable credential may have one to replace: the store decides that.
    if request.options.rk != true { try await refuseFullStore() }
    let choice = try attestationChoice(for: request, presence)
    let credential = try await makeKey(new, presence, &draft, for: caller)
    let binding = credential.key.binding
    var secrets: [UInt8]?
    if let salts { secrets = try hmacSecret(salts, of: binding, verified: new.isVerified) }
    let outputs = try await outputs(of: new.extensions, for: credential, hmacSecretMC: secrets)
    // The key took its time.
    try refuseLongWait(caller)
    let data = AuthenticatorData(
      relyingPartyIDHash: binding.relyingPartyIDHash, flags: new.isVerified ? [.up, .uv, .at] : [.up, .at],
      signatureCounter: try await counter(for: credential.signatureCounter, caller: caller),
      attestedCredential: AttestedCredential(
        aaguid: environment.identity.aaguid, credentialID: credential.id, publicKey: credential.publicKey),
      extensions: outputs)
    draft.flags = data.flags.rawValue
    draft.signatureCounter = data.signatureCounter

    if let old = try await makingWay(for: credential, caller) { draft.detail = "replaces \(hexadecimal(old.id))" }

    let signed = data.encoded()
    let largeBlobKey = credential.hasLargeBlobKey ? try largeBlobKey(of: credential) : nil
    let statement = try await statement(
      choice, of: signed + request.clientDataHash, about: credential, presence, recording: draft, for: caller)
    // It may replace another one: not for a caller who is gone and would never learn of it.
    try refuseCancelled()
    try refuseEnded(caller)
    try await keep(credential, for: caller)
    return MakeCredentialResponse(
      format: choice.format, authenticatorData: signed, attestationStatement: statement,
      enterpriseAttestation: choice.isEnterprise ? true : nil, largeBlobKey: largeBlobKey)
  }

  private func attestationChoice(
    for request: MakeCredentialRequest, _ presence: borrowing Presence
  ) throws(Failure) -> AttestationChoice {
    let installed = environment.attestation?.inService()
    // That it is enabled has been checked.
    if request.enterpriseAttestation != nil, presence.terms.enterpriseAttestation, let installed {
      return .enterprise(installed)
    }
    let choice = AttestationChoice(
      request.attestationFormatsPreference, allowed: presence.terms.attestation, installed: installed)
    if let choice { return choice }
    let rule = presence.rule
    throw Failure(
      .operationDenied,
      "rule \(rule) allows only attestation that needs certificates, and none are in service: enrol, or allow \"none\"")
  }

  /// The key in the TPM, and the credential around it, which nobody knows of yet.
  private func makeKey(
    _ new: NewCredential, _ presence: borrowing Presence, _ draft: inout AuditRecord, for caller: Caller
  ) async throws(Failure) -> Credential {
    let request = new.request
    let isDiscoverable = request.options.rk ?? false
    let binding = KeyBinding(
      credentialID: environment.random.bytes(AuthenticatorLimits.credentialIDLength),
      relyingPartyID: request.relyingParty.id)
    draft.credentialID = binding.credentialID
    let made = try await createKey(new.algorithm, binding, presence, for: caller)
    return Credential(
      relyingPartyID: request.relyingParty.id, relyingPartyName: request.relyingParty.name.map(truncated),
      userHandle: request.user.id, userName: request.user.name.map(truncated),
      userDisplayName: request.user.displayName.map(truncated),
      isDiscoverable: isDiscoverable, publicKey: made.publicKey, key: made.key,
      signatureCounter: presence.signatureCounter, protection: new.extensions.protection,
      hasHMACSecret: new.extensions.inputs.hmacSecret ?? false,
      hasLargeBlobKey: new.extensions.inputs.largeBlobKey ?? false,
      blob: new.extensions.storedBlob(isDiscoverable: isDiscoverable), createdAt: environment.time.unixMilliseconds)
  }

  /// The salts of hmac-secret-mc (CTAP 2.2).
  private func creationSalts(
    _ inputs: CreationExtensions, on channel: ChannelState
  ) throws(Failure) -> HMACSecretSalts? {
    guard let input = inputs.hmacSecretMC else { return nil }
    return try Failure.translated { () throws(CTAPStatus) in try salts(input, on: channel) }
  }

  /// A key pair in the TPM.
  func createKey(
    _ algorithm: COSEAlgorithm, _ binding: KeyBinding, _ presence: borrowing Presence, for caller: Caller
  ) async throws(Failure) -> (key: CredentialKey, publicKey: CredentialPublicKey) {
    do {
      return try await environment.keys.createKey(algorithm, binding: binding, caller: caller, presence: presence)
    } catch {
      throw Failure(error)
    }
  }

  /// The credential that this one replaces: that with the same user handle, which the caller chooses.
  ///
  /// - Throws: CTAP2_ERR_OPERATION_DENIED where policy would not let the caller register for the account that it is of
  private func makingWay(for credential: Credential, _ caller: Caller) async throws(Failure) -> Credential? {
    guard let relyingPartyID = credential.relyingPartyID else { return nil }
    let found: Credential?
    do {
      found = try await environment.store.replaced(by: credential)
    } catch {
      throw Failure(error)
    }
    guard let old = found else { return nil }
    do {
      _ = try judge.judge(Inquiry(caller, .register, .relyingParty(relyingPartyID)).about(old))
    } catch {
      throw Failure(
        .operationDenied,
        "it would replace credential \(hexadecimal(old.id)), which is of another account: \(error.reason)")
    }
    return old
  }

  /// Makes the credential durable, last of all: what was not answered for is not there.
  func keep(_ credential: Credential, for caller: Caller) async throws(Failure) {
    guard await adding.enter() else { throw Failure(.keepaliveCancel, "cancelled") }
    defer { adding.leave() }
    // Again: another may have come in between.
    _ = try await makingWay(for: credential, caller)
    let replaced: [KeyBinding]
    do {
      replaced = try await environment.store.insert(credential)
    } catch {
      throw Failure(error)
    }
    if !replaced.isEmpty { await environment.keys.evict(replaced) }
  }
}

/// A registration that has been allowed.
private struct NewCredential {
  let request: MakeCredentialRequest
  let algorithm: COSEAlgorithm
  let extensions: CheckedCreationExtensions
  let isVerified: Bool
}

/// A name as it is stored: at most 64 bytes, cut between characters (CTAP 2.1 section 6.1.2 lets authenticators cut
/// names, and asks that 64 bytes be kept).
func truncated(_ name: String) -> String {
  var kept = ""
  for character in name {
    guard kept.utf8.count + character.utf8.count <= 64 else { break }
    kept.append(character)
  }
  return kept
}
