internal import Crypto

/// The key that signs the chain, as those know it who verify.
package struct AuditKey: Equatable, Sendable {
  /// SubjectPublicKeyInfo of a P-256 key.
  package let publicKey: [UInt8]
  /// The anchor when the key was made: a log that has been kept whole begins with this one.
  package let firstAnchor: UInt64

  private let x: [UInt8]
  private let y: [UInt8]

  /// nil where this is no P-256 key with an uncompressed point.
  ///
  /// - Parameters:
  ///   - publicKey: SubjectPublicKeyInfo
  ///   - firstAnchor: the anchor when the key was made
  package init?(publicKey: [UInt8], firstAnchor: UInt64) {
    guard publicKey.count == 91 else { return nil }
    let (x, y) = (Array(publicKey[27..<59]), Array(publicKey[59...]))
    guard SubjectPublicKeyInfo.encodeP256(x: x, y: y) == publicKey else { return nil }
    self.publicKey = publicKey
    self.firstAnchor = firstAnchor
    self.x = x
    self.y = y
  }

  /// SHA-256 of the SubjectPublicKeyInfo: the `key` of signed lines.
  package var identifier: [UInt8] { SHA256.hash(publicKey) }

  package func hasSigned(_ statement: AuditStatement) -> Bool {
    SignatureVerifier.isValidES256(x: x, y: y, signature: statement.signature, message: statement.attested)
  }
}
