internal import CBOR
internal import Crypto
internal import TPMStructures
package import WebAuthn

/// Registers a credential as a relying party does (WebAuthn section 7.1). Pure: the caller keeps records and
/// challenges, and refuses IDs that it knows already.
package enum RegistrationVerifier {
  /// - Parameters:
  ///   - response: from the client
  ///   - options: what was asked for
  ///   - origin: the serialised origin of the page
  ///   - relyingPartyID: of the options, or the host of the origin where they have none
  ///   - policy: which origins, keys and attestation will do
  /// - Returns: what to keep
  /// - Throws: ``VerificationError`` of the first step that fails
  package static func verify(
    _ response: RegistrationResponseJSON, of options: PublicKeyCredentialCreationOptionsJSON, origin: String,
    relyingPartyID: String, under policy: RelyingPartyPolicy = RelyingPartyPolicy()
  ) throws(VerificationError) -> CredentialRecord {
    let expectations = CeremonyExpectations(
      challenge: options.challenge, origin: origin, relyingPartyID: relyingPartyID,
      requiresUserVerification: options.selection.userVerification == .required, policy: policy)
    try expectations.checkClientData(response.clientDataJSON, type: CollectedClientData.creation)

    let attestation = try attestationObject(response.attestationObject)
    let data = try authenticatorData(attestation.authenticatorData)
    try expectations.checkAuthenticatorData(data)
    guard let credential = data.attestedCredential else { throw .noAttestedCredential }
    let algorithm = credential.publicKey.algorithm.rawValue
    guard options.algorithms.contains(algorithm) else { throw .algorithmNotRequested(algorithm) }

    let evidence = try verifyStatement(
      attestation,
      about: AttestationSubject(
        authenticatorData: attestation.authenticatorData, relyingPartyIDHash: data.relyingPartyIDHash,
        credential: credential, clientDataHash: SHA256.hash(response.clientDataJSON)))
    let anchor = try assess(evidence, aaguid: credential.aaguid, by: policy.attestation)
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
      attestationType: evidence.type, attestationAnchor: anchor.map { SHA256.hash($0.der) }, tpm: evidence.tpm)
  }

  /// Section 7.1 steps 23 and 24, section 13.4.5.
  ///
  /// - Returns: the anchor to which the certificates lead; nil where there are none
  private static func assess(
    _ evidence: AttestationEvidence, aaguid: [UInt8], by policy: AttestationPolicy
  ) throws(VerificationError) -> Certificate? {
    guard policy.kinds.contains(evidence.kind) else { throw .attestationTrust(.kind(evidence.kind)) }
    guard policy.aaguids.isEmpty || policy.aaguids.contains(aaguid) else { throw .attestationTrust(.aaguid(aaguid)) }
    if let vendor = evidence.tpm?.vendor {
      guard policy.vendors.isEmpty || policy.vendors.contains(vendor) else { throw .attestationTrust(.vendor(vendor)) }
    }
    guard let leaf = evidence.path.first else { return nil }
    do {
      return try CertificateChain.validate(
        leaf, intermediates: Array(evidence.path.dropFirst()), anchors: policy.anchors,
        revocationLists: policy.revocationLists, at: policy.time)
    } catch {
      throw .attestationTrust(.chain(error))
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
