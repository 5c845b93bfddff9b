internal import Crypto
package import Secrets

/// The 32-byte secret that the TPM unseals once at start. Everything that protects records and keys is derived from
/// it by HKDF with a label of its own.
package final class DeviceSecret: Sendable {
  /// Bytes of the secret.
  package static let count = 32

  private let secret: SecretBytes

  package init(_ secret: consuming SecretBytes) {
    precondition(secret.count == DeviceSecret.count, "the device secret has 32 bytes")
    self.secret = secret
  }

  /// The AES-256-GCM key of the records at rest.
  package func recordKey() throws -> SecretBytes {
    try derive("countersign record key v1", [])
  }

  /// The HMAC key of the store's look-up columns, which therefore tell nobody an RP ID or a user handle.
  package func indexKey() throws -> SecretBytes {
    try derive("countersign index key v1", [])
  }

  /// The authValue of one credential key in the TPM, bound to the key's RP ID and credential ID.
  package func keyAuthorization(_ binding: KeyBinding) throws -> SecretBytes {
    try derive("countersign key authorization v1", Self.context(binding))
  }

  /// CredRandom of the hmac-secret extension (CTAP 2.1 section 12.5): one for verified users and one for others.
  package func hmacSecret(_ binding: KeyBinding, verified: Bool) throws -> SecretBytes {
    try derive(verified ? "countersign hmac-secret UV v1" : "countersign hmac-secret v1", Self.context(binding))
  }

  /// The key of the largeBlobKey extension (section 12.3).
  package func largeBlobKey(_ binding: KeyBinding) throws -> SecretBytes {
    try derive("countersign largeBlobKey v1", Self.context(binding))
  }

  /// The HMAC key that makes a PIN's hash into the verifier that is stored.
  package func pinKey() throws -> SecretBytes {
    try derive("countersign PIN verifier v1", [])
  }

  /// The persistent PIN/UV auth token (CTAP 2.2) that belongs to a nonce of the settings.
  package func persistentToken(nonce: [UInt8]) throws -> SecretBytes {
    try derive("countersign persistent token v1", nonce)
  }

  /// The hash, of fixed length, comes first: no two bindings share an encoding.
  private static func context(_ binding: KeyBinding) -> [UInt8] {
    binding.relyingPartyIDHash + binding.credentialID
  }

  /// Lends the secret to the key store for sealing.
  package func reveal<Result, Failure: Error>(
    _ body: (Span<UInt8>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try secret.reveal(body)
  }

  private func derive(_ label: String, _ context: [UInt8]) throws -> SecretBytes {
    try HKDF.derive(from: secret, info: Array(label.utf8) + [0] + context, count: 32)
  }
}
