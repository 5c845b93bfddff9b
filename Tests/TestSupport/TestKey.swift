package import WebAuthn
internal import CTestKeys

/// A key pair in memory: what a test needs of an authenticator. Fails by trapping, as tests may.
package final class TestKey: @unchecked Sendable {
  private let key: UnsafeMutableRawPointer
  package let publicKey: CredentialPublicKey

  package init(_ algorithm: COSEAlgorithm = .es256) {
    let bits: Int32 =
      switch algorithm {
      case .es256: 256
      case .es384: 384
      case .rs256: 2048
      }
    guard let key = cs_test_key_make(bits) else { fatalError("OpenSSL makes no key of \(bits) bits") }
    self.key = key
    if algorithm == .rs256 {
      var modulus = [UInt8](repeating: 0, count: 256)
      precondition(cs_test_key_modulus(key, &modulus, 256) == 0, "an RSA key has a modulus")
      publicKey = .rs256(modulus: modulus, exponent: [1, 0, 1])
    } else {
      var (x, y) = ([UInt8](repeating: 0, count: Int(bits / 8)), [UInt8](repeating: 0, count: Int(bits / 8)))
      precondition(cs_test_key_point(key, &x, &y, x.count) == 0, "an EC key has a point")
      publicKey = algorithm == .es384 ? .es384(x: x, y: y) : .es256(x: x, y: y)
    }
  }

  deinit {
    cs_test_key_free(key)
  }

  /// Signs with the hash of the key's algorithm.
  package func sign(_ message: [UInt8]) -> [UInt8] {
    var signature = [UInt8](repeating: 0, count: 512)
    let count = cs_test_key_sign(key, message, message.count, &signature, signature.count)
    precondition(count > 0, "OpenSSL signs")
    return Array(signature.prefix(count))
  }

  /// Signs as a JWS does (RFC 7518 section 3): with a P-256 key r and s, 32 bytes each.
  package func signJWS(_ message: [UInt8]) -> [UInt8] {
    let signature = sign(message)
    guard case .es256 = publicKey else { return signature }
    // A DER ECDSA-Sig-Value of less than 128 bytes: one byte of tag and one of length before each.
    func number(_ start: Int) -> (value: [UInt8], end: Int) {
      let count = Int(signature[start + 1])
      let digits = Array(signature[(start + 2)..<(start + 2 + count)].drop { $0 == 0 })
      return ([UInt8](repeating: 0, count: 32 - digits.count) + digits, start + 2 + count)
    }
    let r = number(2)
    return r.value + number(r.end).value
  }
}
