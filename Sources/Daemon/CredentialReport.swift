internal import Authenticator
internal import CTAP
internal import Platform
internal import Policy
internal import TPMKeyStore
internal import WebAuthn

/// A credential as the admin socket describes it: nothing that signs.
struct CredentialReport: Codable, Equatable {
  /// Base64url, as WebAuthn has it.
  var id: String
  /// nil where the credential was made by U2F.
  var rpId: String?
  /// Of the relying party, in hexadecimal: all that is known where it was made by U2F.
  var rpIdHash: String
  var rpName: String?
  /// Base64url; empty where the credential was made by U2F.
  var userHandle: String
  var userName: String?
  var userDisplayName: String?
  var discoverable: Bool
  /// `ES256`, `ES384` or `RS256`.
  var algorithm: String
  /// SubjectPublicKeyInfo, base64url.
  var publicKey: String
  /// The name of the level.
  var credProtect: String
  /// Of those that leave something with the credential: `credBlob`, `hmac-secret`, `largeBlobKey`.
  var extensions: [String]
  /// `global` or `zero`.
  var signatureCounter: String
  /// `everySignature` where the TPM checks the machine's boot for each; nil for every other credential.
  var bootState: String?
  /// `enabled`, `outgoing` (being rotated) or `disabled`.
  var state: String
  /// `operator` or `use`, where its key stands at a persistent handle of the TPM: who has decided that.
  var pinned: String?
  /// The operator's own name for it.
  var label: String?
  /// RFC 3339, UTC.
  var createdAt: String

  init(_ credential: Credential) {
    id = Base64URL.encode(credential.id)
    rpId = credential.relyingPartyID
    rpIdHash = hexadecimal(credential.key.binding.relyingPartyIDHash)
    rpName = credential.relyingPartyName
    userHandle = Base64URL.encode(credential.userHandle)
    userName = credential.userName
    userDisplayName = credential.userDisplayName
    discoverable = credential.isDiscoverable
    algorithm = "\(credential.publicKey.algorithm)".uppercased()
    publicKey = Base64URL.encode(credential.publicKey.subjectPublicKeyInfo)
    credProtect = "\(credential.protection)"
    extensions = [
      credential.blob == nil ? nil : ExtensionName.credBlob,
      credential.hasHMACSecret ? ExtensionName.hmacSecret : nil,
      credential.hasLargeBlobKey ? ExtensionName.largeBlobKey : nil,
    ].compactMap(\.self)
    signatureCounter = credential.signatureCounter.rawValue
    bootState = TPMKeyStore.checksBoot(for: credential.key) ? "everySignature" : nil
    state = credential.state.rawValue
    label = credential.label
    createdAt = Timestamp.text(unixMilliseconds: credential.createdAt)
  }
}
