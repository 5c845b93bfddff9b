package import Policy

extension Rule {
  /// A rule that says no more than these.
  package init(
    name: String, callers: [CallerPattern], relyingParties: [RelyingPartyPattern], operations: Set<Policy.Operation>,
    userVerification: Bool, signatureCounter: SignatureCounter = .global
  ) {
    var terms = Terms()
    terms.userVerification = userVerification
    terms.signatureCounter = signatureCounter
    self.init(name: name, callers: callers, relyingParties: relyingParties, operations: operations, terms: terms)
  }
}
