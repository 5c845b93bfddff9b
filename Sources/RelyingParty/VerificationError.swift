package import WebAuthn

/// The first step of WebAuthn section 7.1 or 7.2 that a response does not pass.
package enum VerificationError: Error, Equatable, Sendable {
  // Client data.
  case clientData(JSONInputError)
  case type(expected: String, found: String)
  case challenge
  case origin(expected: String, found: String)
  case crossOrigin

  // Authenticator data.
  case authenticatorData(String)
  case relyingPartyID(String)
  case userNotPresent
  case userNotVerified
  case backupStateWithoutEligibility
  case backupEligibilityChanged

  // Registration.
  case attestationObject(String)
  case noAttestedCredential
  case algorithmNotRequested(Int64)
  case attestationFormat(String)
  case attestationStatement(String)
  case attestationSignature
  case credentialIDTooLong(Int)
  case credentialExcluded
  /// A member of the JSON says something else than the attestation object.
  case contradiction(String)

  // Assertion.
  case credentialNotAllowed
  case otherCredential
  case otherRelyingParty(String)
  case userHandleMissing
  case otherUserHandle
  case signature
  case signatureCounter(stored: UInt32, received: UInt32)
}

extension VerificationError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .clientData(let error): "the client data is malformed: \(error)"
    case .type(let expected, let found): "the client data has type \"\(found)\", expected \"\(expected)\""
    case .challenge: "the challenge is not the one of the options"
    case .origin(let expected, let found): "the origin is \(found), expected \(expected)"
    case .crossOrigin: "the response was made in a frame of another origin"
    case .authenticatorData(let problem): "the authenticator data is malformed: \(problem)"
    case .relyingPartyID(let id): "the RP ID hash is not that of \(id)"
    case .userNotPresent: "the flag UP is not set"
    case .userNotVerified: "user verification is required and the flag UV is not set"
    case .backupStateWithoutEligibility: "the flag BS is set without BE"
    case .backupEligibilityChanged: "the flag BE is not as it was at registration"
    case .attestationObject(let problem): "the attestation object is malformed: \(problem)"
    case .noAttestedCredential: "the authenticator data has no attested credential"
    case .algorithmNotRequested(let algorithm): "algorithm \(algorithm) is not among the pubKeyCredParams"
    case .attestationFormat(let format): "attestation format \"\(format)\" cannot be verified here"
    case .attestationStatement(let problem): "the attestation statement is malformed: \(problem)"
    case .attestationSignature: "the attestation signature is wrong"
    case .credentialIDTooLong(let count): "the credential ID has \(count) bytes, more than 1023"
    case .credentialExcluded: "the credential is one of the excludeCredentials"
    case .contradiction(let member): "\(member) is not what the attestation object says"
    case .credentialNotAllowed: "the credential is not among the allowCredentials"
    case .otherCredential: "the credential is not the one of the record"
    case .otherRelyingParty(let id): "the credential of the record belongs to RP ID \(id)"
    case .userHandleMissing: "there are no allowCredentials, and the response has no userHandle"
    case .otherUserHandle: "the userHandle is not that of the record"
    case .signature: "the signature is wrong"
    case .signatureCounter(let stored, let received):
      "the signature counter is \(received), not above \(stored): the credential may have been cloned"
    }
  }
}
