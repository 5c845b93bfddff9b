internal import COpenSSL
package import Secrets

/// HKDF with SHA-256 (RFC 5869).
package enum HKDF {
  /// - Parameters:
  ///   - key: input keying material
  ///   - info: label and context; distinct for every use, at most 1024 bytes (OpenSSL's bound)
  ///   - count: bytes wanted, at most 8160
  /// - Returns: output keying material; no salt is used, since `key` is uniformly random
  /// - Throws: ``CryptoError``, or `SecretMemoryError`
  package static func derive(from key: borrowing SecretBytes, info: [UInt8], count: Int) throws -> SecretBytes {
    try derive(from: key, salt: [], info: info, count: count)
  }

  /// With a salt, for keys that are not uniformly random, such as the outcome of a key agreement.
  package static func derive(
    from key: borrowing SecretBytes, salt: [UInt8], info: [UInt8], count: Int
  ) throws -> SecretBytes {
    // The key is lent first: a borrowed noncopyable value cannot be captured by the closure that fills the result.
    try unsafe key.withUnsafeBytes { key throws in
      try SecretBytes(count: count) { output in
        let status = unsafe output.withUnsafeMutableBufferPointer { output in
          unsafe cs_hkdf_sha256(
            key.baseAddress, key.count, salt, salt.count, info, info.count, output.baseAddress, output.count)
        }
        guard status == 1 else { throw CryptoError(call: "HKDF") }
      }
    }
  }
}

extension SecretBytes {
  /// The bytes as C wants them; the pointer ends with `body`.
  borrowing func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
    _ body: (UnsafeBufferPointer<UInt8>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try reveal { (span: Span<UInt8>) throws(Failure) in
      try unsafe span.withUnsafeBufferPointer(body)
    }
  }
}
