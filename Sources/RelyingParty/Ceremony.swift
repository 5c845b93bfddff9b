internal import Crypto
internal import WebAuthn

/// What both ceremonies must match.
struct CeremonyExpectations: Equatable, Sendable {
  let challenge: [UInt8]
  /// The serialised origin of the page.
  let origin: String
  let relyingPartyID: String
  let requiresUserVerification: Bool
  let policy: RelyingPartyPolicy

  /// Bytes of the shortest challenge that nobody guesses (section 13.4.3).
  fileprivate static let minimumChallenge = 16
}

extension CeremonyExpectations {
  /// Section 7.1 steps 5 to 11, section 7.2 steps 8 to 14, section 13.4.9.
  func checkClientData(_ bytes: [UInt8], type: String) throws(VerificationError) {
    guard challenge.count >= CeremonyExpectations.minimumChallenge else {
      throw .challengeTooShort(challenge.count)
    }
    let data: CollectedClientData
    do {
      data = try CollectedClientData(parsing: bytes)
    } catch {
      throw .clientData(error)
    }
    guard data.type == type else { throw .type(expected: type, found: data.type) }
    guard constantTimeEqual(data.challenge, challenge) else { throw .challenge }
    guard data.origin == origin || policy.otherOrigins.contains(data.origin) else {
      throw .origin(expected: origin, found: data.origin)
    }
    // Where no page is shown in a frame, a top origin has no business here either.
    if data.crossOrigin || data.topOrigin != nil, policy.topOrigins.isEmpty { throw .crossOrigin }
    if let topOrigin = data.topOrigin {
      guard data.crossOrigin, policy.topOrigins.contains(topOrigin) else { throw .topOrigin(topOrigin) }
    }
  }

  /// Section 7.1 steps 14 to 19, section 7.2 steps 15 to 19.
  func checkAuthenticatorData(_ data: AuthenticatorData) throws(VerificationError) {
    guard data.relyingPartyIDHash == SHA256.hash([UInt8](relyingPartyID.utf8)) else {
      throw .relyingPartyID(relyingPartyID)
    }
    guard data.flags.contains(.up) else { throw .userNotPresent }
    if requiresUserVerification, !data.flags.contains(.uv) { throw .userNotVerified }
    if data.flags.contains(.bs), !data.flags.contains(.be) {
      throw .backupStateWithoutEligibility
    }
    if policy.requiresDeviceBound, data.flags.contains(.be) { throw .notDeviceBound }
  }
}

extension CredentialPublicKey {
  /// Whether `signature` is this key's over `message`.
  func isValid(signature: [UInt8], message: [UInt8]) -> Bool {
    switch self {
    case .es256(let x, let y): SignatureVerifier.isValidES256(x: x, y: y, signature: signature, message: message)
    case .es384(let x, let y): SignatureVerifier.isValidES384(x: x, y: y, signature: signature, message: message)
    case .rs256(let modulus, let exponent):
      SignatureVerifier.isValidRS256(modulus: modulus, exponent: exponent, signature: signature, message: message)
    }
  }
}
