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
