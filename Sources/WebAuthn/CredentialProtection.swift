/// The levels of the credProtect extension (CTAP 2.1 section 12.1): what a credential asks for before it is used. The
/// raw values are those on the wire, the names those of the WebAuthn extension.
package enum CredentialProtection: UInt8, CaseIterable, Comparable, Sendable {
  case userVerificationOptional = 1
  /// Without user verification it can be used only by who knows its ID.
  case userVerificationOptionalWithCredentialIDList = 2
  case userVerificationRequired = 3

  package static func < (one: CredentialProtection, other: CredentialProtection) -> Bool {
    one.rawValue < other.rawValue
  }
}
