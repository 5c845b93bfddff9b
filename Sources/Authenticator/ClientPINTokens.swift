internal import AuditLog
internal import CTAP
internal import Crypto
internal import Platform
internal import Policy
internal import Secrets

extension AuthenticatorEngine {
  /// The permissions that a request names, each of which is served (CTAP 2.1 section 6.5.5.7, steps 2 to 6).
  func permissions(_ request: ClientPINRequest) throws(CTAPStatus) -> Permissions {
    guard let number = request.permissions else { throw .missingParameter }
    let permissions = Permissions(rawValue: number)
    guard !permissions.isEmpty else { throw .invalidParameter }
    guard permissions.isSubset(of: Permissions.served) else { throw .unauthorizedPermission }
    // The persistent token is another token: it cannot be had together with others (CTAP 2.2).
    if permissions.contains(.persistentCredentialManagementReadOnly),
      permissions != .persistentCredentialManagementReadOnly
    {
      throw .invalidParameter
    }
    if !permissions.isDisjoint(with: [.makeCredential, .getAssertion]), request.relyingPartyID == nil {
      throw .missingParameter
    }
    return permissions
  }

  /// getPINToken (section 6.5.5.7.1) and getPinUvAuthTokenUsingPinWithPermissions (6.5.5.7.2).
  func tokenUsingPIN(
    _ request: ClientPINRequest, _ permissions: Permissions, on channel: ChannelState, for caller: Caller
  ) async throws(CTAPStatus) -> ClientPINResponse {
    guard let number = request.pinUvAuthProtocol, let point = request.keyAgreement, let pinHashEnc = request.pinHashEnc
    else { throw .missingParameter }
    let version = try protocolVersion(number)
    do throws(Failure) {
      let secret = try Failure.translated { () throws(CTAPStatus) in try sharedSecret(point, version, on: channel) }
      try await checkPIN(pinHashEnc, secret, on: channel, for: caller)
      if try await pinState().settings.forcePINChange {
        throw Failure(.pinInvalid, "the PIN must be changed first")
      }
      return try await give(permissions, request, version, .pin, secret, on: channel)
    } catch {
      throw await refuseToken(error, for: caller)
    }
  }

  /// getPinUvAuthTokenUsingUvWithPermissions (section 6.5.5.7.3): a rule stands for the built-in user verification. It
  /// must say so for everything that is asked for.
  func tokenUsingUV(
    _ request: ClientPINRequest, _ permissions: Permissions, on channel: ChannelState, for caller: Caller
  ) async throws(CTAPStatus) -> ClientPINResponse {
    guard let number = request.pinUvAuthProtocol, let point = request.keyAgreement else { throw .missingParameter }
    let version = try protocolVersion(number)
    guard judge.verifies(caller) else { throw .notAllowed }
    // It outlives the rule that would have verified.
    if permissions.contains(.persistentCredentialManagementReadOnly) { throw .unauthorizedPermission }
    do throws(Failure) {
      try refuseUnverified(permissions, request.relyingPartyID, caller)
      let secret = try Failure.translated { () throws(CTAPStatus) in try sharedSecret(point, version, on: channel) }
      return try await give(permissions, request, version, .policy, secret, on: channel)
    } catch {
      throw await refuseToken(error, for: caller)
    }
  }

  private func refuseUnverified(
    _ permissions: Permissions, _ relyingPartyID: String?, _ caller: Caller
  ) throws(Failure) {
    for (permission, operation) in Permissions.operations where permissions.contains(permission) {
      guard verifies(caller, operation, permission.scope(relyingPartyID)) else {
        // As after too many failures: the platform goes on with the PIN, if there is one.
        throw Failure(.uvBlocked, "no rule lets this caller count as verified to \(operation.rawValue) there")
      }
    }
  }

