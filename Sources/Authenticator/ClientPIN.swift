internal import AuditLog
internal import Crypto
internal import CTAP
internal import Platform
internal import Policy
internal import Secrets

extension AuthenticatorEngine {
  /// authenticatorClientPIN (CTAP 2.1 section 6.5).
  func clientPIN(
    _ request: ClientPINRequest, on channel: ChannelState, for caller: Caller
  ) async throws(CTAPStatus) -> ClientPINResponse {
    guard let subcommand = ClientPINSubcommand(rawValue: request.subCommand) else { throw .invalidSubcommand }
    guard judge.recognises(caller) else { throw await refuse(.clientPIN, caller, "no rule names this caller") }
    switch subcommand {
    case .getPINRetries: return try await pinRetries(for: caller)
    case .getUVRetries:
      guard judge.verifies(caller) else { throw .invalidSubcommand }
      return ClientPINResponse(uvRetries: AuthenticatorLimits.uvRetries)
    case .getKeyAgreement:
      let own = try channel.keyAgreement(try protocolVersion(request.pinUvAuthProtocol)).key.publicKey
      return ClientPINResponse(keyAgreement: KeyAgreementPoint(x: own.x, y: own.y))
    case .setPIN:
      try await inTurn { () throws(CTAPStatus) in try await setPIN(request, on: channel, for: caller) }
      return ClientPINResponse()
    case .changePIN:
      try await inTurn { () throws(CTAPStatus) in try await changePIN(request, on: channel, for: caller) }
      return ClientPINResponse()
    case .getPINToken:
      guard request.permissions == nil, request.relyingPartyID == nil else { throw .invalidParameter }
      let legacy: Permissions = [.makeCredential, .getAssertion]
      return try await inTurn { () throws(CTAPStatus) in
        try await tokenUsingPIN(request, legacy, on: channel, for: caller)
      }
    case .getPinUvAuthTokenUsingPinWithPermissions:
      let permissions = try self.permissions(request)
      return try await inTurn { () throws(CTAPStatus) in
        try await tokenUsingPIN(request, permissions, on: channel, for: caller)
      }
    case .getPinUvAuthTokenUsingUvWithPermissions:
      return try await tokenUsingUV(request, try permissions(request), on: channel, for: caller)
    }
  }

  /// The PIN/UV auth protocol that a request names.
  func protocolVersion(_ number: UInt64?) throws(CTAPStatus) -> PINUVAuthProtocol {
    guard let number else { throw .missingParameter }
    guard let version = PINUVAuthProtocol(rawValue: number) else { throw .invalidParameter }
    return version
  }

  func inTurn<Result>(
    _ body: () async throws(CTAPStatus) -> Result
  ) async throws(CTAPStatus) -> Result {
    guard await turnstile.enter() else { throw .keepaliveCancel }
    defer { turnstile.leave() }
    return try await body()
  }

  /// The shared secret of this exchange (decapsulate of section 6.5.4).
  func sharedSecret(
    _ point: KeyAgreementPoint, _ version: PINUVAuthProtocol, on channel: ChannelState
  ) throws(CTAPStatus) -> PINUVSharedSecret {
    let own = try channel.keyAgreement(version)
    do {
      return try PINUVSharedSecret(version, own: own.key, peer: point)
    } catch let status as CTAPStatus {
      throw status
    } catch {
      throw .other
    }
  }

  private func pinRetries(for caller: Caller) async throws(CTAPStatus) -> ClientPINResponse {
    let state = try await knownState()
    guard state.hasPIN else { throw .pinNotSet }
    return ClientPINResponse(
      pinRetries: state.retries, powerCycleState: pinMismatches.isBlocked(caller) && state.retries > 0)
  }

  // MARK: Setting and changing

  /// setPIN (section 6.5.5.5).
  private func setPIN(
    _ request: ClientPINRequest, on channel: ChannelState, for caller: Caller
  ) async throws(CTAPStatus) {
    guard let number = request.pinUvAuthProtocol, let point = request.keyAgreement, let newPinEnc = request.newPinEnc,
      let code = request.pinUvAuthParam
    else { throw .missingParameter }
    let version = try protocolVersion(number)
    let draft = try await managementRecord("pin.set", caller)
    do throws(Failure) {
      let state = try await pinState()
      // The operator, who could change the rules, may replace a PIN that is blocked: jobs can block it, and a backup
      // does when it is restored.
      guard !state.hasPIN || caller.isOperator && state.retries == 0 else {
        throw Failure(.pinAuthInvalid, "a PIN is set already: change it")
      }
      let secret = try Failure.translated { () throws(CTAPStatus) in try sharedSecret(point, version, on: channel) }
      guard secret.verify(code, of: newPinEnc) else { throw Failure(.pinAuthInvalid, "pinUvAuthParam is wrong") }
      let pin = try newPIN(newPinEnc, secret, atLeast: state.settings.minPINLength)
      try await replacePIN(pin, state, draft, for: caller)
      if caller.isOperator { pinMismatches = PINMismatches() }
    } catch {
      throw await fail(draft, error)
    }
  }

