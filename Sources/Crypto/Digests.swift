internal import COpenSSL
package import Secrets

/// SHA-256 (FIPS 180-4).
package enum SHA256 {
  /// Bytes of a digest.
  package static let count = 32

  package static func hash(_ bytes: [UInt8]) -> [UInt8] { sha2(bytes, bits: 256) }

  /// The digest of a file's content.
  ///
  /// - Parameters:
  ///   - descriptor: a regular file that stands at its beginning, closed by somebody else
  ///   - limit: bytes that it may have
  /// - Returns: 32 bytes; nil where it is longer or cannot be read
  package static func digest(ofFile descriptor: Int32, limit: Int) -> [UInt8]? {
    var digest = [UInt8](repeating: 0, count: count)
    return unsafe cs_digest_file(descriptor, limit, &digest) == 1 ? digest : nil
  }

  /// The digest of a secret, which is as secret.
  ///
  /// - Throws: ``CryptoError``, or `SecretMemoryError`
  package static func digest(ofSecret bytes: Span<UInt8>) throws -> SecretBytes {
    try SecretBytes(count: count) { digest in
      let status = unsafe bytes.withUnsafeBufferPointer { bytes in
        unsafe digest.withUnsafeMutableBufferPointer { digest in
          unsafe cs_digest(256, bytes.baseAddress, bytes.count, digest.baseAddress)
        }
      }
      guard status == 1 else { throw CryptoError(call: "SHA-256") }
    }
  }
}

/// SHA-384 (FIPS 180-4).
package enum SHA384 {
  /// Bytes of a digest.
  package static let count = 48

  package static func hash(_ bytes: [UInt8]) -> [UInt8] { sha2(bytes, bits: 384) }
}

/// HMAC with SHA-256 (RFC 2104).
package enum HMACSHA256 {
  /// Bytes of an authentication code.
  package static let count = 32

  /// - Parameters:
  ///   - bytes: the message
  ///   - key: any length
  /// - Returns: 32 bytes; compare them by ``constantTimeEqual(_:_:)``
  package static func authenticate(_ bytes: [UInt8], key: borrowing SecretBytes) -> [UInt8] {
    authenticate(bytes.span, key: key)
  }

  /// The same over bytes that are lent, such as those of a secret.
  package static func authenticate(_ bytes: Span<UInt8>, key: borrowing SecretBytes) -> [UInt8] {
    unsafe key.withUnsafeBytes { key in
      unsafe bytes.withUnsafeBufferPointer { bytes in
        unsafe [UInt8](unsafeUninitializedCapacity: count) { code, filled in
          let status = unsafe cs_hmac_sha256(
            key.baseAddress, key.count, bytes.baseAddress, bytes.count, code.baseAddress)
          // Fails only without memory or without OpenSSL's own default provider: nothing can go on then.
          precondition(status == 1, "HMAC-SHA-256 failed")
          filled = count
        }
      }
    }
  }

  /// A code that is a secret itself, as the outputs of hmac-secret are.
  ///
  /// - Throws: ``CryptoError``, or `SecretMemoryError`
  package static func secretCode(_ bytes: Span<UInt8>, key: borrowing SecretBytes) throws -> SecretBytes {
    try unsafe key.withUnsafeBytes { key throws in
      try unsafe bytes.withUnsafeBufferPointer { bytes throws in
        try SecretBytes(count: count) { code in
          let status = unsafe code.withUnsafeMutableBufferPointer { code in
            unsafe cs_hmac_sha256(key.baseAddress, key.count, bytes.baseAddress, bytes.count, code.baseAddress)
          }
          guard status == 1 else { throw CryptoError(call: "HMAC-SHA-256") }
        }
      }
    }
  }
}

private func sha2(_ bytes: [UInt8], bits: Int) -> [UInt8] {
  unsafe [UInt8](unsafeUninitializedCapacity: bits / 8) { digest, filled in
    let status = unsafe cs_digest(Int32(bits), bytes, bytes.count, digest.baseAddress)
    precondition(status == 1, "SHA-\(bits) failed")
    filled = bits / 8
  }
}

/// Whether both hold the same bytes; time depends on the lengths only.
package func constantTimeEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
  guard a.count == b.count else { return false }
  return unsafe CRYPTO_memcmp(a, b, a.count) == 0
}
