import Authenticator
import CTAP
import Crypto
import Policy

/// What must be true of PIN, settings and tokens, from what was asked and answered before alone. Where a port failed,
/// a change may have happened or not; then both are possible.
struct PINWitness {
  /// What the authenticator may have of a PIN.
  private enum Condition: Hashable {
    case none
    case set([UInt8])
    /// Its settings are an older copy.
    case outdated
  }

  private var conditions: Set<Condition> = [.none]
  /// No more attempts than these are left.
  private var retries = 8
  /// Code points that a PIN has at least.
  private var minimum = 4
  private var mustChange = false
  private var alwaysUV: Set<Bool> = [false]
  /// Wrong PINs in a row of each user that were answered as such since the engine began.
  private var wrong: [UInt32: Int] = [:]
  /// The same of all users, in a row and at all.
  private var wrongInARow = 0
  private var wrongSinceStart = 0
  /// Attempts as the TPM's own memory had them last.
  private var failures: UInt8 = 0
  private(set) var grants: [Grant] = []

  /// What a port's failure may be answered with: whether something has changed is not known then.
  private static let faults: Set<CTAPStatus> = [
    .tpmUnavailable, .storageUnavailable, .auditUnavailable, .other, .timeout, .channelBusy,
    .keepaliveCancel,
    .unsupportedAlgorithm, .keyStoreFull,
  ]

  var isAlwaysUV: Bool { alwaysUV == [true] }

  /// Whether the caller may have no way of being verified.
  func mayBeUnprotected(_ request: EngineRequest) -> Bool {
    conditions.contains(.none) && request.books.contains { !$0.verifies(request.caller) }
  }

  // MARK: What happens besides answers

  mutating func begin(_ request: EngineRequest) {
    request.needsVerification = isAlwaysUV
    guard let decoded = request.decoded, let (code, version) = decoded.authorization,
      let message = authenticatedMessage(of: decoded),
      let grant = grants.last(where: { $0.made(code, of: message, by: version) })
    else { return }
    let isOwn = grant.isPersistent || grant.caller.connection == request.caller.connection
    if grant.isLive, isOwn, grant.isFresh(at: request.time) { request.grant = grant }
    if isOwn { grant.wasUsed = true }
  }

  mutating func end(_ connection: UInt64?) {
    for grant in grants where !grant.isPersistent && (connection == nil || grant.caller.connection == connection) {
      grant.isLive = false
    }
  }

  /// The engine begins anew over the same ports.
  mutating func restart() {
    end(nil)
    forgetWrongOnes()
  }

  /// So does it, and finds settings that are older than the TPM knows of.
  mutating func restore(_ settings: AuthenticatorSettings?) {
    restart()
    conditions = [.outdated]
    (minimum, mustChange) = (settings?.minPINLength ?? 4, false)
    alwaysUV = [settings?.alwaysUV ?? false]
  }

  mutating func reset() {
    endAll()
    (conditions, retries, minimum, mustChange) = ([.none], 8, 4, false)
    alwaysUV = [false]
    forgetWrongOnes()
  }

  private mutating func forgetWrongOnes() {
    (wrong, wrongInARow, wrongSinceStart) = ([:], 0, 0)
  }

  private mutating func endAll() {
    for grant in grants { grant.isLive = false }
  }

  // What survives a crash: attempts as the TPM's own memory has them.
  mutating func checkMemory(failures: UInt8) throws {
    self.failures = failures
    try require(8 - Int(failures) <= retries, "an attempt is counted in the TPM before it is answered")
  }

  // MARK: Answers

  mutating func take(_ request: EngineRequest, _ status: CTAPStatus, _ response: CTAPResponse?) throws {
    switch request.decoded {
    case .clientPIN(let parameters): try take(parameters, request, status, response)
    case .config(let parameters): try take(parameters, request, status)
    default: break
    }
  }

