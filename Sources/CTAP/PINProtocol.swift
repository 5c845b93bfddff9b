package import Crypto
package import Secrets

/// How platform and authenticator hide and authenticate what they tell each other about PINs and tokens (CTAP 2.1
/// sections 6.5.6 and 6.5.7).
package enum PINUVAuthProtocol: UInt64, CaseIterable, Sendable {
  case one = 1
  case two = 2

  /// Bytes of an authentication code: protocol one has them cut.
  package var codeCount: Int {
    switch self {
    case .one: 16
    case .two: HMACSHA256.count
    }
  }

  /// - Parameters:
  ///   - message: any bytes
  ///   - key: a whole pinUvAuthToken
  /// - Returns: ``codeCount`` bytes
  package func authenticate(_ message: [UInt8], key: borrowing SecretBytes) -> [UInt8] {
    Array(HMACSHA256.authenticate(message, key: key).prefix(codeCount))
  }

  /// What keeps messages of some commands apart from the hashes that others have authenticated.
  static func messageHead(_ command: CTAPCommand) -> [UInt8] {
    [UInt8](repeating: 0xff, count: 32) + [command.rawValue]
  }

  /// Whether it is the code of the message; time depends on the lengths only.
  package func verify(_ code: [UInt8], of message: [UInt8], key: borrowing SecretBytes) -> Bool {
    constantTimeEqual(code, authenticate(message, key: key))
  }
}

/// The form of a PIN on the wire (CTAP 2.1 section 6.5.1): UTF-8, padded with zeros. All numbers are bytes.
package enum PINFormat {
  package static let paddedCount = 64
  /// The longest PIN, which has one zero after it.
  package static let maximumCount = 63
  /// LEFT(SHA-256(PIN), 16).
  package static let hashCount = 16
}

/// What both sides of one key agreement have in common: the standard's "shared secret" with what is done under it.
package struct PINUVSharedSecret: ~Copyable, Sendable {
  package let version: PINUVAuthProtocol
  /// In protocol one both keys are the same.
  private let authenticationKey: SecretBytes
  private let encryptionKey: SecretBytes

  /// - Parameters:
  ///   - version: the protocol that the platform chose
  ///   - own: this side's key
  ///   - peer: the other side's point
  /// - Throws: CTAP1_ERR_INVALID_PARAMETER for a point that is not on the curve, or `SecretMemoryError`
  package init(
    _ version: PINUVAuthProtocol, own: borrowing KeyAgreementKey, peer: KeyAgreementPoint
  ) throws {
    let agreed = try Self.agree(own, peer)
    let authenticationKey = try Self.derive(version, from: agreed, info: "CTAP2 HMAC key")
    let encryptionKey = try Self.derive(version, from: agreed, info: "CTAP2 AES key")
    // Nothing may throw between the first member and the last of a noncopyable struct.
    self.version = version
    self.authenticationKey = authenticationKey
    self.encryptionKey = encryptionKey
  }

  private static func agree(_ own: borrowing KeyAgreementKey, _ peer: KeyAgreementPoint) throws -> SecretBytes {
    do {
      return try own.sharedSecret(x: peer.x, y: peer.y)
    } catch is CryptoError {
      throw CTAPStatus.invalidParameter
    }
  }

  /// The standard's `kdf(Z)`.
  private static func derive(
    _ version: PINUVAuthProtocol, from agreed: borrowing SecretBytes, info: String
  ) throws -> SecretBytes {
    switch version {
    case .one:
      try agreed.reveal { bytes throws in try SHA256.digest(ofSecret: bytes) }
    case .two:
      try HKDF.derive(
        from: agreed, salt: [UInt8](repeating: 0, count: 32), info: Array(info.utf8), count: 32)
    }
  }

  /// - Parameters:
  ///   - plaintext: whole blocks of 16 bytes, at least one
  ///   - initializationVector: 16 random bytes, for this message only; protocol one ignores them
  /// - Returns: the ciphertext, in protocol two after the vector
  /// - Throws: CTAP1_ERR_OTHER for other lengths, since no peer chooses them
  package borrowing func encrypt(
    _ plaintext: Span<UInt8>, initializationVector: [UInt8]
  ) throws(CTAPStatus) -> [UInt8] {
    let vector =
      switch version {
      case .one: Self.noVector
      case .two: initializationVector
      }
    do throws(CryptoError) {
      let ciphertext = try AESCBC.encrypt(plaintext, key: encryptionKey, initializationVector: vector)
      return version == .one ? ciphertext : vector + ciphertext
    } catch {
      throw .other
    }
  }

  /// The inverse of ``encrypt(_:initializationVector:)``.
  ///
  /// - Throws: CTAP1_ERR_INVALID_PARAMETER for lengths that no encryption gives, or `SecretMemoryError`
  package borrowing func decrypt(_ message: [UInt8]) throws -> SecretBytes {
    let vectorCount = version == .one ? 0 : AESCBC.blockCount
    let ciphertext = Array(message.dropFirst(vectorCount))
    guard !ciphertext.isEmpty, ciphertext.count.isMultiple(of: AESCBC.blockCount) else {
      throw CTAPStatus.invalidParameter
    }
    let vector = version == .one ? Self.noVector : Array(message.prefix(vectorCount))
    return try AESCBC.decrypt(ciphertext, key: encryptionKey, initializationVector: vector)
  }

  package borrowing func authenticate(_ message: [UInt8]) -> [UInt8] {
    version.authenticate(message, key: authenticationKey)
  }

  /// Whether it is the code of the message; time depends on the lengths only.
  package borrowing func verify(_ code: [UInt8], of message: [UInt8]) -> Bool {
    version.verify(code, of: message, key: authenticationKey)
  }

  private static let noVector = [UInt8](repeating: 0, count: AESCBC.blockCount)
}
