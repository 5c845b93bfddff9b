/// What the authenticator remembers beside its credentials: the PIN's verifier and what authenticatorConfig sets. Kept
/// sealed in the store; ``RetryRecord`` in the TPM tells the newest from an older copy.
package struct AuthenticatorSettings: Equatable, Sendable {
  /// Bytes of ``PIN/verifier``.
  package static let verifierCount = 32
  /// Bytes of ``deviceIdentifier`` and ``persistentTokenNonce``.
  package static let identifierCount = 16

  /// A PIN as it is stored: nothing that the PIN could be guessed from without the TPM.
  package struct PIN: Equatable, Sendable {
    /// HMAC of LEFT(SHA-256(PIN), 16) under a key from the device secret.
    package var verifier: [UInt8]
    /// Length in Unicode code points, to know what a new minimum means for it.
    package var codePoints: Int

    package init(verifier: [UInt8], codePoints: Int) {
      self.verifier = verifier
      self.codePoints = codePoints
    }
  }

  /// Grows by one with every change; see ``RetryRecord``.
  package var generation: UInt64 = 0
  package var pin: PIN?
  /// Unicode code points.
  package var minPINLength = 4
  /// Who may learn ``minPINLength`` by the minPinLength extension.
  package var minPINLengthRelyingParties: [String] = []
  package var forcePINChange = false
  package var alwaysUV = false
  package var enterpriseAttestation = false
  /// Random; another one after a reset. Only who holds the persistent token learns it (getInfo member encIdentifier).
  package var deviceIdentifier: [UInt8]
  /// From which the persistent PIN/UV auth token is derived; nil while none has been given out since the last change of
  /// the PIN.
  package var persistentTokenNonce: [UInt8]?

  package init(deviceIdentifier: [UInt8]) {
    precondition(deviceIdentifier.count == AuthenticatorSettings.identifierCount, "a device identifier has 16 bytes")
    self.deviceIdentifier = deviceIdentifier
  }
}

/// What the TPM's own memory keeps: files that are restored or removed cannot wind it back.
///
/// The settings in the store are the newest where their generation is this one, or the next (a change that was
/// interrupted before it arrived here). No settings at all are right for generation 0 only.
package struct RetryRecord: Equatable, Sendable {
  package var generation: UInt64
  /// PIN attempts since the last one that was right, counted before each is checked.
  package var failures: UInt8

  package init(generation: UInt64 = 0, failures: UInt8 = 0) {
    self.generation = generation
    self.failures = failures
  }
}