  /// changePIN (section 6.5.5.6).
  private func changePIN(
    _ request: ClientPINRequest, on channel: ChannelState, for caller: Caller
  ) async throws(CTAPStatus) {
    guard let number = request.pinUvAuthProtocol, let point = request.keyAgreement, let newPinEnc = request.newPinEnc,
      let pinHashEnc = request.pinHashEnc, let code = request.pinUvAuthParam
    else { throw .missingParameter }
    let version = try protocolVersion(number)
    let draft = try await managementRecord("pin.change", caller)
    do throws(Failure) {
      try refuseBlocked(try await pinState())
      let secret = try Failure.translated { () throws(CTAPStatus) in try sharedSecret(point, version, on: channel) }
      guard secret.verify(code, of: newPinEnc + pinHashEnc) else {
        throw Failure(.pinAuthInvalid, "pinUvAuthParam is wrong")
      }
      try await checkPIN(pinHashEnc, secret, on: channel, for: caller)
      let state = try await pinState()
      let pin = try newPIN(newPinEnc, secret, atLeast: state.settings.minPINLength)
      if state.settings.forcePINChange, let old = state.settings.pin, constantTimeEqual(pin.verifier, old.verifier) {
        throw Failure(.pinPolicyViolation, "the new PIN is the old one, and it must be changed")
      }
      try await replacePIN(pin, state, draft, for: caller)
    } catch {
      throw await fail(draft, error)
    }
  }

  private func refuseBlocked(_ state: PINState) throws(Failure) {
    if state.hasPIN, state.retries == 0 { throw Failure(.pinBlocked, "the PIN is blocked") }
  }

  private func replacePIN(
    _ pin: AuthenticatorSettings.PIN, _ state: PINState, _ draft: AuditRecord, for caller: Caller
  ) async throws(Failure) {
    // Recorded before it is done: what is in force is in the log.
    try await record(draft)
    // resetPinUvAuthToken(): what was verified with the old PIN counts no longer, on any channel. Before the change,
    // which may have been made even where it fails.
    for channel in channels.values { channel.endVerification() }
    try await changeSettings(state, forgivingFailures: true) { settings in
      settings.pin = pin
      settings.forcePINChange = false
      settings.persistentTokenNonce = nil
    }
    environment.logger.notice("\(draft.detail ?? "pin"): by uid \(caller.user)")
  }

  /// Decrypts, checks and hashes a new PIN (section 6.5.5.5, step 5 and what follows).
  private func newPIN(
    _ newPinEnc: [UInt8], _ secret: borrowing PINUVSharedSecret, atLeast minimum: Int
  ) throws(Failure) -> AuthenticatorSettings.PIN {
    do {
      let padded = try paddedPIN(newPinEnc, secret)
      guard padded.count == PINFormat.paddedCount else { throw CTAPStatus.invalidParameter }
      guard let text = PINText(padded), text.codePoints >= minimum else { throw CTAPStatus.pinPolicyViolation }
      let hash = try padded.reveal { span in try SHA256.digest(ofSecret: span.extracting(0..<text.count)) }
      return AuthenticatorSettings.PIN(verifier: try verifier(hash), codePoints: text.codePoints)
    } catch let status as CTAPStatus {
      throw Failure(status, "the new PIN is not one: \(minimum) code points to 63 bytes of UTF-8")
    } catch {
      throw Failure(.other, "\(error)")
    }
  }

  private func paddedPIN(_ newPinEnc: [UInt8], _ secret: borrowing PINUVSharedSecret) throws -> SecretBytes {
    do {
      return try secret.decrypt(newPinEnc)
    } catch is CTAPStatus {
      throw CTAPStatus.pinAuthInvalid
    }
  }

  /// What is stored of a PIN whose hash this is; its first 16 bytes count.
  private func verifier(_ hash: borrowing SecretBytes) throws -> [UInt8] {
    let key = try environment.keys.secret.pinKey()
    return hash.reveal { span in HMACSHA256.authenticate(span.extracting(0..<PINFormat.hashCount), key: key) }
  }

  // MARK: Checking

  /// Checks an encrypted PIN hash (sections 6.5.5.6 and 6.5.5.7): counts the attempt first, in the TPM.
  func checkPIN(
    _ pinHashEnc: [UInt8], _ secret: borrowing PINUVSharedSecret, on channel: ChannelState, for caller: Caller
  ) async throws(Failure) {
    let (state, pin) = try await countAttempt(for: caller)
    if isRight(pinHashEnc, secret, pin) {
      try await forgiveAttempts(state, for: caller)
      return
    }
    channel.forgetKeyAgreement()
    pinMismatches.add(caller)
    environment.logger.warning("wrong PIN from uid \(caller.user), attempts left: \(state.retries)")
    if state.retries == 0 { throw Failure(.pinBlocked, "wrong PIN: it is blocked now") }
    if pinMismatches.isBlocked(caller) { throw Failure(.pinAuthBlocked, "wrong PIN, too often in a row") }
    throw Failure(.pinInvalid, "wrong PIN")
  }

  private func isRight(
    _ pinHashEnc: [UInt8], _ secret: borrowing PINUVSharedSecret, _ pin: AuthenticatorSettings.PIN
  ) -> Bool {
    do {
      let hash = try secret.decrypt(pinHashEnc)
      guard hash.count == PINFormat.hashCount else { return false }
      return constantTimeEqual(try verifier(hash), pin.verifier)
    } catch {
      return false
    }
  }

  // MARK: Records

  /// Policy's yes to managing what concerns every relying party, as the beginning of a record.
  func managementRecord(_ detail: String, _ caller: Caller) async throws(CTAPStatus) -> AuditRecord {
    let presence = try await admit(caller, .manage, .all, detail: detail)
    return draft(.manage, presence, for: caller, detail: detail)
  }

  /// Records, within limits, what policy need not be asked in detail to refuse.
  func refuse(_ operation: AuditRecord.Operation, _ caller: Caller, _ reason: String) async -> CTAPStatus {
    var record = AuditRecord(.refused, operation, caller, environment.time)
    record.reason = reason
    record.result = "\(CTAPStatus.operationDenied)"
    await recordWithinLimits(record)
    return .operationDenied
  }
}