  private mutating func take(
    _ parameters: ClientPINRequest, _ request: EngineRequest, _ status: CTAPStatus, _ response: CTAPResponse?
  ) throws {
    var answer = ClientPINResponse()
    if case .clientPIN(let given)? = response { answer = given }
    switch ClientPINSubcommand(rawValue: parameters.subCommand) {
    case .getPINRetries:
      guard let left = answer.pinRetries else { return }
      try require(left <= retries, "attempts only come back by a right PIN, another PIN or a reset")
      // An older copy of the settings shows none, whatever the TPM has.
      if !conditions.contains(.outdated) { retries = left }
    case .setPIN:
      try require(
        status != .ok || conditions.contains(.none)
          || request.caller.isOperator && (conditions.contains(.outdated) || failures >= 8),
        "a PIN that is set is not set again, but by the operator where it is blocked")
      try takeNewPIN(request, status)
    case .changePIN:
      try takeAttempt(request, status)
      try takeNewPIN(request, status)
    case .getPINToken, .getPinUvAuthTokenUsingPinWithPermissions:
      try takeAttempt(request, status)
      guard status == .ok else { return }
      try require(!mustChange, "a PIN that must be changed gives no token")
      try take(answer.pinUvAuthToken, parameters, request, isFromPIN: true)
    case .getPinUvAuthTokenUsingUvWithPermissions:
      guard status == .ok else { return }
      try checkPolicyToken(parameters, request)
      try take(answer.pinUvAuthToken, parameters, request, isFromPIN: false)
    default: break
    }
  }

  /// What follows from the answer to a PIN.
  private mutating func takeAttempt(_ request: EngineRequest, _ status: CTAPStatus) throws {
    let isRight = request.pin.map { conditions.contains(.set($0)) } ?? false
    switch status {
    case .ok:
      try require(isRight, "only the right PIN is right")
      try require(retries > 0, "no PIN is right once it is blocked")
      request.pin.map { conditions = [.set($0)] }
    case .pinPolicyViolation: try require(isRight, "only who knows the PIN learns why another is refused")
    case .pinInvalid:
      if isRight { break }
      try require(retries > 0, "no PIN is tried once it is blocked")
      retries -= 1
      wrong[request.caller.user, default: 0] += 1
      (wrongInARow, wrongSinceStart) = (wrongInARow + 1, wrongSinceStart + 1)
      try require(wrong[request.caller.user, default: 0] <= 2, "the third wrong PIN in a row blocks its user")
      try require(wrongInARow <= 4 && wrongSinceStart <= 29, "the fifth in a row, or the thirtieth, blocks everyone")
      // The authenticator takes another key after a wrong PIN.
      request.authored.agreement?.isCurrent = false
    case .pinBlocked: if !conditions.contains(.outdated) { retries = 0 }
    default: break
    }
    // Once the PIN has been found right, what follows may still fail.
    if isRight, ![.pinBlocked, .pinAuthBlocked, .pinAuthInvalid, .pinNotSet].contains(status) {
      (retries, wrongInARow, wrong[request.caller.user]) = (8, 0, nil)
    }
  }

  private mutating func takeNewPIN(_ request: EngineRequest, _ status: CTAPStatus) throws {
    guard status == .ok else {
      if Self.faults.contains(status), let pin = request.newPIN {
        conditions.insert(.set(pin))
        (retries, mustChange) = (8, false)
        alwaysUV.formUnion(conditions.contains(.outdated) ? [true, false] : [])
      }
      return
    }
    try require(request.isAllowed(.manage, .all), "a PIN is set by whom a rule lets manage everything")
    let pin = try require(request.newPIN, "a PIN is set only by who shares the secret")
    let text = String(validating: pin, as: UTF8.self)
    try require(
      pin.count <= 63 && !pin.contains(0) && text.map { $0.unicodeScalars.count >= minimum } ?? false,
      "a PIN is one")
    endAll()
    (conditions, retries, mustChange) = ([.set(pin)], 8, false)
    if request.caller.isOperator { forgetWrongOnes() }
  }

