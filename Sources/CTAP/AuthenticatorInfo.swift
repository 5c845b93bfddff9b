internal import CBOR

/// What authenticatorGetInfo returns (CTAP 2.1 section 6.4; `attestationFormats` and what follows from CTAP 2.2 and later).
///
/// Members that are nil or empty are not sent.
package struct AuthenticatorInfo: Equatable, Sendable {
  package var versions: [String]
  package var extensions: [String] = []
  /// 16 bytes.
  package var aaguid: [UInt8]
  package var options: [String: Bool] = [:]
  package var maxMessageSize: Int?
  package var pinUvAuthProtocols: [UInt64] = []
  package var maxCredentialCountInList: Int?
  package var maxCredentialIDLength: Int?
  package var transports: [String] = []
  package var algorithms: [CredentialParameters] = []
  package var maxSerializedLargeBlobArray: Int?
  package var forcePINChange: Bool?
  package var minPINLength: Int?
  package var firmwareVersion: UInt64?
  package var maxCredBlobLength: Int?
  package var maxRPIDsForSetMinPINLength: Int?
  package var preferredPlatformUvAttempts: Int?
  package var uvModality: UInt64?
  package var certifications: [String: UInt64] = [:]
  package var remainingDiscoverableCredentials: Int?
  package var vendorPrototypeConfigCommands: [UInt64] = []
  package var attestationFormats: [String] = []
  package var uvCountSinceLastPINEntry: Int?
  package var longTouchForReset: Bool?
  /// Encrypted under a key that only holders of a persistent token can derive, and so is ``encCredStoreState``.
  package var encIdentifier: [UInt8]?
  package var transportsForReset: [String] = []
  package var pinComplexityPolicy: Bool?
  /// UTF-8.
  package var pinComplexityPolicyURL: [UInt8]?
  package var maxPINLength: Int?
  package var encCredStoreState: [UInt8]?
  package var authenticatorConfigCommands: [UInt64] = []

  package init(versions: [String], aaguid: [UInt8]) {
    precondition(aaguid.count == AuthenticatorInfo.aaguidCount, "an AAGUID has 16 bytes")
    self.versions = versions
    self.aaguid = aaguid
  }

  private static let aaguidCount = 16
}

extension AuthenticatorInfo {
  private enum Key {
    static let versions: CBORValue = 0x01
    static let extensions: CBORValue = 0x02
    static let aaguid: CBORValue = 0x03
    static let options: CBORValue = 0x04
    static let maxMessageSize: CBORValue = 0x05
    static let pinUvAuthProtocols: CBORValue = 0x06
    static let maxCredentialCountInList: CBORValue = 0x07
    static let maxCredentialIDLength: CBORValue = 0x08
    static let transports: CBORValue = 0x09
    static let algorithms: CBORValue = 0x0a
    static let maxSerializedLargeBlobArray: CBORValue = 0x0b
    static let forcePINChange: CBORValue = 0x0c
    static let minPINLength: CBORValue = 0x0d
    static let firmwareVersion: CBORValue = 0x0e
    static let maxCredBlobLength: CBORValue = 0x0f
    static let maxRPIDsForSetMinPINLength: CBORValue = 0x10
    static let preferredPlatformUvAttempts: CBORValue = 0x11
    static let uvModality: CBORValue = 0x12
    static let certifications: CBORValue = 0x13
    static let remainingDiscoverableCredentials: CBORValue = 0x14
    static let vendorPrototypeConfigCommands: CBORValue = 0x15
    static let attestationFormats: CBORValue = 0x16
    static let uvCountSinceLastPINEntry: CBORValue = 0x17
    static let longTouchForReset: CBORValue = 0x18
    static let encIdentifier: CBORValue = 0x19
    static let transportsForReset: CBORValue = 0x1a
    static let pinComplexityPolicy: CBORValue = 0x1b
    static let pinComplexityPolicyURL: CBORValue = 0x1c
    static let maxPINLength: CBORValue = 0x1d
    static let encCredStoreState: CBORValue = 0x1e
    static let authenticatorConfigCommands: CBORValue = 0x1f
  }

