/// DER encodings of public keys (RFC 5280 section 4.1, RFC 5480, RFC 3279).
///
/// Encodes what it is given: whether a point lies on its curve is the verifier's question.
package enum SubjectPublicKeyInfo {
  /// A P-256 key with an uncompressed point; coordinates of 32 bytes.
  package static func encodeP256(x: [UInt8], y: [UInt8]) -> [UInt8] {
    // prime256v1, 1.2.840.10045.3.1.7
    encodeEC(curve: [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07], x, y)
  }

  /// A P-384 key with an uncompressed point; coordinates of 48 bytes.
  package static func encodeP384(x: [UInt8], y: [UInt8]) -> [UInt8] {
    // secp384r1, 1.3.132.0.34
    encodeEC(curve: [0x2B, 0x81, 0x04, 0x00, 0x22], x, y)
  }

  /// An RSA key; modulus and exponent big-endian.
  package static func encodeRSA(modulus: [UInt8], exponent: [UInt8]) -> [UInt8] {
    // rsaEncryption, 1.2.840.113549.1.1.1, with NULL parameters
    let algorithm = DER.element(
      .sequence,
      DER.element(.objectIdentifier, [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01]) + DER.element(.null, []))
    let key = DER.element(.sequence, DER.integer(modulus) + DER.integer(exponent))
    return DER.element(.sequence, algorithm + DER.bitString(key))
  }

  private static func encodeEC(curve: [UInt8], _ x: [UInt8], _ y: [UInt8]) -> [UInt8] {
    // id-ecPublicKey, 1.2.840.10045.2.1
    let publicKey = DER.element(.objectIdentifier, [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01])
    let algorithm = DER.element(.sequence, publicKey + DER.element(.objectIdentifier, curve))
    return DER.element(.sequence, algorithm + DER.bitString([0x04] + x + y))
  }
}
