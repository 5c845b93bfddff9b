internal import CTAP
internal import WebAuthn

/// One assertion that proves the claims of a job's grant, where the rule asks for that: the daemon composes the client
/// data then.
final class ClaimBinding {
  private let challenge: [UInt8]
  private let origin: String
  /// What was signed, and the claims; nil where the rule that decided binds none.
  private(set) var answer: (clientDataJSON: [UInt8], claims: [UInt8])?

  /// - Parameters:
  ///   - challenge: the relying party's
  ///   - origin: of the page
  init(challenge: [UInt8], origin: String) {
    self.challenge = challenge
    self.origin = origin
  }

  /// Asks so, or as always where the daemon says that nothing is to be bound here.
  func getAssertion(
    _ request: GetAssertionRequest, by authenticator: AuthenticatorClient
  ) throws(AuthenticatorClient.Failure) -> AssertionResponse {
    // A token would have to authenticate client data that nobody knows yet.
    guard request.pinUvAuthParam == nil else { return try authenticator.getAssertion(request) }
    let response: BoundAssertionResponse
    do {
      response = try authenticator.boundAssertion(
        BoundAssertionRequest(challenge: challenge, origin: origin, assertion: request))
    } catch {
      guard error == .status(.invalidCommand) else { throw error }
      return try authenticator.getAssertion(request)
    }
    let expected = CollectedClientData(
      type: CollectedClientData.assertion,
      challenge: BoundClaims.challenge(challenge, boundTo: response.claims), origin: origin)
    guard response.clientDataJSON == expected.serialized() else {
      throw .client(.malformed("its client data is not about this challenge"))
    }
    answer = (response.clientDataJSON, response.claims)
    return response.assertion
  }
}
