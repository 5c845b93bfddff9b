internal import CBOR
package import Crypto

/// The public half of one side of a key agreement: a COSE_Key on P-256 (CTAP 2.1 section 6.5.6, `getPublicKey()`).
package struct KeyAgreementPoint: Equatable, Sendable {
  /// 32 bytes, big-endian.
  package let x: [UInt8]
  /// 32 bytes, big-endian.
  package let y: [UInt8]

  /// nil for coordinates that are not 32 bytes. Whether the point lies on the curve is for the agreement to find out.
  package init?(x: [UInt8], y: [UInt8]) {
    guard x.count == KeyAgreementKey.coordinateCount, y.count == KeyAgreementKey.coordinateCount else { return nil }
    self.x = x
    self.y = y
  }

  /// The point of one's own key.
  package init(of key: borrowing KeyAgreementKey) {
    (x, y) = key.publicKey
  }

  /// Labels and values of RFC 9052 section 7.1 and RFC 9053 section 7.
  private enum Label {
    static let keyType: CBORValue = 1
    static let algorithm: CBORValue = 3
    static let curve: CBORValue = -1
    static let x: CBORValue = -2
    static let y: CBORValue = -3
  }

  private enum Constant {
    static let ec2: Int64 = 2
    /// ECDH-ES + HKDF-256: what the standard has both sides say, though neither protocol derives its keys so.
    static let algorithm: Int64 = -25
    static let p256: Int64 = 1
  }

  init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    let keyType = try members.required(Label.keyType, Read.integer)
    let algorithm = try members.required(Label.algorithm, Read.integer)
    let curve = try members.required(Label.curve, Read.integer)
    let x = try members.required(Label.x, Read.bytes)
    let y = try members.required(Label.y, Read.bytes)
    guard keyType == Constant.ec2, algorithm == Constant.algorithm, curve == Constant.p256,
      let point = Self(x: x, y: y)
    else { throw .invalidParameter }
    self = point
  }

  var value: CBORValue {
    .map([
      Label.keyType: .integer(Constant.ec2), Label.algorithm: .integer(Constant.algorithm),
      Label.curve: .integer(Constant.p256), Label.x: .bytes(x), Label.y: .bytes(y),
    ])
  }
}
