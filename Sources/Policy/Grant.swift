/// A permission for one job, as far as policy asks: made when the job starts, gone when it ends. A grant narrows its
/// rule and never widens it.
package struct Grant: Equatable, Sendable {
  /// 32 hexadecimal digits, random.
  package let id: String
  /// The name of the one rule that may decide for who comes by this grant.
  package let rule: String
  /// Who may use it; nobody else, whoever can open its socket.
  package let user: UInt32
  /// Narrower than the rule's; empty for all of the rule's.
  package let relyingParties: [RelyingPartyPattern]
  /// What is said of the job.
  package let claims: Claims
  /// What it ends with, where it ends with a process or a control group: grants of one of these are one job's, which has
  /// the turns of one.
  package let job: String?

  package init(
    id: String, rule: String, user: UInt32, relyingParties: [RelyingPartyPattern] = [], claims: Claims = Claims(),
    job: String? = nil
  ) {
    self.id = id
    self.rule = rule
    self.user = user
    self.relyingParties = relyingParties
    self.claims = claims
    self.job = job
  }

  /// Whether the grant reaches what an operation concerns.
  func covers(_ scope: Scope) -> Bool {
    relyingParties.isEmpty || relyingParties.contains { $0.matches(scope) }
  }
}
