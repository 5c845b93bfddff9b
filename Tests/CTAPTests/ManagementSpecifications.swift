import CBOR
import CTAP

extension MessageSpecification {
  static let clientPIN = MessageSpecification(
    name: "clientPIN", bytes: Fixtures.clientPINBytes,
    members: [
      .optional(1, kind: .unsigned), .required(2, kind: .unsigned), .optional(3, kind: .map),
      .optional(4, kind: .bytes), .optional(5, kind: .bytes), .optional(6, kind: .bytes), .optional(9, kind: .unsigned),
      .optional(10, kind: .text),
    ] + Member.point(at: 3),
    openMaps: [[3]], recode: recodeRequest)

  static let clientPINResponse = MessageSpecification(
    name: "clientPIN's response", bytes: Fixtures.clientPINResponseBytes,
    members: [
      .optional(1, kind: .map), .optional(2, kind: .bytes), .optional(3, kind: .unsigned), .optional(4, kind: .boolean),
      .optional(5, kind: .unsigned),
    ] + Member.point(at: 1),
    openMaps: [[1]], ofEmptyMap: .ok, ofNoMap: .ok, recode: recodeResponse(to: .clientPIN))

  /// The maps within subCommandParams are not open here: what is unknown in them stays, since it is authenticated.
  static let credentialManagement = MessageSpecification(
    name: "credentialManagement", bytes: Fixtures.credentialManagementBytes,
    members: [
      .required(1, kind: .unsigned), .optional(2, kind: .map), .optional(2, 1, kind: .bytes),
      .optional(2, 2, kind: .map), .required(2, 2, "id", kind: .bytes), .required(2, 2, "type", kind: .text),
      .optional(2, 2, "transports", kind: .array), .optional(2, 2, "transports", 1, kind: .text),
      .optional(2, 3, kind: .map), .required(2, 3, "id", kind: .bytes), .optional(2, 3, "name", kind: .text),
      .optional(2, 3, "displayName", kind: .text), .optional(3, kind: .unsigned), .optional(4, kind: .bytes),
    ],
    openMaps: [], recode: recodeRequest)

  static let credentialManagementResponse = MessageSpecification(
    name: "credentialManagement's response", bytes: Fixtures.credentialManagementResponseBytes,
    members: [
      .optional(1, kind: .unsigned), .optional(2, kind: .unsigned), .optional(3, kind: .map),
      .required(3, "id", kind: .text), .optional(3, "name", kind: .text), .optional(4, kind: .bytes),
      .optional(5, kind: .unsigned), .optional(6, kind: .map), .required(6, "id", kind: .bytes),
      .optional(6, "name", kind: .text), .optional(6, "displayName", kind: .text), .optional(7, kind: .map),
      .required(7, "id", kind: .bytes), .required(7, "type", kind: .text), .optional(8, kind: .map),
      .optional(9, kind: .unsigned), .optional(10, kind: .unsigned), .optional(11, kind: .bytes),
    ],
    openMaps: [[3], [6], [7]], ofEmptyMap: .ok, ofNoMap: .ok, recode: recodeResponse(to: .credentialManagement))

  static let config = MessageSpecification(
    name: "config", bytes: Fixtures.configBytes,
    members: [
      .required(1, kind: .unsigned), .optional(2, kind: .map), .optional(2, 1, kind: .unsigned),
      .optional(2, 2, kind: .array), .optional(2, 2, 1, kind: .text), .optional(2, 3, kind: .boolean),
      .optional(3, kind: .unsigned), .optional(4, kind: .bytes),
    ],
    openMaps: [], recode: recodeRequest)

  static let largeBlobs = MessageSpecification(
    name: "largeBlobs", bytes: Fixtures.largeBlobsBytes,
    members: [
      .optional(1, kind: .unsigned), .optional(2, kind: .bytes), .optional(3, kind: .unsigned),
      .optional(4, kind: .unsigned), .optional(5, kind: .bytes), .optional(6, kind: .unsigned),
    ],
    openMaps: [], ofEmptyMap: .ok, recode: recodeRequest)

  static let largeBlobsResponse = MessageSpecification(
    name: "largeBlobs' response", bytes: Fixtures.largeBlobsResponseBytes, members: [.optional(1, kind: .bytes)],
    openMaps: [], ofEmptyMap: .ok, ofNoMap: .ok, recode: recodeResponse(to: .largeBlobs))

  static let creationExtensions = MessageSpecification(
    name: "extensions of makeCredential", bytes: [0x00] + Fixtures.creationExtensionsBytes,
    members: [
      .optional("credProtect", kind: .unsigned), .optional("hmac-secret", kind: .boolean),
      .optional("credBlob", kind: .bytes), .optional("largeBlobKey", kind: .boolean),
      .optional("minPinLength", kind: .boolean),
    ] + Member.hmacSecret(at: "hmac-secret-mc"),
    openMaps: [["hmac-secret-mc"], ["hmac-secret-mc", 1]], ofEmptyMap: .ok,
    recode: recodeExtensions { (map) throws(CTAPStatus) in try CreationExtensions(map).value })

  static let assertionExtensions = MessageSpecification(
    name: "extensions of getAssertion", bytes: [0x00] + Fixtures.assertionExtensionsBytes,
    members: [.optional("credBlob", kind: .boolean), .optional("largeBlobKey", kind: .boolean)]
      + Member.hmacSecret(at: "hmac-secret"),
    openMaps: [["hmac-secret"], ["hmac-secret", 1]], ofEmptyMap: .ok,
    recode: recodeExtensions { (map) throws(CTAPStatus) in try AssertionExtensions(map).value })
}

extension MessageSpecification.Member {
  /// The members of a key-agreement key.
  static func point(at path: CBORValue...) -> [Self] {
    point(at: path)
  }

  static func hmacSecret(at key: CBORValue) -> [Self] {
    [
      .optional(key, kind: .map), .required(key, 1, kind: .map), .required(key, 2, kind: .bytes),
      .required(key, 3, kind: .bytes), .optional(key, 4, kind: .unsigned),
    ] + point(at: [key, 1])
  }

  private static func point(at path: [CBORValue]) -> [Self] {
    let kinds: [(CBORValue, MessageSpecification.Kind)] = [
      (1, .integer), (3, .integer), (-1, .integer), (-2, .bytes), (-3, .bytes),
    ]
    return kinds.map { Self(path: path + [$0], kind: $1, isRequired: true) }
  }
}

/// Extensions are decoded by themselves: a byte that stands for the command, and the map.
private func recodeExtensions(
  _ recode: @escaping @Sendable (CBORMap) throws(CTAPStatus) -> CBORMap?
) -> @Sendable ([UInt8]) throws(CTAPStatus) -> [UInt8] {
  { (message) throws(CTAPStatus) in
    guard let head = message.first else { throw .invalidLength }
    let value: CBORValue
    do {
      value = try CanonicalCBOR.decode(Array(message.dropFirst()))
    } catch {
      throw .invalidCBOR
    }
    guard case .map(let map) = value else { throw .cborUnexpectedType }
    return [head] + CanonicalCBOR.encode(.map(try recode(map) ?? [:]))
  }
}
