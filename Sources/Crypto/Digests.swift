internal import COpenSSL
package import Secrets

/// SHA-256 (FIPS 180-4).
package enum SHA256 {
  /// Bytes of a digest.
  package static let count = 32

  package static func hash(_ bytes: [UInt8]) -> [UInt8] { digest(bytes, bits: 256) }
}

/// SHA-384 (FIPS 180-4).
package enum SHA384 {
  /// Bytes of a digest.
  package static let count = 48

  package static func hash(_ bytes: [UInt8]) -> [UInt8] { digest(bytes, bits: 384) }
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
    unsafe key.withUnsafeBytes { key in
      unsafe [UInt8](unsafeUninitializedCapacity: count) { code, filled in
        let status = unsafe cs_hmac_sha256(key.baseAddress, key.count, bytes, bytes.count, code.baseAddress)
        // Fails only without memory or without OpenSSL's own default provider: nothing can go on then.
        precondition(status == 1, "HMAC-SHA-256 failed")
        filled = count
      }
    }
  }
}

private func digest(_ bytes: [UInt8], bits: Int) -> [UInt8] {
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