  // MARK: Tokens

  private func checkPolicyToken(_ parameters: ClientPINRequest, _ request: EngineRequest) throws {
    let permissions = Permissions(rawValue: parameters.permissions ?? 0)
    let scope = parameters.relyingPartyID.map(Scope.relyingParty) ?? .all
    let needs: [(Permissions, Policy.Operation, Scope)] = [
      (.makeCredential, .register, scope), (.getAssertion, .authenticate, scope),
      (.credentialManagement, .manage, scope), (.largeBlobWrite, .manage, .all),
      (.authenticatorConfiguration, .manage, .all),
    ]
    try require(
      !permissions.contains(.persistentCredentialManagementReadOnly), "the persistent token outlives the rules")
    for (permission, operation, scope) in needs where permissions.contains(permission) {
      try require(request.isVerified(operation, scope), "a token without a PIN needs a rule that verifies")
    }
  }

  private mutating func take(
    _ encrypted: [UInt8]?, _ parameters: ClientPINRequest, _ request: EngineRequest, isFromPIN: Bool
  ) throws {
    let encrypted = try require(encrypted, "a token was given")
    let asked: Permissions = parameters.permissions.map(Permissions.init) ?? [.makeCredential, .getAssertion]
    let agreement = request.answersUnder
    let grant = Grant(
      agreement?.token(encrypted), agreement?.version ?? .two, request.caller, isFromPIN: isFromPIN, asked,
      relyingPartyID: parameters.relyingPartyID, issuedAt: request.time)
    try require(
      agreement.map { encrypted.count == ($0.version == .one ? 32 : 48) } ?? true, "a token has 32 bytes")
    if !grant.isPersistent { end(request.caller.connection) }
    grants.append(grant)
  }

  /// What a success that carries pinUvAuthParam proves.
  func checkGrant(
    _ request: EngineRequest, _ permission: Permissions, _ operation: Policy.Operation, _ scope: Scope
  ) throws -> Grant {
    let grant = try require(
      request.grant, "a code is of a token of this connection that has not ended and is not too old")
    try require(grant.permissions.contains(permission), "a token does only what it is for")
    if let bound = grant.relyingPartyID, let id = scope.relyingPartyID {
      try require(bound.utf8.elementsEqual(id.utf8), "a token works for its own RP ID")
    }
    if !grant.isFromPIN, !grant.isPersistent {
      try require(request.isVerified(operation, scope), "a token of policy works while the rule verifies")
    }
    return grant
  }

  // MARK: Settings

  private mutating func take(_ parameters: ConfigRequest, _ request: EngineRequest, _ status: CTAPStatus) throws {
    let isToggle = parameters.subCommand == ConfigSubcommand.toggleAlwaysUv.rawValue
    guard status == .ok else {
      if Self.faults.contains(status), isToggle { alwaysUV.formUnion(alwaysUV.map { !$0 }) }
      return
    }
    try require(request.isAllowed(.manage, .all), "settings are changed by whom a rule lets manage everything")
    try require(conditions != [.outdated], "an older copy of the settings is not changed")
    if parameters.pinUvAuthParam == nil {
      try require(
        mayBeUnprotected(request) && (isToggle || alwaysUV.contains(false)), "a PIN or a rule protects the settings")
    } else {
      _ = try checkGrant(request, .authenticatorConfiguration, .manage, .all)
    }
    if isToggle { alwaysUV = Set(alwaysUV.map { !$0 }) }
    guard let values = parameters.parameters else { return }
    minimum = max(minimum, values.newMinPINLength.map { Int(clamping: $0) } ?? minimum)
    if values.forceChangePIN == true { mustChange = true }
    if conditions.count == 1, case .set(let pin)? = conditions.first,
      String(decoding: pin, as: UTF8.self).unicodeScalars.count < minimum
    {
      mustChange = true
    }
  }
}
