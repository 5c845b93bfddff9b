internal import CTAP
internal import Crypto
package import WebAuthn

extension WebAuthnClient {
  /// `navigator.credentials.get()`.
  ///
  /// - Parameters:
  ///   - options: of the relying party
  ///   - origin: of the page
  ///   - choice: what a person would choose in a browser's list of accounts
  /// - Returns: what `toJSON()` gives
  /// - Throws: ``CeremonyError``
  package func get(
    _ options: PublicKeyCredentialRequestOptionsJSON, origin: Origin, choice: AccountChoice = .none
  ) throws(CeremonyError) -> AuthenticationResponseJSON {
    let relyingPartyID = try allowedRelyingPartyID(options.relyingPartyID, for: origin)
    let permitted = try permitted(options.allowCredentials, choice)
    let info = try information()
    let clientData = CollectedClientData(
      type: CollectedClientData.assertion, challenge: options.challenge, origin: origin.description
    ).serialized()
    let binding =
      info.options["bindClaims"] == true
      ? ClaimBinding(challenge: options.challenge, origin: origin.description) : nil
    let evaluation = try evaluation(options.extensions, info)
    let demand = VerificationDemand(
      requirement: evaluation == nil ? options.userVerification : .required, isForced: info.alwaysVerifies,
      permissions: options.extensions.writesLargeBlob ? [.getAssertion, .largeBlobWrite] : .getAssertion,
      relyingPartyID: relyingPartyID)
    return try verifying(demand, info) { verification throws(CeremonyError) in
      let allowList = try allowList(
        permitted, relyingPartyID: relyingPartyID, info, namesOne: evaluation?.evaluatedByCredential.isEmpty == false,
        verification)
      let request = GetAssertionRequest(
        relyingPartyID: relyingPartyID, clientDataHash: SHA256.hash(clientData), allowList: allowList,
        options: RequestOptions(uv: verification.option),
        pinUvAuthParam: verification.parameter(of: SHA256.hash(clientData)),
        pinUvAuthProtocol: verification.protocolNumber)
      let (answer, results) = try getAssertion(
        request, options.extensions, salts: evaluation?.salts(for: allowList), allowList == nil ? choice : .none, info,
        binding)
      let data = try decoded(answer.authenticatorData)
      try check(
        data, relyingPartyID: relyingPartyID, requiresUserVerification: demand.requirement == .required)
      if let allowList, !allowList.contains(where: { $0.id == answer.credential.id }) {
        throw .wrongAnswer("it names a credential that was not asked for")
      }
      var outputs = try extensionOutputs(options.extensions, data, answer, verification, info)
      if let claims = binding?.answer?.claims {
        outputs[BoundClaims.extensionName] = .string(String(decoding: claims, as: UTF8.self))
      }
      return AuthenticationResponseJSON(
        id: answer.credential.id, clientDataJSON: binding?.answer?.clientDataJSON ?? clientData,
        authenticatorData: answer.authenticatorData,
        signature: answer.signature, userHandle: answer.user?.id,
        authenticatorAttachment: AuthenticatorAttachment.platform.rawValue,
        clientExtensionResults: outputs, prfResults: results)
    }
  }

  /// nil: any account. With `namesOne` the one credential that will sign is known before the assertion.
  private func allowList(
    _ permitted: [PublicKeyCredentialDescriptorJSON], relyingPartyID: String, _ info: AuthenticatorInfo,
    namesOne: Bool, _ verification: Verification
  ) throws(CeremonyError) -> [CredentialDescriptor]? {
    guard !permitted.isEmpty else { return nil }
    let list = try shortened(
      candidates(permitted, for: info), relyingPartyID: relyingPartyID, for: info, to: namesOne ? 1 : .max,
      verification)
    // An empty list would mean "any account" to the authenticator.
    guard !list.isEmpty else { throw .status(.noCredentials) }
    return list
  }

  private func permitted(
    _ allowCredentials: [PublicKeyCredentialDescriptorJSON], _ choice: AccountChoice
  ) throws(CeremonyError) -> [PublicKeyCredentialDescriptorJSON] {
    guard !allowCredentials.isEmpty else { return [] }
    switch choice {
    case .none: return allowCredentials
    case .userHandle: throw .choiceDespiteAllowList
    case .credential(let id):
      let chosen = allowCredentials.filter { $0.id == id }
      guard !chosen.isEmpty else { throw .choiceNotAllowed }
      return chosen
    }
  }

  /// The first assertion, or the one of the chosen account among those that follow it.
  func chosenAssertion(
    _ request: GetAssertionRequest, _ choice: AccountChoice, _ binding: ClaimBinding?
  ) throws(CeremonyError) -> AssertionResponse {
    do throws(AuthenticatorClient.Failure) {
      var answer =
        if let binding {
          try binding.getAssertion(request, by: authenticator)
        } else {
          try authenticator.getAssertion(request)
        }
      var remaining = max(1, answer.numberOfCredentials ?? 1) - 1
      while !choice.isMet(by: answer) {
        guard remaining > 0 else { throw .status(.noCredentials) }
        answer = try authenticator.getNextAssertion()
        remaining -= 1
      }
      return answer
    } catch {
      if error == .status(.noCredentials), choice != .none { throw .noSuchAccount }
      throw CeremonyError(error)
    }
  }
}

extension WebAuthnClient.AccountChoice {
  fileprivate func isMet(by answer: AssertionResponse) -> Bool {
    switch self {
    case .none: true
    case .userHandle(let handle): answer.user?.id == handle
    case .credential(let id): answer.credential.id == id
    }
  }
}
