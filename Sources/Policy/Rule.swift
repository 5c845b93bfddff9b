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

/// What a rule says of what it allows. None of it chooses the rule: the rule that is chosen refuses what its terms do
/// not allow, and no other is asked then.
package struct Terms: Hashable, Sendable {
  /// Whether these callers may count as verified (UV).
  package var userVerification = false
  /// What credentials that these callers register count.
  package var signatureCounter = SignatureCounter.global
  /// Whether the TPM checks the machine's boot at every signature of credentials that these callers register, not at the
  /// start of the daemon alone.
  package var checksBootState = false
  /// The attestation that registrations may get, the most preferred first; nil for any.
  package var attestation: [AttestationFormat]?
  /// Whether a relying party that asks for it is told which device this is.
  package var enterpriseAttestation = false
  /// nil is no limit.
  package var rate: Rate?
  /// Under this rule nothing is registered for an RP ID that has so many credentials; nil is no limit.
  package var maximumRegistrations: Int?
  /// Any of these; empty for always.
  package var hours: [Hours] = []
  /// Whether only callers that come by a grant are allowed.
  package var requiresGrant = false
  /// By name: any of these. Whoever comes without a grant has no claims.
  package var requiredClaims: [String: [ClaimPattern]] = [:]
  /// Whether assertions are over client data that the daemon composed, with the grant's claims inside, and no other.
  package var bindsClaims = false

  package init() {}

  /// Why a caller may not what its rule is for; nil where it may.
  func refusal(of caller: Caller, by rule: String) -> String? {
    if let grant = caller.grant {
      if !grant.rule.utf8.elementsEqual(rule.utf8) {
        return
          "grant \(grant.id) is for rule \(quoted(grant.rule, limit: 64)), and here rule \(quoted(rule, limit: 64)) "
          + "decides"
      }
      if grant.user != caller.user {
        return "grant \(grant.id) is uid \(grant.user)'s, the caller is uid \(caller.user)"
      }
    } else if requiresGrant || bindsClaims {
      return "rule \(quoted(rule, limit: 64)) requires a grant, and the caller comes without one"
    }
    for (name, patterns) in requiredClaims.sorted(by: { $0.key < $1.key }) {
      guard let value = caller.grant?.claims.values[name] else {
        return "rule \(quoted(rule, limit: 64)) requires the claim \(quoted(name, limit: 64)), and the caller has none"
      }
      if !patterns.contains(where: { $0.matches(value) }) {
        return "rule \(quoted(rule, limit: 64)) requires another claim \(quoted(name, limit: 64)) than "
          + quoted(value, limit: 128)
      }
    }
    return nil
  }
}

/// What a registration can be attested by, in the words of the configuration.
package enum AttestationFormat: String, CaseIterable, Sendable {
  case tpm
  /// By the operator's certificate.
  case packed
  /// By the credential's own key.
  case packedSelf = "packed-self"
  case none
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
