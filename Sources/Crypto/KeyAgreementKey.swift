internal import COpenSSL
package import Secrets

/// A key pair on P-256 for key agreement (ECDH, NIST SP 800-56A). The private half stays in OpenSSL's memory and is
/// wiped at the end of its life.
///
/// OpenSSL lets threads share a key as long as none of them changes it, and nothing here does.
@safe package struct KeyAgreementKey: ~Copyable, @unchecked Sendable {
  /// Bytes of a coordinate and of a shared secret.
  package static let coordinateCount = 32

  private let key: OpaquePointer

  /// A new pair, from OpenSSL's random generator.
  package init() throws(CryptoError) {
    guard let key = unsafe cs_p256_generate() else { throw CryptoError(call: "P-256 key generation") }
    unsafe self.key = key
  }

  /// The pair of a known private key, 32 bytes: for vectors.
  ///
  /// - Throws: ``CryptoError`` where P-256 has no such private key
  init(privateKey: borrowing SecretBytes) throws(CryptoError) {
    guard privateKey.count == Self.coordinateCount,
      let key = unsafe privateKey.withUnsafeBytes({ unsafe cs_p256_import($0.baseAddress) })
    else { throw CryptoError(call: "P-256 key import") }
    unsafe self.key = key
  }

  deinit {
    unsafe cs_p256_free(key)
  }

  /// The public half; coordinates of 32 bytes, big-endian.
  package var publicKey: (x: [UInt8], y: [UInt8]) {
    var x = [UInt8](repeating: 0, count: Self.coordinateCount)
    var y = x
    // Fails only without memory.
    precondition(unsafe cs_p256_public(key, &x, &y) == 1, "a key without a public half")
    return (x, y)
  }

  /// - Parameters:
  ///   - x: of the peer's point
  ///   - y: of the peer's point
  /// - Returns: the x coordinate of the common point, 32 bytes
  /// - Throws: ``CryptoError`` for coordinates that are not 32 bytes or of no point on the curve; `SecretMemoryError`
  package borrowing func sharedSecret(x: [UInt8], y: [UInt8]) throws -> SecretBytes {
    guard x.count == Self.coordinateCount, y.count == Self.coordinateCount else {
      throw CryptoError(call: "P-256 with coordinates of \(x.count) and \(y.count) bytes")
    }
    let point = [0x04] + x + y
    let key = unsafe key
    return try SecretBytes(count: Self.coordinateCount) { secret in
      let status = unsafe secret.withUnsafeMutableBufferPointer { secret in
        unsafe cs_p256_agree(key, point, point.count, secret.baseAddress)
      }
      guard status == 1 else { throw CryptoError(call: "P-256 key agreement") }
    }
  }
}
