internal import Authenticator
internal import Glibc
internal import Platform
internal import Storage
internal import WebAuthn

/// Credentials that fill a store and are never signed with: their key blobs are no keys, so that making them costs the
/// TPM nothing.
enum Stock {
  private static let relyingPartyID = "stock.example"
  /// Of a wrapped P-256 key.
  private static let blobCount = 300

  /// Fills a daemon's store, through the storage layer and under its own device secret. The daemon must not run.
  ///
  /// - Parameters:
  ///   - directory: the state folder
  ///   - tcti: the TPM that the device secret is sealed to
  ///   - count: credentials that the store is to have then
  ///   - ending: asked between credentials whether to end early
  /// - Throws: `StoreError`, `KeyStoreError`, ``Interrupted``
  static func fill(_ directory: String, tcti: String, upTo count: Int, _ ending: Interruption) throws {
    try withDevice(directory, tcti: tcti) { database, _ in
      for number in try await database.count()..<max(count, try await database.count()) {
        try ending.check()
        _ = try await database.insert(credential(number))
      }
    }
  }

  static func credential(_ number: Int) -> Credential {
    let random = SystemRandom()
    return Credential(
      relyingPartyID: relyingPartyID, userHandle: Array("user \(number)".utf8), userName: "user \(number)",
      isDiscoverable: true, publicKey: .es256(x: random.bytes(32), y: random.bytes(32)),
      key: CredentialKey(
        algorithm: .es256, binding: KeyBinding(credentialID: random.bytes(16), relyingPartyID: relyingPartyID),
        blob: random.bytes(blobCount)),
      createdAt: 0)
  }
}
