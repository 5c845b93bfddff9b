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
