package import CTAP
package import WebAuthn

/// Why `create()` or `get()` gives no credential.
package enum CeremonyError: Error, Equatable, Sendable {
  /// The page may not claim this RP ID; a browser's SecurityError.
  case relyingPartyID(String, RelyingPartyID.Refusal)
  /// `authenticatorAttachment` is `cross-platform`: a key that belongs to its machine is not that.
  case crossPlatformWanted
  /// None of the `pubKeyCredParams` has the type `public-key`.
  case noKnownParameters
  case userVerificationUnavailable
  /// Only a PIN verifies the user here, and none was given.
  case pinNeeded
  /// The PIN must be changed before it is of use.
  case pinMustBeChanged
  case wrongPIN(attemptsLeft: Int?)
  case residentKeyUnavailable
  /// The relying party does without the credential where this extension is not available.
  case extensionUnavailable(String)
  /// A user was chosen by hand although the relying party chose by its allow list.
  case choiceDespiteAllowList
  /// The credential chosen by hand is not in the allow list.
  case choiceNotAllowed
  /// No account of this RP ID is the chosen one.
  case noSuchAccount
  /// The authenticator's answer is not one to what was asked.
  case wrongAnswer(String)
  /// The authenticator refused.
  case status(CTAPStatus)
  case client(ClientError)

  init(_ failure: AuthenticatorClient.Failure) {
    switch failure {
    case .status(let status): self = .status(status)
    case .wrongPIN(let attemptsLeft): self = .wrongPIN(attemptsLeft: attemptsLeft)
    case .client(let error): self = .client(error)
    }
  }
}
