internal import COpenSSL
package import Secrets

/// AES in CBC mode (NIST SP 800-38A) without padding: AES-256, or AES-128 where the key has 16 bytes. Hides only:
/// whoever can change a ciphertext changes the plaintext, so a code has to be checked before.
package enum AESCBC {
  /// Bytes of a block and of an initialisation vector.
  package static let blockCount = 16

  /// - Parameters:
  ///   - plaintext: one block or more
  ///   - key: 32 bytes, or 16
  ///   - initializationVector: 16 bytes
  /// - Returns: as many bytes as the plaintext has
  /// - Throws: ``CryptoError`` for other lengths
  package static func encrypt(
    _ plaintext: Span<UInt8>, key: borrowing SecretBytes, initializationVector: [UInt8]
  ) throws(CryptoError) -> [UInt8] {
    try checkLengths(key, initializationVector, plaintext.count)
    var ciphertext = [UInt8](repeating: 0, count: plaintext.count)
    let status = unsafe key.withUnsafeBytes { key in
      unsafe plaintext.withUnsafeBufferPointer { plaintext in
        unsafe cs_aescbc_encrypt(
          key.baseAddress, key.count, initializationVector, plaintext.baseAddress, plaintext.count, &ciphertext)
      }
    }
    guard status == 1 else { throw CryptoError(call: "AES-CBC encryption") }
    return ciphertext
  }

  /// The inverse of ``encrypt(_:key:initializationVector:)``.
  ///
  /// - Throws: ``CryptoError`` for the same lengths, or `SecretMemoryError`
  package static func decrypt(
    _ ciphertext: [UInt8], key: borrowing SecretBytes, initializationVector: [UInt8]
  ) throws -> SecretBytes {
    try checkLengths(key, initializationVector, ciphertext.count)
    return try unsafe key.withUnsafeBytes { key throws in
      try SecretBytes(count: ciphertext.count) { plaintext in
        let status = unsafe plaintext.withUnsafeMutableBufferPointer { plaintext in
          unsafe cs_aescbc_decrypt(
            key.baseAddress, key.count, initializationVector, ciphertext, ciphertext.count, plaintext.baseAddress)
        }
        guard status == 1 else { throw CryptoError(call: "AES-CBC decryption") }
      }
    }
  }

  private static func checkLengths(
    _ key: borrowing SecretBytes, _ initializationVector: [UInt8], _ count: Int
  ) throws(CryptoError) {
    guard [16, 32].contains(key.count), initializationVector.count == blockCount else {
      throw CryptoError(
        call: "AES-CBC with a key of \(key.count) and a vector of \(initializationVector.count) bytes")
    }
    guard count > 0, count.isMultiple(of: blockCount) else { throw CryptoError(call: "AES-CBC of \(count) bytes") }
  }
}
