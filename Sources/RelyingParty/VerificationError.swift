internal import Crypto
internal import TPMStructures
package import WebAuthn

/// The first step of WebAuthn section 7.1 or 7.2 that a response does not pass.
package enum VerificationError: Error, Equatable, Sendable {
  // Client data.
  case clientData(JSONInputError)
  case type(expected: String, found: String)
  case challenge
  case challengeTooShort(Int)
  case origin(expected: String, found: String)
  case crossOrigin
  case topOrigin(String)

  // Authenticator data.
  case authenticatorData(String)
  case relyingPartyID(String)
  case userNotPresent
  case userNotVerified
  case backupStateWithoutEligibility
  case backupEligibilityChanged
  case notDeviceBound

  // Registration.
  case attestationObject(String)
  case noAttestedCredential
  case algorithmNotRequested(Int64)
  case attestationFormat(String)
  case attestationStatement(StatementFlaw)
  case attestationTrust(Distrust)
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
  case attestedCredentialInAssertion
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
    case .challengeTooShort(let count): "the challenge of the options has \(count) bytes, fewer than 16"
    case .topOrigin(let origin): "the page was in a frame of \(origin), which is none that may show it"
    case .crossOrigin: "the response was made in a frame of another origin"
    case .authenticatorData(let problem): "the authenticator data is malformed: \(problem)"
    case .relyingPartyID(let id): "the RP ID hash is not that of \(id)"
    case .userNotPresent: "the flag UP is not set"
    case .userNotVerified: "user verification is required and the flag UV is not set"
    case .backupStateWithoutEligibility: "the flag BS is set without BE"
    case .backupEligibilityChanged: "the flag BE is not as it was at registration"
    case .notDeviceBound: "the key can be copied to other devices (the flag BE is set)"
    case .attestationObject(let problem): "the attestation object is malformed: \(problem)"
    case .noAttestedCredential: "the authenticator data has no attested credential"
    case .algorithmNotRequested(let algorithm): "algorithm \(algorithm) is not among the pubKeyCredParams"
    case .attestationFormat(let format): "attestation format \"\(format)\" cannot be verified here"
    case .attestationStatement(let flaw): flaw.description
    case .attestationTrust(let distrust): distrust.description
    case .credentialIDTooLong(let count): "the credential ID has \(count) bytes, more than 1023"
    case .credentialExcluded: "the credential is one of the excludeCredentials"
    case .contradiction(let member): "\(member) is not what the attestation object says"
    case .credentialNotAllowed: "the credential is not among the allowCredentials"
    case .otherCredential: "the credential is not the one of the record"
    case .otherRelyingParty(let id): "the credential of the record belongs to RP ID \(id)"
    case .userHandleMissing: "there are no allowCredentials, and the response has no userHandle"
    case .otherUserHandle: "the userHandle is not that of the record"
    case .attestedCredentialInAssertion: "the authenticator data of an assertion has an attested credential"
    case .signature: "the signature is wrong"
    case .signatureCounter(let stored, let received):
      "the signature counter is \(received), not above \(stored): the credential may have been cloned"
    }
  }
}

extension Distrust: CustomStringConvertible {
  package var description: String {
    switch self {
    case .kind(.none): "there is no attestation"
    case .kind(.packedSelf): "the attestation is by the credential key itself (packed self attestation)"
    case .kind(let kind): "attestation of format \(kind.rawValue) is not accepted"
    case .chain(let failure): "the attestation certificate is not trusted: \(failure)"
    case .aaguid(let aaguid): "AAGUID \(AAGUIDText.encode(aaguid)) is none of those that are accepted"
    case .vendor(let vendor): "the TPM's maker, \(vendor.name), is none of those that are accepted"
    }
  }
}

extension VerificationError {
  /// Where WebAuthn Level 3 demands what was not found: registration (7.1) or assertion (7.2) with its step, or else.
  package var requirement: String {
    switch self {
    case .clientData: "7.1 step 6, 7.2 step 9"
    case .type: "7.1 step 7, 7.2 step 10"
    case .challenge: "7.1 step 8, 7.2 step 11"
    case .challengeTooShort: "13.4.3"
    case .origin: "7.1 step 9, 7.2 step 12, 13.4.9"
    case .crossOrigin: "7.1 step 10, 7.2 step 13, 13.4.9"
    case .topOrigin: "7.1 step 11, 7.2 step 14, 13.4.9"
    case .authenticatorData: "6.1"
    case .relyingPartyID: "7.1 step 14, 7.2 step 15"
    case .userNotPresent: "7.1 step 15, 7.2 step 16"
    case .userNotVerified: "7.1 step 16, 7.2 step 17"
    case .backupStateWithoutEligibility: "7.1 step 17, 7.2 step 18"
    case .notDeviceBound: "7.1 step 18, 7.2 step 19"
    case .backupEligibilityChanged: "7.2 step 19"
    case .attestationObject: "7.1 step 13"
    case .noAttestedCredential: "6.5.1"
    case .attestedCredentialInAssertion: "6.1"
    case .algorithmNotRequested: "7.1 step 20"
    case .attestationFormat: "7.1 step 21"
    case .attestationStatement(let flaw): "7.1 step 22, \(flaw.section)"
    case .attestationTrust(.chain(.revoked)), .attestationTrust(.chain(.noRevocationList)),
      .attestationTrust(.chain(.revocationListExpired)):
      "7.1 step 24, 13.4.5"
    case .attestationTrust(.aaguid), .attestationTrust(.vendor): "7.1 step 23"
    case .attestationTrust: "7.1 step 24"
    case .credentialIDTooLong: "7.1 step 25"
    case .credentialExcluded: "7.1 step 26"
    case .contradiction: "5.2.1.1"
    case .credentialNotAllowed: "7.2 step 5"
    case .otherCredential, .otherRelyingParty, .userHandleMissing, .otherUserHandle: "7.2 step 6"
    case .signature: "7.2 step 21"
    case .signatureCounter: "7.2 step 22"
    }
  }
}
