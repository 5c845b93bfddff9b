internal import COpenSSL
package import Secrets

/// AES-128 in CFB mode with a vector of zeros (TPM 2.0 Library, part 1, section 11.4.6.3): for keys that are used once.
package enum AESCFB {
  /// Bytes of a key.
  package static let keyCount = 16

  /// - Parameters:
  ///   - plaintext: one byte or more
  ///   - key: 16 bytes, used once
  /// - Returns: as many bytes
  /// - Throws: ``CryptoError``
  package static func encrypt(
    _ plaintext: Span<UInt8>, key: borrowing SecretBytes
  ) throws(CryptoError) -> [UInt8] {
    guard key.count == keyCount else { throw CryptoError(call: "AES-CFB with a key of \(key.count) bytes") }
    var ciphertext = [UInt8](repeating: 0, count: plaintext.count)
    let status = unsafe key.withUnsafeBytes { key in
      unsafe plaintext.withUnsafeBufferPointer { plaintext in
        unsafe cs_aes128cfb_encrypt(key.baseAddress, plaintext.baseAddress, plaintext.count, &ciphertext)
      }
    }
    guard status == 1 else { throw CryptoError(call: "AES-CFB encryption") }
    return ciphertext
  }
}

/// RSAES-OAEP (RFC 8017 section 7.1) with SHA-256.
package enum RSAOAEP {
  /// - Parameters:
  ///   - message: at most 190 bytes for a key of 2048 bits
  ///   - publicKey: a DER SubjectPublicKeyInfo
  ///   - label: L
  /// - Returns: as many bytes as the modulus has
  /// - Throws: ``CryptoError``
  package static func encrypt(
    _ message: borrowing SecretBytes, to publicKey: [UInt8], label: [UInt8]
  ) throws(CryptoError) -> [UInt8] {
    var ciphertext = [UInt8](repeating: 0, count: 1024)
    var count = ciphertext.count
    let status = unsafe message.withUnsafeBytes { message in
      unsafe cs_rsa_oaep_sha256(
        publicKey, publicKey.count, label, label.count, message.baseAddress, message.count, &ciphertext, &count)
    }
    guard status == 1 else { throw CryptoError(call: "RSAES-OAEP") }
    return Array(ciphertext.prefix(count))
  }
}
