package import CBOR

/// The parameters of authenticatorGetAssertion (CTAP 2.1 section 6.2).
package struct GetAssertionRequest: Equatable, Sendable {
  package var relyingPartyID: String
  package var clientDataHash: [UInt8]
  /// nil or empty: any discoverable credential.
  package var allowList: [CredentialDescriptor]?
  package var extensions: CBORMap?
  package var options: RequestOptions
  package var pinUvAuthParam: [UInt8]?
  package var pinUvAuthProtocol: UInt64?

  package init(
    relyingPartyID: String, clientDataHash: [UInt8], allowList: [CredentialDescriptor]? = nil,
    extensions: CBORMap? = nil, options: RequestOptions = RequestOptions(), pinUvAuthParam: [UInt8]? = nil,
    pinUvAuthProtocol: UInt64? = nil
  ) {
    self.relyingPartyID = relyingPartyID
    self.clientDataHash = clientDataHash
    self.allowList = allowList
    self.extensions = extensions
    self.options = options
    self.pinUvAuthParam = pinUvAuthParam
    self.pinUvAuthProtocol = pinUvAuthProtocol
  }
}

extension GetAssertionRequest {
  private enum Key {
    static let relyingPartyID: CBORValue = 0x01
    static let clientDataHash: CBORValue = 0x02
    static let allowList: CBORValue = 0x03
    static let extensions: CBORValue = 0x04
    static let options: CBORValue = 0x05
    static let pinUvAuthParam: CBORValue = 0x06
    static let pinUvAuthProtocol: CBORValue = 0x07
  }

  init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    relyingPartyID = try members.required(Key.relyingPartyID, RelyingPartyEntity.readID)
    clientDataHash = try members.required(Key.clientDataHash, Read.bytes(count: clientDataHashCount))
    allowList = try members.optional(Key.allowList, Read.array(of: CredentialDescriptor.init))
    extensions = try members.optional(Key.extensions, Read.map)
    options = try members.optional(Key.options, RequestOptions.init) ?? RequestOptions()
    pinUvAuthParam = try members.optional(Key.pinUvAuthParam, Read.bytes)
    pinUvAuthProtocol = try members.optional(Key.pinUvAuthProtocol, Read.unsigned)
  }

  var value: CBORValue {
    var map = CBORMap()
    map[Key.relyingPartyID] = .text(relyingPartyID)
    map[Key.clientDataHash] = .bytes(clientDataHash)
    map[Key.allowList] = allowList.map { .array($0.map(\.value)) }
    map[Key.extensions] = extensions.map(CBORValue.map)
    map[Key.options] = options.value
    map[Key.pinUvAuthParam] = pinUvAuthParam.map(CBORValue.bytes)
    map[Key.pinUvAuthProtocol] = pinUvAuthProtocol.map(CBORValue.unsigned)
    return .map(map)
  }
}

/// What authenticatorGetAssertion and authenticatorGetNextAssertion return.
package struct AssertionResponse: Equatable, Sendable {
  package var credential: CredentialDescriptor
  package var authenticatorData: [UInt8]
  package var signature: [UInt8]
  package var user: UserEntity?
  /// Only in the first of several assertions.
  package var numberOfCredentials: Int?
  package var userSelected: Bool?
  package var largeBlobKey: [UInt8]?

  package init(
    credential: CredentialDescriptor, authenticatorData: [UInt8], signature: [UInt8], user: UserEntity? = nil,
    numberOfCredentials: Int? = nil, userSelected: Bool? = nil, largeBlobKey: [UInt8]? = nil
  ) {
    self.credential = credential
    self.authenticatorData = authenticatorData
    self.signature = signature
    self.user = user
    self.numberOfCredentials = numberOfCredentials
    self.userSelected = userSelected
    self.largeBlobKey = largeBlobKey
  }
}

extension AssertionResponse {
  private enum Key {
    static let credential: CBORValue = 0x01
    static let authenticatorData: CBORValue = 0x02
    static let signature: CBORValue = 0x03
    static let user: CBORValue = 0x04
    static let numberOfCredentials: CBORValue = 0x05
    static let userSelected: CBORValue = 0x06
    static let largeBlobKey: CBORValue = 0x07
  }

  init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    credential = try members.required(Key.credential, CredentialDescriptor.init)
    authenticatorData = try members.required(Key.authenticatorData, Read.bytes)
    signature = try members.required(Key.signature, Read.bytes)
    user = try members.optional(Key.user, UserEntity.init)
    numberOfCredentials = try members.optional(Key.numberOfCredentials, Read.count)
    userSelected = try members.optional(Key.userSelected, Read.boolean)
    largeBlobKey = try members.optional(Key.largeBlobKey, Read.bytes)
  }

  var value: CBORValue {
    var map = CBORMap()
    map[Key.credential] = credential.value
    map[Key.authenticatorData] = .bytes(authenticatorData)
    map[Key.signature] = .bytes(signature)
    map[Key.user] = user?.value
    map[Key.numberOfCredentials] = numberOfCredentials.map(CBORValue.count)
    map[Key.userSelected] = userSelected.map(CBORValue.boolean)
    map[Key.largeBlobKey] = largeBlobKey.map(CBORValue.bytes)
    return .map(map)
  }
}
