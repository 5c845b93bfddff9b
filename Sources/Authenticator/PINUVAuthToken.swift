internal import CTAP
internal import Secrets

/// How the user was verified.
enum VerificationSource {
  case pin
  /// A rule lets the caller count as verified, which is asked again at every use.
  case policy
}

/// A pinUvAuthToken and what it may be used for (CTAP 2.1 section 6.5.2.1). It belongs to one channel and one PIN/UV
/// auth protocol.
final class PINUVAuthToken {
  /// Bytes of a token.
  static let count = 32
  /// How long it may lie unused before its first use, in nanoseconds.
  static let initialUsageTime: UInt64 = 30_000_000_000
  /// How long it may be used at all, in nanoseconds.
  static let maximumUsageTime: UInt64 = 600_000_000_000

  let bytes: SecretBytes
  let version: PINUVAuthProtocol
  let source: VerificationSource
  private(set) var permissions: Permissions
  /// The RP ID that it is bound to; nil until one is named.
  private(set) var relyingPartyID: String?
  private(set) var isUserVerified = true
  private let issuedAt: UInt64
  private var wasUsed = false

  init(
    _ bytes: consuming SecretBytes, _ version: PINUVAuthProtocol, _ source: VerificationSource,
    _ permissions: Permissions, relyingPartyID: String?, now: UInt64
  ) {
    self.bytes = bytes
    self.version = version
    self.source = source
    self.permissions = permissions
    self.relyingPartyID = relyingPartyID
    issuedAt = now
  }

  func isExpired(now: UInt64) -> Bool {
    let age = now - min(now, issuedAt)
    return age > PINUVAuthToken.maximumUsageTime || !wasUsed && age > PINUVAuthToken.initialUsageTime
  }

  /// Whether `code` was made with this token over `message`; a right one begins its use.
  func verifies(_ code: [UInt8], of message: [UInt8], by version: PINUVAuthProtocol) -> Bool {
    guard version == self.version, version.verify(code, of: message, key: bytes) else { return false }
    wasUsed = true
    return true
  }

  func bind(to relyingPartyID: String) {
    self.relyingPartyID = relyingPartyID
  }

  /// One makeCredential or getAssertion has been done with it (sections 6.1.2 step 15 and 6.2.2 step 9): what is left
  /// is the permission to write large blobs, which follow such a command.
  func spend() {
    isUserVerified = false
    permissions.formIntersection(.largeBlobWrite)
  }
}
