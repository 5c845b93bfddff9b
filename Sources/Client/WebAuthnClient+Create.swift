internal import CBOR
internal import CTAP
internal import Crypto
package import WebAuthn

extension WebAuthnClient {
  /// `navigator.credentials.create()`.
  ///
  /// - Parameters:
  ///   - options: of the relying party
  ///   - origin: of the page
  /// - Returns: what `toJSON()` gives
  /// - Throws: ``CeremonyError``
  package func create(
    _ options: PublicKeyCredentialCreationOptionsJSON, origin: Origin
  ) throws(CeremonyError) -> RegistrationResponseJSON {
    let relyingPartyID = try allowedRelyingPartyID(options.relyingPartyID, for: origin)
    guard options.selection.attachment != .crossPlatform else { throw .crossPlatformWanted }
    guard !options.algorithms.isEmpty else { throw .noKnownParameters }
    let info = try information()
    let isDiscoverable = try wantsResidentKey(options.selection.residentKey, of: info)
    let extensions = try extensionInputs(options.extensions, isDiscoverable: isDiscoverable, of: info)
    let excluded = try shortened(
      candidates(options.excludeCredentials, for: info), relyingPartyID: relyingPartyID, for: info)

    let clientData = CollectedClientData(
      type: CollectedClientData.creation, challenge: options.challenge, origin: origin.description
    ).serialized()
    let request = MakeCredentialRequest(
      clientDataHash: SHA256.hash(clientData),
      relyingParty: RelyingPartyEntity(id: relyingPartyID, name: options.relyingPartyName),
      user: UserEntity(id: options.userHandle, name: options.userName, displayName: options.userDisplayName),
      parameters: options.algorithms.map { CredentialParameters(algorithm: $0) },
      excludeList: excluded.isEmpty ? nil : excluded,
      options: RequestOptions(rk: isDiscoverable ? true : nil),
      enterpriseAttestation: enterpriseAttestation(options, info),
      attestationFormatsPreference: attestationFormats(options, info))
    let demand = VerificationDemand(
      requirement: options.selection.userVerification,
      isForced: forcesVerification(info, isDiscoverable: isDiscoverable), permissions: .makeCredential,
      relyingPartyID: relyingPartyID)
    let (answer, results) = try verifying(demand, info) { verification throws(CeremonyError) in
      try makeCredential(request, extensions, options.extensions, verification, info)
    }
    return try response(
      to: options, answer, clientData, relyingPartyID: relyingPartyID, isDiscoverable: isDiscoverable, results,
      transports: info.transports)
  }

  /// Whether the authenticator makes no such credential for a user whom it has not verified.
  private func forcesVerification(_ info: AuthenticatorInfo, isDiscoverable: Bool) -> Bool {
    info.alwaysVerifies || info.isProtected && (isDiscoverable || info.options["makeCredUvNotRqd"] != true)
  }

  /// The relying party's wishes that the authenticator can fulfil; nil leaves the choice to it.
  private func attestationFormats(
    _ options: PublicKeyCredentialCreationOptionsJSON, _ info: AuthenticatorInfo
  ) -> [String]? {
    guard options.attestation != .none else { return nil }
    let formats = options.attestationFormats.filter(info.attestationFormats.contains)
    return formats.isEmpty ? nil : formats
  }

  /// Vendor-facilitated (CTAP 2.1 section 7.1.1): whether it is for this relying party, the authenticator knows.
  private func enterpriseAttestation(
    _ options: PublicKeyCredentialCreationOptionsJSON, _ info: AuthenticatorInfo
  ) -> UInt64? {
    options.attestation == .enterprise && info.options["ep"] == true ? 1 : nil
  }

  private func wantsResidentKey(
    _ requirement: ResidentKeyRequirement, of info: AuthenticatorInfo
  ) throws(CeremonyError) -> Bool {
    let isAvailable = info.options["rk"] ?? false
    if requirement == .required, !isAvailable { throw .residentKeyUnavailable }
    return isAvailable && requirement != .discouraged
  }

  private func response(
    to options: PublicKeyCredentialCreationOptionsJSON, _ answer: MakeCredentialResponse, _ clientData: [UInt8],
    relyingPartyID: String, isDiscoverable: Bool, _ results: PRFResults?, transports: [String]
  ) throws(CeremonyError) -> RegistrationResponseJSON {
    let data = try decoded(answer.authenticatorData)
    try check(
      data, relyingPartyID: relyingPartyID,
      requiresUserVerification: options.selection.userVerification == .required)
    guard let credential = data.attestedCredential else { throw .wrongAnswer("it has no credential") }
    let algorithm = credential.publicKey.algorithm.rawValue
    guard options.algorithms.contains(algorithm) else { throw .wrongAnswer("its algorithm was not asked for") }

    let attestation = conveyed(answer, data, by: options.attestation)
    return RegistrationResponseJSON(
      id: credential.credentialID, clientDataJSON: clientData, attestationObject: attestation.encoded(),
      authenticatorData: attestation.authenticatorData, publicKey: credential.publicKey.subjectPublicKeyInfo,
      publicKeyAlgorithm: algorithm, transports: transports.isEmpty ? ["internal"] : transports,
      authenticatorAttachment: AuthenticatorAttachment.platform.rawValue,
      clientExtensionResults: try extensionOutputs(
        options.extensions, data, isDiscoverable: isDiscoverable, hasLargeBlobKey: answer.largeBlobKey != nil),
      prfResults: results)
  }

  /// With conveyance `none` a browser takes away what tells devices apart: the statement and the AAGUID. Self
  /// attestation with a zero AAGUID tells nothing and stays (section 5.1.3, "none").
  private func conveyed(
    _ answer: MakeCredentialResponse, _ data: AuthenticatorData, by preference: AttestationConveyancePreference
  ) -> AttestationObject {
    let given = AttestationObject(
      format: answer.format, statement: answer.attestationStatement, authenticatorData: answer.authenticatorData)
    guard preference == .none, var credential = data.attestedCredential else { return given }
    let zero = [UInt8](repeating: 0, count: 16)
    if credential.aaguid == zero, answer.format == "packed", answer.attestationStatement["x5c"] == nil { return given }
    credential.aaguid = zero
    var anonymous = data
    anonymous.attestedCredential = credential
    return AttestationObject(format: "none", statement: [:], authenticatorData: anonymous.encoded())
  }
}
