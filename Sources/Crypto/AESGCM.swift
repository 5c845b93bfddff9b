internal import COpenSSL
package import Secrets

/// AES-256-GCM (NIST SP 800-38D) with a 96-bit nonce and a 128-bit tag.
package enum AESGCM {
  /// Bytes of a key.
  package static let keyCount = 32
  /// Bytes of a nonce. A nonce is used once under one key.
  package static let nonceCount = 12
  /// Bytes that sealing adds.
  package static let tagCount = 16

  /// - Parameters:
  ///   - plaintext: what is hidden
  ///   - key: 32 bytes
  ///   - nonce: 12 bytes
  ///   - associated: what is authenticated beside it and must be given again to open it
  /// - Returns: ciphertext, then the tag
  /// - Throws: ``CryptoError``
  package static func seal(
    _ plaintext: [UInt8], key: borrowing SecretBytes, nonce: [UInt8], authenticating associated: [UInt8]
  ) throws(CryptoError) -> [UInt8] {
    try checkLengths(key, nonce)
    var sealed = [UInt8](repeating: 0, count: plaintext.count + tagCount)
    let status = unsafe key.withUnsafeBytes { key in
      unsafe cs_aes256gcm_seal(
        key.baseAddress, nonce, associated, associated.count, plaintext, plaintext.count, &sealed)
    }
    guard status == 1 else { throw CryptoError(call: "AES-256-GCM encryption") }
    return sealed
  }

  /// The inverse of ``seal(_:key:nonce:authenticating:)``.
  ///
  /// - Throws: ``CryptoError`` where anything differs from what was sealed
  package static func open(
    _ sealed: [UInt8], key: borrowing SecretBytes, nonce: [UInt8], authenticating associated: [UInt8]
  ) throws(CryptoError) -> [UInt8] {
    try checkLengths(key, nonce)
    guard sealed.count >= tagCount else { throw CryptoError(call: "AES-256-GCM decryption") }
    var plaintext = [UInt8](repeating: 0, count: sealed.count - tagCount)
    let status = unsafe key.withUnsafeBytes { key in
      unsafe cs_aes256gcm_open(
        key.baseAddress, nonce, associated, associated.count, sealed, sealed.count, &plaintext)
    }
    guard status == 1 else { throw CryptoError(call: "AES-256-GCM decryption") }
    return plaintext
  }

  private static func checkLengths(_ key: borrowing SecretBytes, _ nonce: [UInt8]) throws(CryptoError) {
    guard key.count == keyCount, nonce.count == nonceCount else {
      throw CryptoError(call: "AES-256-GCM with a key of \(key.count) and a nonce of \(nonce.count) bytes")
    }
  }
}
