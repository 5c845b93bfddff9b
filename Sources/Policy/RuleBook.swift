internal import Platform

/// The rules in force: an immutable value, so that a reload swaps one for another and a decision sees one of them whole.
///
/// Nothing is allowed by default. **Of the rules that match caller, operation, RP ID and account, the most specific one
/// decides**, alone: what its terms refuse no other rule allows. Specific is compared by relying party first, then by
/// caller, then by account. Two rules that would tie for some request are an error, unless their terms are the same;
/// then the first one decides.
package struct RuleBook: Judge, Equatable {
  package let rules: [Rule]

  /// Allows nothing.
  package static let empty = RuleBook()

  private init() {
    rules = []
  }

  /// - Parameter rules: in the order of the configuration
  /// - Throws: ``RuleError`` for a rule that names nobody or nothing, has the name of another, ties with one that says
  ///   something else, or can never decide
  package init(_ rules: [Rule]) throws(RuleError) {
    for (index, rule) in rules.enumerated() {
      try rule.check(at: index)
      if let namesake = rules[..<index].firstIndex(where: { $0.name == rule.name }) {
        throw RuleError(
          rule: index, keyPath: "name", earlier: [namesake],
          problem: "an earlier rule is named \(quoted(rule.name)) too",
          advice: "give each rule a name of its own, or remove one of the two")
      }
    }
    try Self.checkTies(rules)
    self.rules = rules
  }

  /// RP IDs with which browsers have a security key blink: nothing may come of them.
  private static let probes = [".dummy", "make.me.blink"]

  package func judge(_ inquiry: Inquiry) throws(Refusal) -> Verdict {
    if inquiry.caller.isOperator { return try judgeOperator(inquiry) }
    try refuseProbe(inquiry)
    guard let rule = deciding(inquiry) else { throw Refusal(reason: whyNot(inquiry)) }
    // Whoever does not say so has not composed the client data.
    var inquiry = inquiry
    inquiry.bindsClaims = inquiry.bindsClaims ?? false
    if let reason = refusal(by: rule, of: inquiry) { throw Refusal(reason: reason, rule: rule.name) }
    return verdict(inquiry, rule.name, rule.terms)
  }

  package func foresee(_ inquiry: Inquiry) throws(Refusal) -> Prospect {
    if inquiry.caller.isOperator {
      let verdict = try judgeOperator(inquiry)
      return Prospect(rules: [verdict.rule], dependsOnAccount: false, userVerification: false)
    }
    try refuseProbe(inquiry)
    let candidates = possible(inquiry)
    guard let first = candidates.first else { throw Refusal(reason: whyNot(inquiry)) }
    let allowing = candidates.filter { refusal(by: $0, of: inquiry) == nil }
    if allowing.isEmpty {
      throw Refusal(reason: refusal(by: first, of: inquiry) ?? "", rule: candidates.count == 1 ? first.name : nil)
    }
    return Prospect(
      rules: candidates.map(\.name), dependsOnAccount: candidates.contains { !$0.accounts.isEmpty },
      userVerification: allowing.contains { $0.terms.userVerification },
      bindsClaims: allowing.contains { $0.terms.bindsClaims })
  }

  private func verdict(_ inquiry: Inquiry, _ rule: String, _ terms: Terms) -> Verdict {
    Verdict(
      presence: Presence(
        operation: inquiry.operation, scope: inquiry.operation == .reset ? .all : inquiry.scope, rule: rule,
        terms: terms),
      holder: Holder(inquiry.caller), grant: inquiry.caller.grant)
  }

  /// The operator's socket: who can open it could change the rules as well.
  private func judgeOperator(_ inquiry: Inquiry) throws(Refusal) -> Verdict {
    guard inquiry.operation == .manage else {
      throw Refusal(reason: "the operator's socket is for management: sign over the socket of the jobs, by a rule")
    }
    return verdict(inquiry, "(operator)", Terms())
  }

  private func refuseProbe(_ inquiry: Inquiry) throws(Refusal) {
    if inquiry.operation == .register, let relyingPartyID = inquiry.scope.relyingPartyID,
      Self.probes.contains(where: { $0.utf8.elementsEqual(relyingPartyID.utf8) })
    {
      throw Refusal(
        reason: "RP ID \(quoted(relyingPartyID)) is a browser's way to have a device blink: no rule can allow it")
    }
  }

  /// The most specific rule that matches; of equals the first.
  func deciding(_ inquiry: Inquiry) -> Rule? {
    var best: (rule: Rule, specificity: Specificity)?
    for rule in rules {
      if let found = rule.specificity(inquiry), best.map({ found > $0.specificity }) ?? true { best = (rule, found) }
    }
    return best?.rule
  }

  /// The rules of which one decides, once the account is known: those that name accounts, as far as they are more
  /// specific than the one that does without.
  private func possible(_ inquiry: Inquiry) -> [Rule] {
    var inquiry = inquiry
    inquiry.account = nil
    let otherwise = deciding(inquiry)
    let floor = otherwise.flatMap { $0.specificity(inquiry) }
    return rules.filter { rule in
      if rule.name == otherwise?.name { return true }
      guard !rule.accounts.isEmpty, let best = rule.bestSpecificity(inquiry) else { return false }
      return floor.map { best > $0 } ?? true
    }
  }

  /// What a rule's terms and the caller's grant say against it.
  func refusal(by rule: Rule, of inquiry: Inquiry) -> String? {
    if let reason = rule.terms.refusal(of: inquiry.caller, by: rule.name) { return reason }
    if let other = nearer(than: rule, to: inquiry) {
      return "U2F tells no more than the hash of the RP ID, and rule \(quoted(other.name, limit: 64)) may be for it"
    }
    if let grant = inquiry.caller.grant, inquiry.operation == .reset || !grant.covers(inquiry.scope) {
      return "grant \(grant.id) is for fewer relying parties"
    }
    if inquiry.operation == .authenticate, let binds = inquiry.bindsClaims, rule.terms.bindsClaims != binds {
      return rule.terms.bindsClaims
        ? "rule \(quoted(rule.name, limit: 64)) binds claims: it is to be asked by frame command 0x41"
        : "rule \(quoted(rule.name, limit: 64)) binds no claims"
    }
    return nil
  }

  /// A rule for the names below a domain that might decide instead, if the RP ID were known and not just its hash: only a
  /// rule that names it in full is certain.
  private func nearer(than rule: Rule, to inquiry: Inquiry) -> Rule? {
    guard case .application = inquiry.scope,
      !rule.relyingParties.contains(where: { $0 != .any && $0.matches(inquiry.scope) })
    else { return nil }
    return rules.first { other in
      other.name != rule.name && other.operations.contains(inquiry.operation) && other.matches(inquiry.caller)
        && other.relyingParties.contains { if case .subdomains = $0 { true } else { false } }
    }
  }

  package func recognises(_ caller: Caller) -> Bool {
    caller.isOperator || rules.contains { $0.serves(caller) }
  }

  package func recognises(_ caller: Caller, _ operation: Operation) -> Bool {
    if caller.isOperator { return operation == .manage }
    return rules.contains { $0.operations.contains(operation) && $0.serves(caller) }
  }

  package func verifies(_ caller: Caller) -> Bool {
    !caller.isOperator && rules.contains { $0.terms.userVerification && $0.serves(caller) }
  }

  package func bindsClaims(_ caller: Caller) -> Bool {
    !caller.isOperator && rules.contains { $0.terms.bindsClaims && $0.serves(caller) }
  }

  package var offersEnterpriseAttestation: Bool { rules.contains { $0.terms.enterpriseAttestation } }

  package var ruleNames: Set<String> { Set(rules.map(\.name)) }

  /// Whether some rule asks for the digest of executables.
  package var wantsExecutableDigests: Bool {
    rules.contains { $0.callers.contains { $0.executableDigest != nil } }
  }
}

