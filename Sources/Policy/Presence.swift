/// The proof that policy has said yes to one operation of one caller. It stands for the gesture (UP) of a person at a
/// security key. Only this module makes one, nobody can copy one, and signing consumes one: a signing path that
/// forgets to ask does not compile.
package struct Presence: ~Copyable, Sendable {
  package let operation: Operation
  package let scope: Scope
  /// Name of the rule that said yes.
  package let rule: String
  /// Whether that rule lets the caller count as verified (UV).
  package let userVerification: Bool
  /// What credentials registered under that rule count.
  package let signatureCounter: SignatureCounter

  init(
    operation: Operation, scope: Scope, rule: String, userVerification: Bool,
    signatureCounter: SignatureCounter = .global
  ) {
    self.operation = operation
    self.scope = scope
    self.rule = rule
    self.userVerification = userVerification
    self.signatureCounter = signatureCounter
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

/// Decides whether a caller may do something now. Implemented by `RuleBook`; tests script their own by way of rules.
package protocol Judge: Sendable {
  /// - Parameters:
  ///   - caller: who asks
  ///   - operation: what for
  ///   - scope: the relying party, or all of them
  /// - Returns: the proof that signing consumes
  /// - Throws: ``Refusal``
  func judge(_ caller: Caller, _ operation: Operation, _ scope: Scope) throws(Refusal) -> Presence

  /// Selection (CTAP 2.1 section 6.9) concerns no RP and signs nothing: whether any rule knows this caller.
  func recognises(_ caller: Caller) -> Bool

  /// Whether any rule lets this caller do this for some relying party.
  func recognises(_ caller: Caller, _ operation: Operation) -> Bool

  /// Whether any rule lets this caller count as verified (option `uv` of getInfo).
  func verifies(_ caller: Caller) -> Bool
}
