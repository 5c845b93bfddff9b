/// The proof that policy has said yes to one operation of one caller. It stands for the gesture (UP) of a person at a
/// security key. Only this module makes one, nobody can copy one, and signing consumes one: a signing path that
/// forgets to ask does not compile.
package struct Presence: ~Copyable, Sendable {
  package let operation: Operation
  package let scope: Scope
  /// Name of the rule that said yes.
  package let rule: String
  /// What that rule says of what it allows.
  package let terms: Terms

  init(operation: Operation, scope: Scope, rule: String, terms: Terms = Terms()) {
    self.operation = operation
    self.scope = scope
    self.rule = rule
    self.terms = terms
  }

  /// Whether that rule lets the caller count as verified (UV).
  package var userVerification: Bool { terms.userVerification }
  /// What credentials registered under that rule count.
  package var signatureCounter: SignatureCounter { terms.signatureCounter }
}

/// A rule's yes, as far as it depends on who asks for what. It is no ``Presence`` yet: a ``Ledger`` says whether it is
/// the hour, and not too often.
package struct Verdict: ~Copyable, Sendable {
  let presence: Presence
  /// Whose share it takes.
  let holder: Holder
  let grant: Grant?

  package var rule: String { presence.rule }
  package var userVerification: Bool { presence.userVerification }
}

/// Whose share of a rate something takes: jobs with grants have one each, those without share their user's.
enum Holder: Hashable, Sendable {
  case grant(String)
  case user(UInt32)

  init(_ caller: Caller) {
    self = caller.grant.map { .grant($0.id) } ?? .user(caller.user)
  }
}

/// What a credential's signature counter counts (WebAuthn section 6.1.1), chosen when it is registered.
package enum SignatureCounter: String, CaseIterable, Sendable {
  /// The authenticator's one counter, which never repeats and never goes back.
  case global
  /// A constant zero: relying parties learn nothing of what else this runner signs, and detect no clone.
  case zero
}

/// Policy said no. `reason` is for the operator (log, audit), never for the caller.
package struct Refusal: Error, Equatable, Sendable {
  package let reason: String

  package init(reason: String) {
    self.reason = reason
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

/// Decides whether a caller may do something. Implemented by `RuleBook`; tests script their own by way of rules.
package protocol Judge: Sendable {
  /// - Returns: what ``Ledger/admit(_:at:)`` makes the proof of that signing consumes
  /// - Throws: ``Refusal``
  func judge(_ inquiry: Inquiry) throws(Refusal) -> Verdict

  /// As ``judge(_:)`` before the account is known, so that only who may sign learns which accounts are here.
  ///
  /// - Throws: ``Refusal`` where no account could make it a yes
  func foresee(_ inquiry: Inquiry) throws(Refusal) -> Prospect

  /// Selection (CTAP 2.1 section 6.9) concerns no RP and signs nothing: whether any rule knows this caller.
  func recognises(_ caller: Caller) -> Bool

  /// Whether any rule lets this caller do this for some relying party.
  func recognises(_ caller: Caller, _ operation: Operation) -> Bool

  /// Whether any rule lets this caller count as verified (option `uv` of getInfo).
  func verifies(_ caller: Caller) -> Bool

  /// Whether any rule binds this caller's claims to what it signs.
  func bindsClaims(_ caller: Caller) -> Bool

  /// Whether any rule lets a relying party be told which device this is.
  var offersEnterpriseAttestation: Bool { get }

  /// For people: how ``judge(_:)`` comes to its answer.
  func explain(_ inquiry: Inquiry, at moment: Moment) -> Explanation

  /// For whoever makes a grant: why nothing will be signed by it, or not all that it names. By the rules in force; what
  /// is not certain is not said.
  ///
  /// - Parameters:
  ///   - grant: for a rule of ``ruleNames``
  ///   - start: milliseconds since 1970-01-01 UTC
  ///   - end: when it ends at the latest
  /// - Returns: for people, each one sentence
  func doubts(of grant: Grant, from start: Int64, until end: Int64) -> [String]

  /// For ``Ledger/keep(rules:)``.
  var ruleNames: Set<String> { get }
}

extension Judge {
  /// About an operation that concerns no account.
  package func judge(_ caller: Caller, _ operation: Operation, _ scope: Scope) throws(Refusal) -> Verdict {
    try judge(Inquiry(caller, operation, scope))
  }
}