extension RuleBook {
  /// Finds rules that are equally specific for some request. See ``Permission``: they have the same key here.
  private static func checkTies(_ rules: [Rule]) throws(RuleError) {
    var earlier: [Permission: [(rule: Int, whole: Permission)]] = [:]
    for (index, rule) in rules.enumerated() {
      let permissions = rule.permissions
      var shadows: Set<Int> = []
      var isShadowed = true
      for permission in permissions {
        let rivals = earlier[permission.withoutGroup, default: []]
        if let rival = rivals.first(where: { rules[$0.rule].terms != rule.terms }) {
          throw tie(rules, rival, (index, permission))
        }
        let twin = rivals.first { $0.whole == permission }
        isShadowed = isShadowed && twin != nil
        if let twin { shadows.insert(twin.rule) }
      }
      if isShadowed {
        throw RuleError(
          rule: index, keyPath: nil, earlier: shadows.sorted(),
          problem: "rule \(quoted(rule.name)) can never decide, all that it allows is allowed alike by "
            + listed(shadows.sorted().map { rules[$0] }),
          advice: "remove it, or make it narrower")
      }
      for permission in permissions { earlier[permission.withoutGroup, default: []].append((index, permission)) }
    }
  }

  private static func tie(
    _ rules: [Rule], _ first: (rule: Int, whole: Permission), _ second: (rule: Int, whole: Permission)
  ) -> RuleError {
    let party = second.whole.relyingParty.map { " for \(quoted($0.description))" } ?? ""
    let who =
      first.whole.caller == second.whole.caller
      ? "the same callers"
      : "a caller that is in groups \(first.whole.caller.group ?? 0) and \(second.whole.caller.group ?? 0)"
    return RuleError(
      rule: second.rule, keyPath: nil, earlier: [first.rule],
      problem:
        "rules \(quoted(rules[first.rule].name, limit: 64)) and \(quoted(rules[second.rule].name, limit: 64)) are "
        + "equally specific for \(who) to \(second.whole.operation.rawValue)\(party), and say different things",
      advice:
        "make one of them more specific (another RP ID, more about the callers, accounts), or say the same in both")
  }

