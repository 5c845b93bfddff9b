/// Policy said no. All of it is for the operator (log, audit, metrics), never for the caller.
package struct Refusal: Error, Equatable, Sendable {
  package let reason: String
  /// The rule that decided, and would have allowed it at another hour, more slowly, by another grant or with other
  /// claims; nil where none matched, or it is not known yet which one decides.
  package let rule: String?

  package init(reason: String, rule: String? = nil) {
    self.reason = reason
    self.rule = rule
  }
}

/// What policy is asked.
package struct Inquiry: Sendable {
  package let caller: Caller
  package let operation: Operation
  /// The relying party, or all of them.
  package let scope: Scope
  /// nil where it is not known or none is concerned.
  package var account: Account?
  /// Whether the daemon itself composed the client data that is to be signed, with the caller's claims inside.
  /// nil, before it is known which rule decides, for either.
  package var bindsClaims: Bool?

  package init(
    _ caller: Caller, _ operation: Operation, _ scope: Scope, account: Account? = nil, bindsClaims: Bool? = nil
  ) {
    self.caller = caller
    self.operation = operation
    self.scope = scope
    self.account = account
    self.bindsClaims = bindsClaims
  }
}

/// What can be said before it is known which account is meant.
package struct Prospect: Equatable, Sendable {
  /// The rules that may decide, in their order.
  package let rules: [String]
  /// Whether the account makes a difference: then each has to be asked about.
  package let dependsOnAccount: Bool
  /// Whether one of them lets the caller count as verified.
  package let userVerification: Bool
  /// Whether one of them binds claims.
  package let bindsClaims: Bool

  /// The one that will decide, where it is known.
  package var rule: String? { rules.count == 1 ? rules[0] : nil }

  init(rules: [String], dependsOnAccount: Bool, userVerification: Bool, bindsClaims: Bool = false) {
    self.rules = rules
    self.dependsOnAccount = dependsOnAccount
    self.userVerification = userVerification
    self.bindsClaims = bindsClaims
  }

  /// What is known once the decision has been made.
  package init(_ presence: borrowing Presence) {
    self.init(
      rules: [presence.rule], dependsOnAccount: false, userVerification: presence.userVerification,
      bindsClaims: presence.terms.bindsClaims)
  }
}
