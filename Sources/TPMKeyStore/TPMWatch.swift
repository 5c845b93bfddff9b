package import Authenticator

extension TPMKeyStore: TPMWatch {}

/// Whoever can say how the TPM is.
package protocol TPMWatch: Sendable {
  /// The state of the TPM, without asking it.
  var status: TPMStatus { get }
  /// Asks the TPM for its own state: two commands.
  func condition() async throws(KeyStoreError) -> TPMCondition
}