  /// Names the nearest miss: the operator has most likely meant that rule.
  func whyNot(_ inquiry: Inquiry) -> String {
    if rules.isEmpty {
      return "the configuration has no rules, so nothing is allowed"
    }
    let (caller, operation) = (inquiry.caller, inquiry.operation)
    let ofCaller = rules.filter { $0.matches(caller) }
    if ofCaller.isEmpty {
      return "no rule names this caller (\(described(caller)))"
    }
    let who = (ofCaller.count == 1 ? "matches" : "match") + " the caller (\(described(caller)))"
    if operation == .reset {
      return "\(listed(ofCaller)) \(who) but \(ofCaller.count == 1 ? "does" : "do") not allow operation reset"
    }
    let party =
      switch inquiry.scope {
      case .relyingParty(let id): "RP ID \(quoted(id))"
      case .application(let hash): "U2F application \(hexadecimal(hash))"
      case .all: "what concerns all RP IDs (\"*\")"
      }
    let ofParty = ofCaller.filter { $0.matches(operation, inquiry.scope) }
    if ofParty.isEmpty {
      return "\(listed(ofCaller)) \(who) but not \(party)"
    }
    let start = "\(ofParty.count == 1 ? "matches" : "match") the caller (\(described(caller))) and \(party)"
    let ofOperation = ofParty.filter { $0.operations.contains(operation) }
    if ofOperation.isEmpty {
      return "\(listed(ofParty)) \(start) but \(ofParty.count == 1 ? "does" : "do") not allow operation "
        + operation.rawValue
    }
    return
      "\(listed(ofOperation)) \(ofOperation.count == 1 ? "matches" : "match") the caller (\(described(caller))) and "
      + "\(party) but not the account"
  }

  func described(_ caller: Caller) -> String {
    let groups = ([caller.group] + caller.supplementaryGroups).prefix(16).map { Caller.text(ofNumber: $0) ?? "unknown" }
      .joined(separator: ", ")
    let more = caller.supplementaryGroups.count > 15 ? ", …" : ""
    let unit = caller.unit.map { quoted($0) } ?? "unknown"
    let container = caller.container.map { ", container \(quoted($0.prefix(12) + "…"))" } ?? ""
    let grant = caller.grant.map { ", grant \($0.id)" } ?? ""
    return
      "uid \(Caller.text(ofNumber: caller.user) ?? "unknown"), gids \(groups)\(more), unit \(unit)\(container)\(grant)"
  }
}

/// `rule "a"`, `rules "a", "b"`, `rules "a", "b", "c", "d" and 7 more`.
func listed(_ rules: [Rule]) -> String {
  let names = rules.prefix(4).map { quoted($0.name, limit: 64) }.joined(separator: ", ")
  let more = rules.count > 4 ? " and \(rules.count - 4) more" : ""
  return (rules.count == 1 ? "rule " : "rules ") + names + more
}
