internal import COpenSSL

/// Checks signatures as a relying party does. Total: keys, signatures and messages may be any bytes.
package enum SignatureVerifier {
  /// ECDSA over P-256 with SHA-256.
  ///
  /// - Parameters:
  ///   - x: 32 bytes, big-endian
  ///   - y: 32 bytes, big-endian
  ///   - signature: a DER ECDSA-Sig-Value (RFC 3279 section 2.2.3); any other encoding is invalid
  ///   - message: what was signed, not yet hashed
  /// - Returns: whether the key made the signature
  package static func isValidES256(x: [UInt8], y: [UInt8], signature: [UInt8], message: [UInt8]) -> Bool {
    isValidECDSA(bits: 256, x, y, signature, message)
  }

  /// ECDSA over P-384 with SHA-384; coordinates of 48 bytes. Else as ``isValidES256(x:y:signature:message:)``.
  package static func isValidES384(x: [UInt8], y: [UInt8], signature: [UInt8], message: [UInt8]) -> Bool {
    isValidECDSA(bits: 384, x, y, signature, message)
  }

  /// RSASSA-PKCS1-v1_5 with SHA-256.
  ///
  /// - Parameters:
  ///   - modulus: big-endian, 2048 to 8192 bits; others are refused
  ///   - exponent: big-endian, odd, 3 to 64 bits long; others are refused
  ///   - signature: as long as the modulus
  ///   - message: what was signed, not yet hashed
  /// - Returns: whether the key made the signature
  package static func isValidRS256(
    modulus: [UInt8], exponent: [UInt8], signature: [UInt8], message: [UInt8]
  ) -> Bool {
    let status = unsafe cs_verify_rsa_pkcs1_sha256(
      modulus, modulus.count, exponent, exponent.count, signature, signature.count, message, message.count)
    return status == 1
  }

  private static func isValidECDSA(
    bits: Int, _ x: [UInt8], _ y: [UInt8], _ signature: [UInt8], _ message: [UInt8]
  ) -> Bool {
    guard x.count == bits / 8, y.count == bits / 8 else { return false }
    let point = [0x04] + x + y
    let status = unsafe cs_verify_ecdsa(
      Int32(bits), point, point.count, signature, signature.count, message, message.count)
    return status == 1
  }
}