  /// Whether a rule that allows this lets the caller count as verified.
  func verifies(_ caller: Caller, _ operation: Operation, _ scope: Scope, account: Account? = nil) -> Bool {
    if let account {
      guard let verdict = try? judge.judge(Inquiry(caller, operation, scope, account: account)) else { return false }
      return verdict.userVerification
    }
    return (try? judge.foresee(Inquiry(caller, operation, scope)))?.userVerification ?? false
  }

  private func refuseToken(_ failure: Failure, for caller: Caller) async -> CTAPStatus {
    _ = await refuse(.token, caller, failure.reason)
    return status(for: failure, of: "clientPIN")
  }

  /// Makes a token, puts it in force on this channel and encrypts it for the platform.
  private func give(
    _ permissions: Permissions, _ request: ClientPINRequest, _ version: PINUVAuthProtocol,
    _ source: VerificationSource, _ secret: borrowing PINUVSharedSecret, on channel: ChannelState
  ) async throws(Failure) -> ClientPINResponse {
    let isPersistent = permissions == .persistentCredentialManagementReadOnly
    let token: SecretBytes =
      isPersistent ? try await persistentToken() : try freshToken()
    let encrypted = try encrypt(token, secret)
    if !isPersistent {
      channel.token = PINUVAuthToken(
        token, version, source, permissions, relyingPartyID: request.relyingPartyID,
        now: environment.time.monotonicNanoseconds)
    }
    return ClientPINResponse(pinUvAuthToken: encrypted)
  }

  private func freshToken() throws(Failure) -> SecretBytes {
    do {
      return try SecretBytes.random(count: PINUVAuthToken.count)
    } catch {
      throw Failure(.other, "\(error)")
    }
  }

  private func encrypt(
    _ token: borrowing SecretBytes, _ secret: borrowing PINUVSharedSecret
  ) throws(Failure) -> [UInt8] {
    let vector = environment.random.bytes(AESCBC.blockCount)
    do {
      return try token.reveal { span in try secret.encrypt(span, initializationVector: vector) }
    } catch {
      throw Failure(.other, "a token could not be encrypted")
    }
  }

  // MARK: The persistent token (CTAP 2.2)

  /// The persistent token, which lives until the PIN changes or a reset, over restarts and on every channel. Only behind
  /// the turnstile.
  private func persistentToken() async throws(Failure) -> SecretBytes {
    var state = try await pinState()
    if state.settings.persistentTokenNonce == nil {
      let nonce = environment.random.bytes(AuthenticatorSettings.identifierCount)
      try await changeSettings(state) { $0.persistentTokenNonce = nonce }
      state = try await pinState()
    }
    guard let token = try knownPersistentToken(state) else { throw Failure(.other, "no persistent token") }
    return token
  }

  /// nil where none has been given out.
  func knownPersistentToken(_ state: PINState) throws(Failure) -> SecretBytes? {
    guard let nonce = state.settings.persistentTokenNonce, !state.isRolledBack else { return nil }
    do {
      return try environment.keys.secret.persistentToken(nonce: nonce)
    } catch {
      throw Failure(.other, "\(error)")
    }
  }
}

extension Permissions {
  /// All but biometric enrolment.
  static let served: Permissions = [
    .makeCredential, .getAssertion, .credentialManagement, .largeBlobWrite, .authenticatorConfiguration,
    .persistentCredentialManagementReadOnly,
  ]

  /// Whose matter one permission of a token is. Settings and large blobs are not one relying party's, whatever RP ID the
  /// token is bound to.
  func scope(_ relyingPartyID: String?) -> Scope {
    guard let relyingPartyID, isDisjoint(with: [.authenticatorConfiguration, .largeBlobWrite]) else { return .all }
    return .relyingParty(relyingPartyID)
  }

  /// What policy is asked about each.
  static let operations: [(Permissions, Operation)] = [
    (.makeCredential, .register), (.getAssertion, .authenticate), (.credentialManagement, .manage),
    (.largeBlobWrite, .manage), (.authenticatorConfiguration, .manage),
  ]
}
