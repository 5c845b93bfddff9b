/// The signature algorithms that Countersign knows, by their COSE numbers (RFC 9053, RFC 8812).
///
/// EdDSA is absent because TPM 2.0 chips do not implement it.
package enum COSEAlgorithm: Int64, CaseIterable, Sendable {
  /// ECDSA over P-256 with SHA-256.
  case es256 = -7
  /// ECDSA over P-384 with SHA-384.
  case es384 = -35
  /// RSASSA-PKCS1-v1_5 with SHA-256; keys of 2048 bits here.
  case rs256 = -257
}

/// A credential's public key, without its encoding (COSE_Key: WebAuthn section 6.5.1.1; SPKI: RFC 5480, RFC 3279).
package enum CredentialPublicKey: Equatable, Sendable {
  /// Coordinates as big-endian bytes, padded to 32.
  case es256(x: [UInt8], y: [UInt8])
  /// Coordinates as big-endian bytes, padded to 48.
  case es384(x: [UInt8], y: [UInt8])
  /// Big-endian, no leading zeros.
  case rs256(modulus: [UInt8], exponent: [UInt8])

  package var algorithm: COSEAlgorithm {
    switch self {
    case .es256: .es256
    case .es384: .es384
    case .rs256: .rs256
    }
  }
}
