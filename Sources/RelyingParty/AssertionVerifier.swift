internal import Crypto
package import WebAuthn

/// Verifies an assertion as a relying party does (WebAuthn section 7.2). Pure: the caller keeps the record.
package enum AssertionVerifier {
  /// - Parameters:
  ///   - response: from the client
  ///   - options: what was asked for
  ///   - record: of the credential, as it stands
  ///   - origin: the serialised origin of the page
  ///   - relyingPartyID: of the options, or the host of the origin where they have none
  ///   - policy: which origins and keys will do
  /// - Returns: the record as it stands now
  /// - Throws: ``VerificationError`` of the first step that fails
  package static func verify(
    _ response: AuthenticationResponseJSON, of options: PublicKeyCredentialRequestOptionsJSON,
    by record: CredentialRecord, origin: String, relyingPartyID: String,
    under policy: RelyingPartyPolicy = RelyingPartyPolicy()
  ) throws(VerificationError) -> CredentialRecord {
    guard options.allowCredentials.isEmpty || options.allowCredentials.contains(where: { $0.id == response.id }) else {
      throw .credentialNotAllowed
    }
    guard response.id == record.id else { throw .otherCredential }
    guard record.relyingPartyID == relyingPartyID else { throw .otherRelyingParty(record.relyingPartyID) }
    // Without an allow list nobody but the user handle says who the user is.
    if options.allowCredentials.isEmpty, response.userHandle == nil { throw .userHandleMissing }
    guard response.userHandle ?? record.userHandle == record.userHandle else { throw .otherUserHandle }

    let expectations = CeremonyExpectations(
      challenge: options.challenge, origin: origin, relyingPartyID: relyingPartyID,
      requiresUserVerification: options.userVerification == .required, policy: policy)
    try expectations.checkClientData(response.clientDataJSON, type: CollectedClientData.assertion)
    let data = try authenticatorData(response.authenticatorData)
    try expectations.checkAuthenticatorData(data)
    guard data.attestedCredential == nil else { throw .attestedCredentialInAssertion }
    guard data.flags.contains(.be) == record.backupEligible else { throw .backupEligibilityChanged }

    let message = response.authenticatorData + SHA256.hash(response.clientDataJSON)
    guard record.publicKey.isValid(signature: response.signature, message: message) else { throw .signature }
    // Zero on both sides means that the authenticator keeps no counter.
    guard data.signatureCounter > record.signCount || (data.signatureCounter == 0 && record.signCount == 0) else {
      throw .signatureCounter(stored: record.signCount, received: data.signatureCounter)
    }

    var updated = record
    updated.signCount = data.signatureCounter
    updated.userPresent = true
    updated.userVerified = data.flags.contains(.uv)
    updated.backupState = data.flags.contains(.bs)
    updated.userVerificationInitialized = record.userVerificationInitialized || updated.userVerified
    return updated
  }
}
