internal import CTAP
internal import Platform
internal import Policy

extension AuthenticatorEngine {
  /// authenticatorConfig (CTAP 2.1 section 6.11): concerns every relying party, and so asks for a rule for all of them.
  func configure(
    _ request: ConfigRequest, on channel: ChannelState, for caller: Caller
  ) async throws(CTAPStatus) {
    guard let subcommand = ConfigSubcommand(rawValue: request.subCommand), isServed(subcommand) else {
      throw .invalidSubcommand
    }
    try await inTurn { () throws(CTAPStatus) in
      let draft = try await managementRecord("config.\(subcommand)", caller)
      do throws(Failure) {
        let state = try await pinState()
        try authorize(request, subcommand, state, on: channel, for: caller)
        let change = try change(subcommand, request.parameters ?? ConfigParameters(), state.settings)
        // Recorded before it is done: what is in force is in the log.
        try await record(draft)
        try await changeSettings(state, change)
      } catch {
        throw await fail(draft, error)
      }
    }
  }

  func isServed(_ subcommand: ConfigSubcommand) -> Bool {
    switch subcommand {
    case .enableEnterpriseAttestation: judge.offersEnterpriseAttestation
    case .toggleAlwaysUv, .setMinPINLength: true
    case .vendorPrototype: false
    }
  }

  /// A protected authenticator wants a token with the permission (section 6.11, steps 2 to 4).
  private func authorize(
    _ request: ConfigRequest, _ subcommand: ConfigSubcommand, _ state: PINState, on channel: ChannelState,
    for caller: Caller
  ) throws(Failure) {
    guard let code = request.pinUvAuthParam else {
      // Where nothing could verify, alwaysUv must not bar the way to turning it off.
      let asks = state.settings.alwaysUV && subcommand != .toggleAlwaysUv
      guard !isProtected(state, caller, .manage, .all), !asks else {
        throw Failure(.puatRequired, "the settings ask for a pinUvAuthToken")
      }
      return
    }
    try managementToken(
      code, protocol: request.pinUvAuthProtocol, of: request.authenticatedMessage,
      needing: .authenticatorConfiguration, on: channel, for: caller)
  }

  private func change(
    _ subcommand: ConfigSubcommand, _ parameters: ConfigParameters, _ settings: AuthenticatorSettings
  ) throws(Failure) -> (inout AuthenticatorSettings) -> Void {
    switch subcommand {
    case .enableEnterpriseAttestation: return { $0.enterpriseAttestation = true }
    case .toggleAlwaysUv: return { $0.alwaysUV.toggle() }
    case .setMinPINLength: return try minPINLength(parameters, settings)
    case .vendorPrototype: throw Failure(.invalidSubcommand, "vendor prototypes are not served")
    }
  }

  /// setMinPINLength (section 6.11.4).
  private func minPINLength(
    _ parameters: ConfigParameters, _ settings: AuthenticatorSettings
  ) throws(Failure) -> (inout AuthenticatorSettings) -> Void {
    let length = parameters.newMinPINLength ?? UInt64(settings.minPINLength)
    guard length >= settings.minPINLength, length <= AuthenticatorLimits.maximumPINLength else {
      throw Failure(
        .pinPolicyViolation,
        "the minimum can only grow, from \(settings.minPINLength) to \(AuthenticatorLimits.maximumPINLength)")
    }
    let relyingParties = parameters.minPINLengthRelyingParties
    guard relyingParties?.count ?? 0 <= AuthenticatorLimits.maximumMinPINLengthRelyingParties,
      relyingParties?.allSatisfy({ $0.utf8.count <= RelyingPartyEntity.maximumIDCount }) ?? true
    else { throw Failure(.keyStoreFull, "too many RP IDs, or too long ones") }
    let forces = parameters.forceChangePIN ?? false
    if forces, settings.pin == nil { throw Failure(.pinNotSet, "there is no PIN to change") }
    return { settings in
      settings.minPINLength = Int(length)
      if let relyingParties { settings.minPINLengthRelyingParties = relyingParties }
      // A PIN that is too short now must be changed before it is used again.
      if forces || (settings.pin.map { $0.codePoints < settings.minPINLength } ?? false) {
        settings.forcePINChange = true
      }
    }
  }
}