  init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    let texts = Read.array(of: Read.text)
    let numbers = Read.array(of: Read.unsigned)
    versions = try members.required(Key.versions, texts)
    extensions = try members.optional(Key.extensions, texts) ?? []
    aaguid = try members.required(Key.aaguid, Read.bytes(count: Self.aaguidCount))
    options = try members.optional(Key.options, Read.dictionary(of: Read.boolean)) ?? [:]
    maxMessageSize = try members.optional(Key.maxMessageSize, Read.count)
    pinUvAuthProtocols = try members.optional(Key.pinUvAuthProtocols, numbers) ?? []
    maxCredentialCountInList = try members.optional(Key.maxCredentialCountInList, Read.count)
    maxCredentialIDLength = try members.optional(Key.maxCredentialIDLength, Read.count)
    transports = try members.optional(Key.transports, texts) ?? []
    algorithms = try members.optional(Key.algorithms, CredentialParameters.list) ?? []
    maxSerializedLargeBlobArray = try members.optional(Key.maxSerializedLargeBlobArray, Read.count)
    forcePINChange = try members.optional(Key.forcePINChange, Read.boolean)
    minPINLength = try members.optional(Key.minPINLength, Read.count)
    firmwareVersion = try members.optional(Key.firmwareVersion, Read.unsigned)
    maxCredBlobLength = try members.optional(Key.maxCredBlobLength, Read.count)
    maxRPIDsForSetMinPINLength = try members.optional(Key.maxRPIDsForSetMinPINLength, Read.count)
    preferredPlatformUvAttempts = try members.optional(Key.preferredPlatformUvAttempts, Read.count)
    uvModality = try members.optional(Key.uvModality, Read.unsigned)
    certifications = try members.optional(Key.certifications, Read.dictionary(of: Read.unsigned)) ?? [:]
    remainingDiscoverableCredentials = try members.optional(Key.remainingDiscoverableCredentials, Read.count)
    vendorPrototypeConfigCommands = try members.optional(Key.vendorPrototypeConfigCommands, numbers) ?? []
    attestationFormats = try members.optional(Key.attestationFormats, texts) ?? []
    uvCountSinceLastPINEntry = try members.optional(Key.uvCountSinceLastPINEntry, Read.count)
    longTouchForReset = try members.optional(Key.longTouchForReset, Read.boolean)
    encIdentifier = try members.optional(Key.encIdentifier, Read.bytes)
    transportsForReset = try members.optional(Key.transportsForReset, texts) ?? []
    pinComplexityPolicy = try members.optional(Key.pinComplexityPolicy, Read.boolean)
    pinComplexityPolicyURL = try members.optional(Key.pinComplexityPolicyURL, Read.bytes)
    maxPINLength = try members.optional(Key.maxPINLength, Read.count)
    encCredStoreState = try members.optional(Key.encCredStoreState, Read.bytes)
    authenticatorConfigCommands = try members.optional(Key.authenticatorConfigCommands, numbers) ?? []
  }

  var value: CBORValue {
    var map = CBORMap()
    map[Key.versions] = .texts(versions)
    map[Key.extensions] = unlessEmpty(extensions).map(CBORValue.texts)
    map[Key.aaguid] = .bytes(aaguid)
    map[Key.options] = Self.map(of: options.mapValues(CBORValue.boolean))
    map[Key.maxMessageSize] = maxMessageSize.map(CBORValue.count)
    map[Key.pinUvAuthProtocols] = Self.array(of: pinUvAuthProtocols)
    map[Key.maxCredentialCountInList] = maxCredentialCountInList.map(CBORValue.count)
    map[Key.maxCredentialIDLength] = maxCredentialIDLength.map(CBORValue.count)
    map[Key.transports] = unlessEmpty(transports).map(CBORValue.texts)
    map[Key.algorithms] = unlessEmpty(algorithms).map { .array($0.map(\.value)) }
    map[Key.maxSerializedLargeBlobArray] = maxSerializedLargeBlobArray.map(CBORValue.count)
    map[Key.forcePINChange] = forcePINChange.map(CBORValue.boolean)
    map[Key.minPINLength] = minPINLength.map(CBORValue.count)
    map[Key.firmwareVersion] = firmwareVersion.map(CBORValue.unsigned)
    map[Key.maxCredBlobLength] = maxCredBlobLength.map(CBORValue.count)
    map[Key.maxRPIDsForSetMinPINLength] = maxRPIDsForSetMinPINLength.map(CBORValue.count)
    map[Key.preferredPlatformUvAttempts] = preferredPlatformUvAttempts.map(CBORValue.count)
    map[Key.uvModality] = uvModality.map(CBORValue.unsigned)
    map[Key.certifications] = Self.map(of: certifications.mapValues(CBORValue.unsigned))
    map[Key.remainingDiscoverableCredentials] = remainingDiscoverableCredentials.map(CBORValue.count)
    map[Key.vendorPrototypeConfigCommands] = Self.array(of: vendorPrototypeConfigCommands)
    map[Key.attestationFormats] = unlessEmpty(attestationFormats).map(CBORValue.texts)
    map[Key.uvCountSinceLastPINEntry] = uvCountSinceLastPINEntry.map(CBORValue.count)
    map[Key.longTouchForReset] = longTouchForReset.map(CBORValue.boolean)
    map[Key.encIdentifier] = encIdentifier.map(CBORValue.bytes)
    map[Key.transportsForReset] = unlessEmpty(transportsForReset).map(CBORValue.texts)
    map[Key.pinComplexityPolicy] = pinComplexityPolicy.map(CBORValue.boolean)
    map[Key.pinComplexityPolicyURL] = pinComplexityPolicyURL.map(CBORValue.bytes)
    map[Key.maxPINLength] = maxPINLength.map(CBORValue.count)
    map[Key.encCredStoreState] = encCredStoreState.map(CBORValue.bytes)
    map[Key.authenticatorConfigCommands] = Self.array(of: authenticatorConfigCommands)
    return .map(map)
  }

  private static func array(of numbers: [UInt64]) -> CBORValue? {
    unlessEmpty(numbers).map { .array($0.map(CBORValue.unsigned)) }
  }

  private static func map(of members: [String: CBORValue]) -> CBORValue? {
    var map = CBORMap()
    for (name, value) in members {
      map[.text(name)] = value
    }
    return map.isEmpty ? nil : .map(map)
  }
}

private func unlessEmpty<Element>(_ elements: [Element]) -> [Element]? {
  elements.isEmpty ? nil : elements
}
