internal import Platform

/// One rule of the configuration: which callers may do what, for which RP IDs and accounts. Whatever no rule allows is
/// refused.
package struct Rule: Equatable, Sendable {
  /// Unique; stands in the audit log.
  package let name: String
  /// Any of these.
  package let callers: [CallerPattern]
  /// Any of these. Only a rule for nothing but `reset`, which concerns no RP, may do without.
  package let relyingParties: [RelyingPartyPattern]
  package let operations: Set<Operation>
  /// Any of these; empty for every account. Only for `register` and `authenticate`.
  package let accounts: [AccountPattern]
  package let terms: Terms

  package init(
    name: String, callers: [CallerPattern], relyingParties: [RelyingPartyPattern], operations: Set<Operation>,
    accounts: [AccountPattern] = [], terms: Terms = Terms()
  ) {
    self.name = name
    self.callers = callers
    self.relyingParties = relyingParties
    self.operations = operations
    self.accounts = accounts
    self.terms = terms
  }
}

/// How closely a rule fits what it matches: relying party, then caller, then account decide. Of the rules that match,
/// the most specific one wins.
struct Specificity: Comparable {
  let relyingParty: Int
  let caller: Int
  let account: Int

  static func < (a: Specificity, b: Specificity) -> Bool {
    (a.relyingParty, a.caller, a.account) < (b.relyingParty, b.caller, b.account)
  }
}

extension Rule {
  /// Whether it is about this caller, whatever its terms say.
  func matches(_ caller: Caller) -> Bool {
    callers.contains { $0.matches(caller, ofRule: name) }
  }

  /// Whether it is about this caller and its terms let it.
  func serves(_ caller: Caller) -> Bool {
    matches(caller) && terms.refusal(of: caller, by: name) == nil
  }

  /// Whether `relyingParties` cover the scope.
  func matches(_ operation: Operation, _ scope: Scope) -> Bool {
    if operation == .reset { return true }
    if scope == .all, operation != .manage { return false }
    return relyingParties.contains { $0.matches(scope) }
  }

  /// The closest fit; nil where the rule does not match.
  func specificity(_ inquiry: Inquiry) -> Specificity? {
    guard operations.contains(inquiry.operation), matches(inquiry.operation, inquiry.scope),
      let caller = callers.lazy.filter({ $0.matches(inquiry.caller, ofRule: name) }).map(\.specificity).max(),
      let account = specificity(of: inquiry.account)
    else { return nil }
    let party =
      inquiry.operation == .reset
      ? 0 : relyingParties.lazy.filter { $0.matches(inquiry.scope) }.map(\.specificity).max() ?? 0
    return Specificity(relyingParty: party, caller: caller, account: account)
  }

  private func specificity(of account: Account?) -> Int? {
    if accounts.isEmpty { return 0 }
    guard let account else { return nil }
    return accounts.lazy.filter { $0.matches(account) }.map(\.specificity).max()
  }

  /// As ``specificity(_:)`` for an account that fits best.
  func bestSpecificity(_ inquiry: Inquiry) -> Specificity? {
    let open = Rule(name: name, callers: callers, relyingParties: relyingParties, operations: operations)
    guard let found = open.specificity(inquiry) else { return nil }
    return Specificity(
      relyingParty: found.relyingParty, caller: found.caller, account: accounts.map(\.specificity).max() ?? 0)
  }
}

/// What a rule says when it is taken apart: one caller pattern, one operation, one RP pattern, one account pattern. Two
/// of one kind can be equally specific for one and the same request only if they are equal but for the group: a caller
/// has several groups, and only one of everything else.
struct Permission: Hashable {
  let operation: Operation
  /// nil for `reset`.
  let relyingParty: RelyingPartyPattern?
  /// nil for every account.
  let account: AccountPattern?
  let caller: CallerPattern
  /// Who comes by a grant comes by one for one rule.
  let grantOfRule: String?

  /// What it has in common with those that can tie with it.
  var withoutGroup: Permission {
    guard caller.group != nil else { return self }
    return Permission(
      operation: operation, relyingParty: relyingParty, account: account, caller: caller.withoutGroup,
      grantOfRule: grantOfRule)
  }
}

extension Rule {
  var permissions: [Permission] {
    let accounts: [AccountPattern?] = self.accounts.isEmpty ? [nil] : self.accounts
    return callers.flatMap { caller in
      operations.flatMap { operation in
        let parties: [RelyingPartyPattern?] = operation == .reset ? [nil] : relyingParties
        return parties.flatMap { party in
          accounts.map { account in
            Permission(
              operation: operation, relyingParty: party, account: account, caller: caller,
              grantOfRule: caller.byGrant ? name : nil)
          }
        }
      }
    }
  }
}
