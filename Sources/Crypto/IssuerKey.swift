internal import COpenSSL
package import Secrets

/// The key of a certification authority: P-256, for ECDSA with SHA-256. The private half stays in OpenSSL's memory and is
/// wiped at the end of its life.
///
/// OpenSSL lets threads share a key as long as none of them changes it, and nothing here does.
@safe package struct IssuerKey: ~Copyable, @unchecked Sendable {
  private let key: OpaquePointer

  /// A new key, from OpenSSL's random generator.
  ///
  /// - Throws: ``CryptoError``
  package init() throws(CryptoError) {
    guard let key = unsafe cs_p256_generate() else { throw CryptoError(call: "P-256 key generation") }
    unsafe self.key = key
  }

  /// The key in a file of ``encrypted(by:)``.
  ///
  /// - Throws: ``CryptoError`` for another passphrase, and for what is no such key
  package init(pem: [UInt8], passphrase: borrowing SecretBytes) throws(CryptoError) {
    let key = unsafe passphrase.withUnsafeBytes { passphrase in
      unsafe cs_p256_read(pem, pem.count, passphrase.baseAddress, passphrase.count)
    }
    guard let key = unsafe key else { throw CryptoError(call: "decryption of the private key") }
    unsafe self.key = key
  }

  deinit {
    unsafe cs_p256_free(key)
  }

  /// PEM: PKCS #8, encrypted by AES-256-CBC under a key from the passphrase.
  ///
  /// - Throws: ``CryptoError``, for an empty passphrase too
  package borrowing func encrypted(by passphrase: borrowing SecretBytes) throws(CryptoError) -> [UInt8] {
    var text = [UInt8](repeating: 0, count: 4096)
    var count = text.count
    let key = unsafe key
    let status = unsafe passphrase.withUnsafeBytes { passphrase in
      unsafe cs_p256_write(key, passphrase.baseAddress, passphrase.count, &text, &count)
    }
    guard status == 1 else { throw CryptoError(call: "encryption of the private key") }
    return Array(text.prefix(count))
  }

  /// A DER SubjectPublicKeyInfo.
  package var publicKey: [UInt8] {
    var (x, y) = ([UInt8](repeating: 0, count: 32), [UInt8](repeating: 0, count: 32))
    // Fails only without memory.
    precondition(unsafe cs_p256_public(key, &x, &y) == 1, "a key without a public half")
    return SubjectPublicKeyInfo.encodeP256(x: x, y: y)
  }

  /// A DER ECDSA-Sig-Value.
  ///
  /// - Throws: ``CryptoError``
  package borrowing func sign(_ message: [UInt8]) throws(CryptoError) -> [UInt8] {
    var signature = [UInt8](repeating: 0, count: 80)
    var count = signature.count
    guard unsafe cs_p256_sign(key, message, message.count, &signature, &count) == 1 else {
      throw CryptoError(call: "ECDSA")
    }
    return Array(signature.prefix(count))
  }
}
