package import CBOR

/// The names of the extensions in requests, outputs and getInfo (CTAP 2.1 section 12; hmac-secret-mc from CTAP 2.2).
package enum ExtensionName {
  package static let credBlob = "credBlob"
  package static let credProtect = "credProtect"
  package static let hmacSecret = "hmac-secret"
  package static let hmacSecretMC = "hmac-secret-mc"
  package static let largeBlobKey = "largeBlobKey"
  package static let minPINLength = "minPinLength"
}

/// The input of hmac-secret at an assertion, and of hmac-secret-mc at a creation (CTAP 2.1 section 12.5).
package struct HMACSecretInput: Equatable, Sendable {
  package var keyAgreement: KeyAgreementPoint
  /// One salt or two, encrypted.
  package var saltEnc: [UInt8]
  package var saltAuth: [UInt8]
  package var pinUvAuthProtocol: UInt64?

  package init(
    keyAgreement: KeyAgreementPoint, saltEnc: [UInt8], saltAuth: [UInt8], pinUvAuthProtocol: UInt64? = nil
  ) {
    self.keyAgreement = keyAgreement
    self.saltEnc = saltEnc
    self.saltAuth = saltAuth
    self.pinUvAuthProtocol = pinUvAuthProtocol
  }
}

extension HMACSecretInput {
  private enum Key {
    static let keyAgreement: CBORValue = 0x01
    static let saltEnc: CBORValue = 0x02
    static let saltAuth: CBORValue = 0x03
    static let pinUvAuthProtocol: CBORValue = 0x04
  }

  init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    keyAgreement = try members.required(Key.keyAgreement, KeyAgreementPoint.init)
    saltEnc = try members.required(Key.saltEnc, Read.bytes)
    saltAuth = try members.required(Key.saltAuth, Read.bytes)
    pinUvAuthProtocol = try members.optional(Key.pinUvAuthProtocol, Read.unsigned)
  }

  var value: CBORValue {
    var map: CBORMap = [
      Key.keyAgreement: keyAgreement.value, Key.saltEnc: .bytes(saltEnc), Key.saltAuth: .bytes(saltAuth),
    ]
    map[Key.pinUvAuthProtocol] = pinUvAuthProtocol.map(CBORValue.unsigned)
    return .map(map)
  }
}

/// The extension inputs of authenticatorMakeCredential; nil where absent. Unknown extensions are ignored.
package struct CreationExtensions: Equatable, Sendable {
  /// Any number, for the authenticator to judge.
  package var credProtect: UInt64?
  package var hmacSecret: Bool?
  package var hmacSecretMC: HMACSecretInput?
  /// Of any length, for the authenticator to judge.
  package var credBlob: [UInt8]?
  package var largeBlobKey: Bool?
  package var minPINLength: Bool?

  package init(
    credProtect: UInt64? = nil, hmacSecret: Bool? = nil, hmacSecretMC: HMACSecretInput? = nil,
    credBlob: [UInt8]? = nil, largeBlobKey: Bool? = nil, minPINLength: Bool? = nil
  ) {
    self.credProtect = credProtect
    self.hmacSecret = hmacSecret
    self.hmacSecretMC = hmacSecretMC
    self.credBlob = credBlob
    self.largeBlobKey = largeBlobKey
    self.minPINLength = minPINLength
  }

  /// Reads `extensions` of a request.
  package init(_ map: CBORMap?) throws(CTAPStatus) {
    let members = Members(map: map ?? CBORMap())
    credProtect = try members.optional(.text(ExtensionName.credProtect), Read.unsigned)
    hmacSecret = try members.optional(.text(ExtensionName.hmacSecret), Read.boolean)
    hmacSecretMC = try members.optional(.text(ExtensionName.hmacSecretMC), HMACSecretInput.init)
    credBlob = try members.optional(.text(ExtensionName.credBlob), Read.bytes)
    largeBlobKey = try members.optional(.text(ExtensionName.largeBlobKey), Read.boolean)
    minPINLength = try members.optional(.text(ExtensionName.minPINLength), Read.boolean)
  }

  /// `extensions` of a request; nil where none is asked for.
  package var value: CBORMap? {
    var map = CBORMap()
    map[.text(ExtensionName.credProtect)] = credProtect.map(CBORValue.unsigned)
    map[.text(ExtensionName.hmacSecret)] = hmacSecret.map(CBORValue.boolean)
    map[.text(ExtensionName.hmacSecretMC)] = hmacSecretMC?.value
    map[.text(ExtensionName.credBlob)] = credBlob.map(CBORValue.bytes)
    map[.text(ExtensionName.largeBlobKey)] = largeBlobKey.map(CBORValue.boolean)
    map[.text(ExtensionName.minPINLength)] = minPINLength.map(CBORValue.boolean)
    return map.isEmpty ? nil : map
  }
}

/// The extension inputs of authenticatorGetAssertion; nil where absent. Unknown extensions are ignored.
package struct AssertionExtensions: Equatable, Sendable {
  package var hmacSecret: HMACSecretInput?
  package var credBlob: Bool?
  package var largeBlobKey: Bool?

  package init(hmacSecret: HMACSecretInput? = nil, credBlob: Bool? = nil, largeBlobKey: Bool? = nil) {
    self.hmacSecret = hmacSecret
    self.credBlob = credBlob
    self.largeBlobKey = largeBlobKey
  }

  /// Reads `extensions` of a request.
  package init(_ map: CBORMap?) throws(CTAPStatus) {
    let members = Members(map: map ?? CBORMap())
    hmacSecret = try members.optional(.text(ExtensionName.hmacSecret), HMACSecretInput.init)
    credBlob = try members.optional(.text(ExtensionName.credBlob), Read.boolean)
    largeBlobKey = try members.optional(.text(ExtensionName.largeBlobKey), Read.boolean)
  }

  /// `extensions` of a request; nil where none is asked for.
  package var value: CBORMap? {
    var map = CBORMap()
    map[.text(ExtensionName.hmacSecret)] = hmacSecret?.value
    map[.text(ExtensionName.credBlob)] = credBlob.map(CBORValue.boolean)
    map[.text(ExtensionName.largeBlobKey)] = largeBlobKey.map(CBORValue.boolean)
    return map.isEmpty ? nil : map
  }
}
