internal import CTAP
internal import Platform
internal import Policy

/// What makeCredential and getAssertion say of user verification.
struct VerificationRequest {
  let operation: Operation
  let permission: Permissions
  let relyingPartyID: String
  /// Where it is known before policy decides.
  var account: Account?
  let clientDataHash: [UInt8]
  let pinUvAuthParam: [UInt8]?
  let pinUvAuthProtocol: UInt64?
  /// Option `uv`.
  var isRequested: Bool
}

extension AuthenticatorEngine {
  /// The first two steps of both commands (CTAP 2.1 sections 6.1.2 and 6.2.2).
  func checkPINAuthorization(
    _ parameter: [UInt8]?, protocol number: UInt64?, for caller: Caller
  ) async throws(CTAPStatus) {
    guard let parameter else { return }
    if parameter.isEmpty {
      // How platforms of CTAP 2.0 had one of several devices chosen.
      try await select(for: caller)
      throw try await knownState().hasPIN ? .pinInvalid : .pinNotSet
    }
    _ = try protocolVersion(number)
  }

  /// What is in force, as far as commands outside clientPIN ask.
  func settings() async throws(CTAPStatus) -> AuthenticatorSettings {
    try await knownState().settings
  }

  func knownState() async throws(CTAPStatus) -> PINState {
    do throws(Failure) {
      return try await pinState()
    } catch {
      throw status(for: error, of: "reading the settings")
    }
  }

  /// Steps 5 to 8 of makeCredential, 4 to 6 of getAssertion: whether verification is to take place, may be left out, or
  /// is missing.
  ///
  /// - Parameters:
  ///   - request: what was asked for
  ///   - isNeeded: whether the command asks for it in spite of the platform (a discoverable credential)
  ///   - appliesAlwaysUV: not for a look-up without user presence
  ///   - caller: who asks
  /// - Returns: whether the caller's rule shall verify
  /// - Throws: CTAP2_ERR_INVALID_OPTION, CTAP2_ERR_PUAT_REQUIRED
  func wantsPolicyVerification(
    _ request: VerificationRequest, isNeeded: Bool, appliesAlwaysUV: Bool = true, for caller: Caller
  ) async throws(CTAPStatus) -> Bool {
    // pinUvAuthParam has precedence.
    guard request.pinUvAuthParam == nil else { return false }
    let isOffered = judge.verifies(caller)
    if request.isRequested {
      guard isOffered else { throw .invalidOption }
      return true
    }
    let state = try await knownState()
    if state.settings.alwaysUV, appliesAlwaysUV {
      guard isOffered else { throw .puatRequired }
      return true
    }
    if isNeeded, isProtected(state, caller, request) {
      throw .puatRequired
    }
    return false
  }

  /// Whether this caller has a way of being verified for this: the standard's "protected by some form of user
  /// verification". A rule that verifies elsewhere only must not bar the way here.
  func isProtected(
    _ state: PINState, _ caller: Caller, _ operation: Operation, _ scope: Scope, account: Account? = nil
  ) -> Bool {
    state.hasPIN || verifies(caller, operation, scope, account: account)
  }

  private func isProtected(_ state: PINState, _ caller: Caller, _ request: VerificationRequest) -> Bool {
    isProtected(
      state, caller, request.operation, .relyingParty(request.relyingPartyID), account: request.account)
  }

  /// Steps 11 of makeCredential, 6 of getAssertion: performs the verification.
  ///
  /// - Returns: how the user is verified; nil where not
  /// - Throws: CTAP2_ERR_PIN_AUTH_INVALID for a token that is not right, CTAP2_ERR_PUAT_REQUIRED or
  ///   CTAP2_ERR_OPERATION_DENIED where the rule does not verify this caller
  func verify(
    _ request: VerificationRequest, byPolicy: Bool, _ prospect: Prospect, on channel: ChannelState, for caller: Caller
  ) async throws(Failure) -> VerificationSource? {
    if let code = request.pinUvAuthParam {
      let version = try Failure.translated { () throws(CTAPStatus) in try protocolVersion(request.pinUvAuthProtocol) }
      return try await useToken(code, version, request, prospect, on: channel, for: caller)
    }
    guard byPolicy else { return nil }
    if prospect.userVerification { return .policy }
    let hasPIN = try await pinState().hasPIN
    throw Failure(
      hasPIN ? .puatRequired : .operationDenied,
      "rule \(prospect.rules.joined(separator: ", ")) does not let this caller count as verified")
  }

  private func useToken(
    _ code: [UInt8], _ version: PINUVAuthProtocol, _ request: VerificationRequest, _ prospect: Prospect,
    on channel: ChannelState, for caller: Caller
  ) async throws(Failure) -> VerificationSource {
    guard let token = liveToken(on: channel) else {
      // Who can have one is told to fetch it.
      throw isProtected(try await pinState(), caller, request)
        ? Failure(.pinAuthInvalid, "the connection has no pinUvAuthToken") : Failure(.pinNotSet, "no PIN is set")
    }
    guard token.verifies(code, of: request.clientDataHash, by: version) else {
      throw Failure(.pinAuthInvalid, "pinUvAuthParam is wrong")
    }
    guard token.permissions.contains(request.permission), token.isUserVerified,
      token.relyingPartyID?.utf8.elementsEqual(request.relyingPartyID.utf8) ?? true
    else { throw Failure(.pinAuthInvalid, "the pinUvAuthToken is for something else, or used up") }
    // The rules may have changed since it was given.
    guard token.source == .pin || prospect.userVerification else {
      throw Failure(
        .pinAuthInvalid, "rule \(prospect.rules.joined(separator: ", ")) no longer lets this caller count as verified")
    }
    token.bind(to: request.relyingPartyID)
    return token.source
  }

  /// The channel's token, if it may still be used.
  func liveToken(on channel: ChannelState) -> PINUVAuthToken? {
    guard let token = channel.token else { return nil }
    if token.isExpired(now: environment.time.monotonicNanoseconds) {
      channel.token = nil
      return nil
    }
    return token
  }

  /// Checks pinUvAuthParam over what a management command signs (sections 6.8, 6.10.2 and 6.11).
  ///
  /// - Parameters:
  ///   - code: pinUvAuthParam
  ///   - number: pinUvAuthProtocol
  ///   - message: what the command has it authenticate
  ///   - permission: the one that the token must have
  ///   - channel: whose token it is
  ///   - caller: who must still count as verified where a rule stood for the user
  /// - Returns: the token; whether its RP ID is the right one is for the command to say
  /// - Throws: CTAP2_ERR_PIN_AUTH_INVALID, and what ``protocolVersion(_:)`` throws
  @discardableResult
  func managementToken(
    _ code: [UInt8], protocol number: UInt64?, of message: [UInt8], needing permission: Permissions,
    on channel: ChannelState, for caller: Caller
  ) throws(Failure) -> PINUVAuthToken {
    let version = try Failure.translated { () throws(CTAPStatus) in try protocolVersion(number) }
    guard let token = liveToken(on: channel), token.verifies(code, of: message, by: version) else {
      throw Failure(.pinAuthInvalid, "pinUvAuthParam is wrong")
    }
    guard token.permissions.isSuperset(of: permission) else {
      throw Failure(.pinAuthInvalid, "the pinUvAuthToken is for something else")
    }
    // The rules may have changed since it was given.
    guard token.source == .pin || verifies(caller, .manage, permission.scope(token.relyingPartyID)) else {
      throw Failure(.pinAuthInvalid, "no rule lets this caller count as verified any longer")
    }
    return token
  }
}
