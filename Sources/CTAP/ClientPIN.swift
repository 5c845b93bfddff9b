internal import CBOR

/// The subcommands of authenticatorClientPIN (CTAP 2.1 section 6.5.5).
package enum ClientPINSubcommand: UInt64, CaseIterable, Sendable {
  case getPINRetries = 0x01
  case getKeyAgreement = 0x02
  case setPIN = 0x03
  case changePIN = 0x04
  case getPINToken = 0x05
  case getPinUvAuthTokenUsingUvWithPermissions = 0x06
  case getUVRetries = 0x07
  case getPinUvAuthTokenUsingPinWithPermissions = 0x09
}

/// What a token may be used for (CTAP 2.1 section 6.5.5.7; the last from CTAP 2.2).
package struct Permissions: OptionSet, Hashable, Sendable {
  package let rawValue: UInt64

  package init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  package static let makeCredential = Permissions(rawValue: 0x01)
  package static let getAssertion = Permissions(rawValue: 0x02)
  package static let credentialManagement = Permissions(rawValue: 0x04)
  package static let bioEnrollment = Permissions(rawValue: 0x08)
  package static let largeBlobWrite = Permissions(rawValue: 0x10)
  package static let authenticatorConfiguration = Permissions(rawValue: 0x20)
  package static let persistentCredentialManagementReadOnly = Permissions(rawValue: 0x40)
}

/// The parameters of authenticatorClientPIN (CTAP 2.1 section 6.5.5). Which of them a subcommand demands is the
/// authenticator's business, and so are subcommands without a name.
package struct ClientPINRequest: Equatable, Sendable {
  package var pinUvAuthProtocol: UInt64?
  package var subCommand: UInt64
  package var keyAgreement: KeyAgreementPoint?
  package var pinUvAuthParam: [UInt8]?
  package var newPinEnc: [UInt8]?
  package var pinHashEnc: [UInt8]?
  package var permissions: UInt64?
  package var relyingPartyID: String?

  package init(
    subCommand: UInt64, pinUvAuthProtocol: UInt64? = nil, keyAgreement: KeyAgreementPoint? = nil,
    pinUvAuthParam: [UInt8]? = nil, newPinEnc: [UInt8]? = nil, pinHashEnc: [UInt8]? = nil, permissions: UInt64? = nil,
    relyingPartyID: String? = nil
  ) {
    self.pinUvAuthProtocol = pinUvAuthProtocol
    self.subCommand = subCommand
    self.keyAgreement = keyAgreement
    self.pinUvAuthParam = pinUvAuthParam
    self.newPinEnc = newPinEnc
    self.pinHashEnc = pinHashEnc
    self.permissions = permissions
    self.relyingPartyID = relyingPartyID
  }
}

extension ClientPINRequest {
  private enum Key {
    static let pinUvAuthProtocol: CBORValue = 0x01
    static let subCommand: CBORValue = 0x02
    static let keyAgreement: CBORValue = 0x03
    static let pinUvAuthParam: CBORValue = 0x04
    static let newPinEnc: CBORValue = 0x05
    static let pinHashEnc: CBORValue = 0x06
    static let permissions: CBORValue = 0x09
    static let relyingPartyID: CBORValue = 0x0a
  }

  init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    pinUvAuthProtocol = try members.optional(Key.pinUvAuthProtocol, Read.unsigned)
    subCommand = try members.required(Key.subCommand, Read.unsigned)
    keyAgreement = try members.optional(Key.keyAgreement, KeyAgreementPoint.init)
    pinUvAuthParam = try members.optional(Key.pinUvAuthParam, Read.bytes)
    newPinEnc = try members.optional(Key.newPinEnc, Read.bytes)
    pinHashEnc = try members.optional(Key.pinHashEnc, Read.bytes)
    permissions = try members.optional(Key.permissions, Read.unsigned)
    relyingPartyID = try members.optional(Key.relyingPartyID, RelyingPartyEntity.readID)
  }

  var value: CBORValue {
    var map = CBORMap()
    map[Key.pinUvAuthProtocol] = pinUvAuthProtocol.map(CBORValue.unsigned)
    map[Key.subCommand] = .unsigned(subCommand)
    map[Key.keyAgreement] = keyAgreement?.value
    map[Key.pinUvAuthParam] = pinUvAuthParam.map(CBORValue.bytes)
    map[Key.newPinEnc] = newPinEnc.map(CBORValue.bytes)
    map[Key.pinHashEnc] = pinHashEnc.map(CBORValue.bytes)
    map[Key.permissions] = permissions.map(CBORValue.unsigned)
    map[Key.relyingPartyID] = relyingPartyID.map(CBORValue.text)
    return .map(map)
  }
}

/// What authenticatorClientPIN returns: nothing at all where a PIN was set or changed.
package struct ClientPINResponse: Equatable, Sendable {
  package var keyAgreement: KeyAgreementPoint?
  /// Encrypted.
  package var pinUvAuthToken: [UInt8]?
  package var pinRetries: Int?
  /// Whether only a power cycle lets the next PIN be tried.
  package var powerCycleState: Bool?
  package var uvRetries: Int?

  package init(
    keyAgreement: KeyAgreementPoint? = nil, pinUvAuthToken: [UInt8]? = nil, pinRetries: Int? = nil,
    powerCycleState: Bool? = nil, uvRetries: Int? = nil
  ) {
    self.keyAgreement = keyAgreement
    self.pinUvAuthToken = pinUvAuthToken
    self.pinRetries = pinRetries
    self.powerCycleState = powerCycleState
    self.uvRetries = uvRetries
  }
}

extension ClientPINResponse {
  private enum Key {
    static let keyAgreement: CBORValue = 0x01
    static let pinUvAuthToken: CBORValue = 0x02
    static let pinRetries: CBORValue = 0x03
    static let powerCycleState: CBORValue = 0x04
    static let uvRetries: CBORValue = 0x05
  }

  init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    keyAgreement = try members.optional(Key.keyAgreement, KeyAgreementPoint.init)
    pinUvAuthToken = try members.optional(Key.pinUvAuthToken, Read.bytes)
    pinRetries = try members.optional(Key.pinRetries, Read.count)
    powerCycleState = try members.optional(Key.powerCycleState, Read.boolean)
    uvRetries = try members.optional(Key.uvRetries, Read.count)
  }

  var value: CBORMap {
    var map = CBORMap()
    map[Key.keyAgreement] = keyAgreement?.value
    map[Key.pinUvAuthToken] = pinUvAuthToken.map(CBORValue.bytes)
    map[Key.pinRetries] = pinRetries.map(CBORValue.count)
    map[Key.powerCycleState] = powerCycleState.map(CBORValue.boolean)
    map[Key.uvRetries] = uvRetries.map(CBORValue.count)
    return map
  }
}
