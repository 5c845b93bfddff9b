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
    let uv = try asksUserVerification(options.userVerification, of: info)
    var allowList: [CredentialDescriptor]?
    if !permitted.isEmpty {
      let list = try shortened(candidates(permitted, for: info), relyingPartyID: relyingPartyID, for: info)
      // An empty list would mean "any account" to the authenticator.
      guard !list.isEmpty else { throw .status(.noCredentials) }
      allowList = list
    }

    let clientData = CollectedClientData(
      type: CollectedClientData.assertion, challenge: options.challenge, origin: origin.description
    ).serialized()
    let request = GetAssertionRequest(
      relyingPartyID: relyingPartyID, clientDataHash: SHA256.hash(clientData), allowList: allowList,
      options: RequestOptions(uv: uv ? true : nil))
    let answer = try chosenAssertion(request, allowList == nil ? choice : .none)
    try check(
      decoded(answer.authenticatorData), relyingPartyID: relyingPartyID,
      requiresUserVerification: options.userVerification == .required)
    if let allowList, !allowList.contains(where: { $0.id == answer.credential.id }) {
      throw .wrongAnswer("it names a credential that was not asked for")
    }
    return AuthenticationResponseJSON(
      id: answer.credential.id, clientDataJSON: clientData, authenticatorData: answer.authenticatorData,
      signature: answer.signature, userHandle: answer.user?.id,
      authenticatorAttachment: AuthenticatorAttachment.platform.rawValue)
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
  private func chosenAssertion(
    _ request: GetAssertionRequest, _ choice: AccountChoice
  ) throws(CeremonyError) -> AssertionResponse {
    do throws(AuthenticatorClient.Failure) {
      var answer = try authenticator.getAssertion(request)
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
