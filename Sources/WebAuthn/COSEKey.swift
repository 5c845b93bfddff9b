package import CBOR
internal import Crypto

/// COSE_Key as WebAuthn section 6.5.1.1 has it: `alg`, what it requires, and nothing else.
extension CredentialPublicKey {
  /// Labels of RFC 9052 section 7.1 and RFC 9053 section 7.
  private enum Label {
    static let keyType: CBORValue = 1
    static let algorithm: CBORValue = 3
    static let curve: CBORValue = -1
    static let x: CBORValue = -2
    static let y: CBORValue = -3
    static let modulus: CBORValue = -1
    static let exponent: CBORValue = -2
  }

  private enum KeyType {
    static let ec2: CBORValue = 2
    static let rsa: CBORValue = 3
  }

  private enum Curve {
    static let p256: CBORValue = 1
    static let p384: CBORValue = 2
  }

  package var coseKey: CBORValue {
    let algorithm = CBORValue.integer(algorithm.rawValue)
    return switch self {
    case .es256(let x, let y):
      .map([
        Label.keyType: KeyType.ec2, Label.algorithm: algorithm, Label.curve: Curve.p256, Label.x: .bytes(x),
        Label.y: .bytes(y),
      ])
    case .es384(let x, let y):
      .map([
        Label.keyType: KeyType.ec2, Label.algorithm: algorithm, Label.curve: Curve.p384, Label.x: .bytes(x),
        Label.y: .bytes(y),
      ])
    case .rs256(let modulus, let exponent):
      .map([
        Label.keyType: KeyType.rsa, Label.algorithm: algorithm, Label.modulus: .bytes(modulus),
        Label.exponent: .bytes(exponent),
      ])
    }
  }

  /// Reads a COSE_Key. Whether a point lies on its curve is for the signature's verification to find out.
  package init(coseKey: CBORValue) throws(AuthenticatorDataError) {
    guard case .map(let map) = coseKey else { throw .wrong("COSE_Key") }
    guard let algorithm = map[Label.algorithm] else { throw .missing("alg") }
    guard let number = algorithm.integer else { throw .wrong("alg") }
    switch COSEAlgorithm(rawValue: number) {
    case .es256:
      let (x, y) = try Self.point(map, on: Curve.p256, coordinateCount: 32)
      self = .es256(x: x, y: y)
    case .es384:
      let (x, y) = try Self.point(map, on: Curve.p384, coordinateCount: 48)
      self = .es384(x: x, y: y)
    case .rs256:
      try Self.require(map, Label.keyType, "kty", KeyType.rsa)
      self = .rs256(
        modulus: try Self.number(map, Label.modulus, "n"), exponent: try Self.number(map, Label.exponent, "e"))
      guard map.count == 4 else { throw .superfluous }
    case nil: throw .unsupportedAlgorithm(number)
    }
  }

  package func encoded() -> [UInt8] {
    CanonicalCBOR.encode(coseKey)
  }

  package static func decode(_ bytes: [UInt8]) throws(AuthenticatorDataError) -> CredentialPublicKey {
    let value: CBORValue
    do {
      value = try CanonicalCBOR.decode(bytes)
    } catch {
      throw .cbor(error)
    }
    return try CredentialPublicKey(coseKey: value)
  }

  /// The key as a DER SubjectPublicKeyInfo, as `getPublicKey()` of a registration returns it.
  package var subjectPublicKeyInfo: [UInt8] {
    switch self {
    case .es256(let x, let y): SubjectPublicKeyInfo.encodeP256(x: x, y: y)
    case .es384(let x, let y): SubjectPublicKeyInfo.encodeP384(x: x, y: y)
    case .rs256(let modulus, let exponent): SubjectPublicKeyInfo.encodeRSA(modulus: modulus, exponent: exponent)
    }
  }
}

extension CredentialPublicKey {
  private static func point(
    _ map: CBORMap, on curve: CBORValue, coordinateCount: Int
  ) throws(AuthenticatorDataError) -> (x: [UInt8], y: [UInt8]) {
    try require(map, Label.keyType, "kty", KeyType.ec2)
    try require(map, Label.curve, "crv", curve)
    let x = try bytes(map, Label.x, "x")
    guard x.count == coordinateCount else { throw .wrong("x") }
    // WebAuthn forbids the compressed form, in which y would be a boolean.
    let y = try bytes(map, Label.y, "y")
    guard y.count == coordinateCount else { throw .wrong("y") }
    guard map.count == 5 else { throw .superfluous }
    return (x, y)
  }

  /// An unsigned number without leading zeros (RFC 8230 section 4).
  private static func number(
    _ map: CBORMap, _ label: CBORValue, _ name: String
  ) throws(AuthenticatorDataError) -> [UInt8] {
    let bytes = try bytes(map, label, name)
    guard let first = bytes.first, first != 0 else { throw .wrong(name) }
    return bytes
  }

  private static func bytes(
    _ map: CBORMap, _ label: CBORValue, _ name: String
  ) throws(AuthenticatorDataError) -> [UInt8] {
    guard let value = map[label] else { throw .missing(name) }
    guard case .bytes(let bytes) = value else { throw .wrong(name) }
    return bytes
  }

  private static func require(
    _ map: CBORMap, _ label: CBORValue, _ name: String, _ expected: CBORValue
  ) throws(AuthenticatorDataError) {
    guard let value = map[label] else { throw .missing(name) }
    guard value == expected else { throw .wrong(name) }
  }
}
