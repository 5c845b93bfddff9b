package import CBOR

/// Bytes of a SHA-256 hash, which `clientDataHash` is.
let clientDataHashCount = 32

/// The parameters of authenticatorMakeCredential (CTAP 2.1 section 6.1; `attestationFormatsPreference` from CTAP 2.2).
package struct MakeCredentialRequest: Equatable, Sendable {
  package var clientDataHash: [UInt8]
  package var relyingParty: RelyingPartyEntity
  package var user: UserEntity
  /// In the relying party's order of preference, with entries of unknown type or algorithm.
  package var parameters: [CredentialParameters]
  package var excludeList: [CredentialDescriptor]?
  package var extensions: CBORMap?
  package var options: RequestOptions
  package var pinUvAuthParam: [UInt8]?
  package var pinUvAuthProtocol: UInt64?
  package var enterpriseAttestation: UInt64?
  package var attestationFormatsPreference: [String]?

  package init(
    clientDataHash: [UInt8], relyingParty: RelyingPartyEntity, user: UserEntity, parameters: [CredentialParameters],
    excludeList: [CredentialDescriptor]? = nil, extensions: CBORMap? = nil, options: RequestOptions = RequestOptions(),
    pinUvAuthParam: [UInt8]? = nil, pinUvAuthProtocol: UInt64? = nil, enterpriseAttestation: UInt64? = nil,
    attestationFormatsPreference: [String]? = nil
  ) {
    self.clientDataHash = clientDataHash
    self.relyingParty = relyingParty
    self.user = user
    self.parameters = parameters
    self.excludeList = excludeList
    self.extensions = extensions
    self.options = options
    self.pinUvAuthParam = pinUvAuthParam
    self.pinUvAuthProtocol = pinUvAuthProtocol
    self.enterpriseAttestation = enterpriseAttestation
    self.attestationFormatsPreference = attestationFormatsPreference
  }
}

extension MakeCredentialRequest {
  private enum Key {
    static let clientDataHash: CBORValue = 0x01
    static let relyingParty: CBORValue = 0x02
    static let user: CBORValue = 0x03
    static let parameters: CBORValue = 0x04
    static let excludeList: CBORValue = 0x05
    static let extensions: CBORValue = 0x06
    static let options: CBORValue = 0x07
    static let pinUvAuthParam: CBORValue = 0x08
    static let pinUvAuthProtocol: CBORValue = 0x09
    static let enterpriseAttestation: CBORValue = 0x0a
    static let attestationFormatsPreference: CBORValue = 0x0b
  }

  init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    clientDataHash = try members.required(Key.clientDataHash, Read.bytes(count: clientDataHashCount))
    relyingParty = try members.required(Key.relyingParty, RelyingPartyEntity.init)
    user = try members.required(Key.user, UserEntity.init)
    parameters = try members.required(Key.parameters, CredentialParameters.list)
    excludeList = try members.optional(Key.excludeList, Read.array(of: CredentialDescriptor.init))
    extensions = try members.optional(Key.extensions, Read.map)
    options = try members.optional(Key.options, RequestOptions.init) ?? RequestOptions()
    pinUvAuthParam = try members.optional(Key.pinUvAuthParam, Read.bytes)
    pinUvAuthProtocol = try members.optional(Key.pinUvAuthProtocol, Read.unsigned)
    enterpriseAttestation = try members.optional(Key.enterpriseAttestation, Read.unsigned)
    attestationFormatsPreference = try members.optional(
      Key.attestationFormatsPreference, Read.array(of: Read.text))
  }

  var value: CBORValue {
    var map = CBORMap()
    map[Key.clientDataHash] = .bytes(clientDataHash)
    map[Key.relyingParty] = relyingParty.value
    map[Key.user] = user.value
    map[Key.parameters] = .array(parameters.map(\.value))
    map[Key.excludeList] = excludeList.map { .array($0.map(\.value)) }
    map[Key.extensions] = extensions.map(CBORValue.map)
    map[Key.options] = options.value
    map[Key.pinUvAuthParam] = pinUvAuthParam.map(CBORValue.bytes)
    map[Key.pinUvAuthProtocol] = pinUvAuthProtocol.map(CBORValue.unsigned)
    map[Key.enterpriseAttestation] = enterpriseAttestation.map(CBORValue.unsigned)
    map[Key.attestationFormatsPreference] = attestationFormatsPreference.map(CBORValue.texts)
    return .map(map)
  }
}

/// What authenticatorMakeCredential returns.
package struct MakeCredentialResponse: Equatable, Sendable {
  /// The attestation statement format: "packed", "none", "tpm".
  package var format: String
  package var authenticatorData: [UInt8]
  package var attestationStatement: CBORMap
  /// epAtt: whether this is an enterprise attestation.
  package var enterpriseAttestation: Bool?
  package var largeBlobKey: [UInt8]?

  package init(
    format: String, authenticatorData: [UInt8], attestationStatement: CBORMap, enterpriseAttestation: Bool? = nil,
    largeBlobKey: [UInt8]? = nil
  ) {
    self.format = format
    self.authenticatorData = authenticatorData
    self.attestationStatement = attestationStatement
    self.enterpriseAttestation = enterpriseAttestation
    self.largeBlobKey = largeBlobKey
  }
}

extension MakeCredentialResponse {
  private enum Key {
    static let format: CBORValue = 0x01
    static let authenticatorData: CBORValue = 0x02
    static let attestationStatement: CBORValue = 0x03
    static let enterpriseAttestation: CBORValue = 0x04
    static let largeBlobKey: CBORValue = 0x05
  }

  init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    format = try members.required(Key.format, Read.text)
    authenticatorData = try members.required(Key.authenticatorData, Read.bytes)
    attestationStatement = try members.required(Key.attestationStatement, Read.map)
    enterpriseAttestation = try members.optional(Key.enterpriseAttestation, Read.boolean)
    largeBlobKey = try members.optional(Key.largeBlobKey, Read.bytes)
  }

  var value: CBORValue {
    var map = CBORMap()
    map[Key.format] = .text(format)
    map[Key.authenticatorData] = .bytes(authenticatorData)
    map[Key.attestationStatement] = .map(attestationStatement)
    map[Key.enterpriseAttestation] = enterpriseAttestation.map(CBORValue.boolean)
    map[Key.largeBlobKey] = largeBlobKey.map(CBORValue.bytes)
    return .map(map)
  }
}
