internal import CBOR
internal import Crypto
package import WebAuthn

/// Registers a credential as a relying party does (WebAuthn section 7.1). Pure: the caller keeps records and
/// challenges, and refuses IDs that it knows already.
package enum RegistrationVerifier {
  /// - Parameters:
  ///   - response: from the client
  ///   - options: what was asked for
  ///   - origin: the serialised origin of the page
  ///   - relyingPartyID: of the options, or the host of the origin where they have none
  /// - Returns: what to keep
  /// - Throws: ``VerificationError`` of the first step that fails
  package static func verify(
    _ response: RegistrationResponseJSON, of options: PublicKeyCredentialCreationOptionsJSON, origin: String,
    relyingPartyID: String
  ) throws(VerificationError) -> CredentialRecord {
    let expectations = CeremonyExpectations(
      challenge: options.challenge, origin: origin, relyingPartyID: relyingPartyID,
      requiresUserVerification: options.selection.userVerification == .required)
    try expectations.checkClientData(response.clientDataJSON, type: CollectedClientData.creation)

    let attestation = try attestationObject(response.attestationObject)
    let data = try authenticatorData(attestation.authenticatorData)
    try expectations.checkAuthenticatorData(data)
    guard let credential = data.attestedCredential else { throw .noAttestedCredential }
    let algorithm = credential.publicKey.algorithm.rawValue
    guard options.algorithms.contains(algorithm) else { throw .algorithmNotRequested(algorithm) }

    let type = try verifyStatement(
      attestation, by: credential.publicKey, clientDataHash: SHA256.hash(response.clientDataJSON))
    guard credential.credentialID.count <= 1023 else { throw .credentialIDTooLong(credential.credentialID.count) }
    guard !options.excludeCredentials.contains(where: { $0.id == credential.credentialID }) else {
      throw .credentialExcluded
    }
    try checkAgreement(of: response, attestation.authenticatorData, credential.credentialID, credential.publicKey)

    return CredentialRecord(
      id: credential.credentialID, publicKey: credential.publicKey, relyingPartyID: relyingPartyID,
      userHandle: options.userHandle, signCount: data.signatureCounter, aaguid: credential.aaguid,
      transports: response.transports, userPresent: true, userVerified: data.flags.contains(.uv),
      backupEligible: data.flags.contains(.be), backupState: data.flags.contains(.bs),
      userVerificationInitialized: data.flags.contains(.uv), attestationFormat: attestation.format,
      attestationType: type)
  }

  /// Section 7.1 steps 21 and 22, with the formats of sections 8.2 (self attestation only) and 8.7.
  private static func verifyStatement(
    _ attestation: AttestationObject, by key: CredentialPublicKey, clientDataHash: [UInt8]
  ) throws(VerificationError) -> AttestationType {
    let statement = attestation.statement
    switch attestation.format {
    case "none":
      guard statement.isEmpty else { throw .attestationStatement("with format none it must be empty") }
      return .none
    case "packed":
      guard statement["x5c"] == nil else { throw .attestationFormat("packed with a certificate (x5c)") }
      guard case .bytes(let signature) = statement["sig"], let algorithm = statement["alg"]?.integer,
        statement.count == 2
      else { throw .attestationStatement("expected alg and sig") }
      guard algorithm == key.algorithm.rawValue else {
        throw .attestationStatement("alg \(algorithm) is not that of the credential key")
      }
      guard key.isValid(signature: signature, message: attestation.authenticatorData + clientDataHash) else {
        throw .attestationSignature
      }
      return .self
    default:
      throw .attestationFormat(attestation.format)
    }
  }

  /// The members that are there for convenience must not say something else than what was verified.
  private static func checkAgreement(
    of response: RegistrationResponseJSON, _ authenticatorData: [UInt8], _ credentialID: [UInt8],
    _ key: CredentialPublicKey
  ) throws(VerificationError) {
    guard response.id == credentialID else { throw .contradiction("id") }
    guard response.authenticatorData ?? authenticatorData == authenticatorData else {
      throw .contradiction("response.authenticatorData")
    }
    let information = key.subjectPublicKeyInfo
    guard response.publicKey ?? information == information else { throw .contradiction("response.publicKey") }
    guard response.publicKeyAlgorithm ?? key.algorithm.rawValue == key.algorithm.rawValue else {
      throw .contradiction("response.publicKeyAlgorithm")
    }
  }

  private static func attestationObject(_ bytes: [UInt8]) throws(VerificationError) -> AttestationObject {
    do {
      return try AttestationObject.decode(bytes)
    } catch {
      throw .attestationObject("\(error)")
    }
  }
}

func authenticatorData(_ bytes: [UInt8]) throws(VerificationError) -> AuthenticatorData {
  do {
    return try AuthenticatorData.decode(bytes)
  } catch {
    throw .authenticatorData("\(error)")
  }
}
