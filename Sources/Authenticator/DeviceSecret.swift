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
    // A hash of fixed length first: no two bindings share an encoding, and an RP ID may be as long as a message.
    let context = SHA256.hash(Array(binding.relyingPartyID.utf8)) + binding.credentialID
    return try derive("countersign key authorization v1", context)
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
