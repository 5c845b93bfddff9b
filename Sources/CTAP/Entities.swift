internal import CBOR

/// PublicKeyCredentialRpEntity.
package struct RelyingPartyEntity: Equatable, Sendable {
  /// The most bytes of an RP ID: those of a domain name (RFC 1035), and room for the application strings of OpenSSH.
  /// The standard sets no bound; without one every refusal could be thousands of bytes of log.
  package static let maximumIDCount = 255

  package var id: String
  package var name: String?

  package init(id: String, name: String? = nil) {
    self.id = id
    self.name = name
  }

  init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    id = try members.required("id", Self.readID)
    name = try members.optional("name", Read.text)
    try ignoreIcon(members)
  }

  /// - Throws: CTAP1_ERR_INVALID_LENGTH for an RP ID over ``maximumIDCount``
  static func readID(_ value: CBORValue) throws(CTAPStatus) -> String {
    let id = try Read.text(value)
    guard id.utf8.count <= maximumIDCount else { throw .invalidLength }
    return id
  }

  var value: CBORValue {
    var map: CBORMap = ["id": .text(id)]
    map["name"] = name.map(CBORValue.text)
    return .map(map)
  }
}

/// PublicKeyCredentialUserEntity.
package struct UserEntity: Equatable, Sendable {
  /// The bytes that a user handle may have. WebAuthn asks clients for one at least; authenticators take an empty one,
  /// and then do not return it.
  package static let handleCounts = 0...64

  /// The user handle.
  package var id: [UInt8]
  package var name: String?
  package var displayName: String?

  package init(id: [UInt8], name: String? = nil, displayName: String? = nil) {
    self.id = id
    self.name = name
    self.displayName = displayName
  }

  init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    id = try members.required("id", Read.bytes)
    name = try members.optional("name", Read.text)
    displayName = try members.optional("displayName", Read.text)
    try ignoreIcon(members)
    // The standard names no status for a handle that is too long; "invalid item length" it is.
    guard Self.handleCounts.contains(id.count) else { throw .invalidLength }
  }

  var value: CBORValue {
    var map: CBORMap = ["id": .bytes(id)]
    map["name"] = name.map(CBORValue.text)
    map["displayName"] = displayName.map(CBORValue.text)
    return .map(map)
  }
}

/// CTAP 2.0 had icons in both entities. CTAP 2.1 wants a text still accepted there, and nothing done with it.
private func ignoreIcon(_ members: Members) throws(CTAPStatus) {
  _ = try members.optional("icon", Read.text)
}

/// PublicKeyCredentialParameters: an algorithm that a relying party accepts or an authenticator offers.
package struct CredentialParameters: Hashable, Sendable {
  /// Of other types than this one nothing is known; requests may name them.
  package static let publicKeyType = "public-key"

  package var type: String
  /// A COSE algorithm, known or not.
  package var algorithm: Int64

  package init(type: String = publicKeyType, algorithm: Int64) {
    self.type = type
    self.algorithm = algorithm
  }

  /// Every element of the list is checked (CTAP 2.1 section 6.1.2 step 3). `alg` is mandatory for the known type only:
  /// elements of other types that lack it name nothing that could be chosen, and are left out.
  static func list(_ value: CBORValue) throws(CTAPStatus) -> [CredentialParameters] {
    try Read.array(of: element)(value).compactMap(\.self)
  }

  private static func element(_ value: CBORValue) throws(CTAPStatus) -> CredentialParameters? {
    let members = try Members(value)
    let type = try members.required("type", Read.text)
    let algorithm = try members.optional("alg", Read.integer)
    guard let algorithm else {
      guard type != publicKeyType else { throw .missingParameter }
      return nil
    }
    return CredentialParameters(type: type, algorithm: algorithm)
  }

  var value: CBORValue {
    .map(["type": .text(type), "alg": .integer(algorithm)])
  }
}

/// PublicKeyCredentialDescriptor.
package struct CredentialDescriptor: Equatable, Sendable {
  package var type: String
  package var id: [UInt8]
  package var transports: [String]?

  package init(type: String = CredentialParameters.publicKeyType, id: [UInt8], transports: [String]? = nil) {
    self.type = type
    self.id = id
    self.transports = transports
  }

  init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    type = try members.required("type", Read.text)
    id = try members.required("id", Read.bytes)
    transports = try members.optional("transports", Read.array(of: Read.text))
  }

  var value: CBORValue {
    var map: CBORMap = ["type": .text(type), "id": .bytes(id)]
    map["transports"] = transports.map(CBORValue.texts)
    return .map(map)
  }
}

/// The options of a request; nil where the platform left it to the default. Unknown options are ignored.
package struct RequestOptions: Equatable, Sendable {
  /// Discoverable.
  package var rk: Bool?
  /// User presence.
  package var up: Bool?
  /// User verification.
  package var uv: Bool?

  package init(rk: Bool? = nil, up: Bool? = nil, uv: Bool? = nil) {
    self.rk = rk
    self.up = up
    self.uv = uv
  }

  init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    rk = try members.optional("rk", Read.boolean)
    up = try members.optional("up", Read.boolean)
    uv = try members.optional("uv", Read.boolean)
  }

  /// nil if there is nothing to say, since an empty map says nothing.
  var value: CBORValue? {
    var map = CBORMap()
    map["rk"] = rk.map(CBORValue.boolean)
    map["up"] = up.map(CBORValue.boolean)
    map["uv"] = uv.map(CBORValue.boolean)
    return map.isEmpty ? nil : .map(map)
  }
}
