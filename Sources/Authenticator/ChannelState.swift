internal import Crypto
internal import CTAP

/// What one channel keeps between its commands; no other channel sees it.
final class ChannelState {
  /// What a command has begun and the next command of its kind may go on with; every other command ends it.
  enum Walk {
    case assertions(PendingAssertions)
    case relyingParties(PendingRelyingParties)
    case credentials(PendingCredentials)
    case largeBlobs(PendingLargeBlobs)
  }

  private var walk: Walk?
  /// Monotonic nanoseconds after which the walk is over.
  private var deadline: UInt64 = 0
  var token: PINUVAuthToken?
  /// The authenticator's key agreement keys. Each channel has its own, so that what one does wrong spoils no other's
  /// exchange.
  private var keys: [PINUVAuthProtocol: KeyAgreement] = [:]

  /// A key agreement key that the channel can hold on to.
  final class KeyAgreement {
    let key: KeyAgreementKey

    init() throws(CryptoError) {
      key = try KeyAgreementKey()
    }
  }

  /// - Throws: CTAP1_ERR_OTHER where OpenSSL gives no key
  func keyAgreement(_ version: PINUVAuthProtocol) throws(CTAPStatus) -> KeyAgreement {
    if let known = keys[version] { return known }
    do {
      let made = try KeyAgreement()
      keys[version] = made
      return made
    } catch {
      throw .other
    }
  }

  /// regenerate() of the PIN/UV auth protocols (section 6.5.5): after a wrong PIN.
  func forgetKeyAgreement() {
    keys = [:]
  }

  /// Ends what a token was used for, with the token.
  func endVerification() {
    token = nil
    walk = nil
  }

  // MARK: The walk

  /// Lets the next command go on with this.
  func leave(_ walk: Walk, now: UInt64) {
    self.walk = walk
    deadline = now + AuthenticatorLimits.nextCommandTime
  }

  /// Leaves what ``takeWalk(now:)`` gave as it was, with what is left of its time.
  func leaveUnchanged(_ walk: Walk?) {
    self.walk = walk
  }

  /// The walk of an earlier command, which this one goes on with or ends; nil where it comes too late.
  func takeWalk(now: UInt64) -> Walk? {
    defer { walk = nil }
    return now <= deadline ? walk : nil
  }

  func endWalk() {
    walk = nil
  }
}
