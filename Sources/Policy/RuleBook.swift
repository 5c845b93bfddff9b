internal import Platform

/// The rules in force: an immutable value, so that a reload swaps one for another and a decision sees one of them whole.
///
/// Nothing is allowed by default. **The first rule in order that matches caller, operation and RP ID decides**; its
/// `userVerification` holds even where a later one says otherwise. (That the most specific rule wins comes later, with
/// accounts, rates and grants.)
package struct RuleBook: Judge, Equatable {
  package let rules: [Rule]

  /// Allows nothing.
  package static let empty = RuleBook()

  private init() {
    rules = []
  }

  /// - Parameter rules: in order of their precedence
  /// - Throws: ``RuleError`` for a rule that names nobody or nothing, has the name of another, or can never decide
  package init(_ rules: [Rule]) throws(RuleError) {
    for (index, rule) in rules.enumerated() {
      try rule.check(at: index)
      if let namesake = rules[..<index].firstIndex(where: { $0.name == rule.name }) {
        throw RuleError(
          rule: index, keyPath: "name", earlier: [namesake],
          problem: "an earlier rule is named \(quoted(rule.name)) too",
          advice: "give each rule a name of its own, or remove one of the two")
      }
      if let shadows = Self.rulesThatShadow(rule, among: rules[..<index]) {
        throw RuleError(
          rule: index, keyPath: nil, earlier: shadows,
          problem: "rule \(quoted(rule.name)) can never decide, all that it allows is decided before it by "
            + listed(shadows.map { rules[$0] }),
          advice: "move it up, narrow the earlier one, or remove it")
      }
    }
    self.rules = rules
  }

  /// RP IDs with which browsers have a security key blink: nothing may come of them.
  private static let probes = [".dummy", "make.me.blink"]

  package func judge(_ caller: Caller, _ operation: Operation, _ scope: Scope) throws(Refusal) -> Presence {
    if caller.isOperator { return try judgeOperator(operation, scope) }
    if operation == .register, let relyingPartyID = scope.relyingPartyID,
      Self.probes.contains(where: { $0.utf8.elementsEqual(relyingPartyID.utf8) })
    {
      throw Refusal(
        reason: "RP ID \(quoted(relyingPartyID)) is a browser's way to have a device blink: no rule can allow it")
    }
    for rule in rules
    where rule.operations.contains(operation) && rule.matches(caller) && rule.matches(operation, scope) {
      return Presence(
        operation: operation, scope: operation == .reset ? .all : scope, rule: rule.name,
        userVerification: rule.userVerification, signatureCounter: rule.signatureCounter)
    }
    throw Refusal(reason: whyNot(caller, operation, scope))
  }

  /// The operator's socket: who can open it could change the rules as well.
  private func judgeOperator(_ operation: Operation, _ scope: Scope) throws(Refusal) -> Presence {
    guard operation == .manage else {
      throw Refusal(reason: "the operator's socket is for management: sign over the socket of the jobs, by a rule")
    }
    return Presence(operation: operation, scope: scope, rule: "(operator)", userVerification: false)
  }

  package func recognises(_ caller: Caller) -> Bool {
    caller.isOperator || rules.contains { $0.matches(caller) }
  }

  package func recognises(_ caller: Caller, _ operation: Operation) -> Bool {
    if caller.isOperator { return operation == .manage }
    return rules.contains { $0.operations.contains(operation) && $0.matches(caller) }
  }

  package func verifies(_ caller: Caller) -> Bool {
    !caller.isOperator && rules.contains { $0.userVerification && $0.matches(caller) }
  }
}

extension RuleBook {
  /// The earlier rules that together allow everything that `rule` allows; nil if something is left for it.
  private static func rulesThatShadow(_ rule: Rule, among earlier: ArraySlice<Rule>) -> [Int]? {
    var shadows: Set<Int> = []
    for permission in rule.permissions {
      guard
        let index = earlier.firstIndex(where: { $0.permissions.contains { $0.covers(permission) } })
      else { return nil }
      shadows.insert(index)
    }
    return shadows.sorted()
  }

  /// Names the nearest miss: the operator has most likely meant that rule.
  private func whyNot(_ caller: Caller, _ operation: Operation, _ scope: Scope) -> String {
    if rules.isEmpty {
      return "the configuration has no rules, so nothing is allowed"
    }
    let ofCaller = rules.filter { $0.matches(caller) }
    if ofCaller.isEmpty {
      return "no rule names this caller (\(described(caller)))"
    }
    let who = (ofCaller.count == 1 ? "matches" : "match") + " the caller (\(described(caller)))"
    if operation == .reset {
      return "\(listed(ofCaller)) \(who) but \(ofCaller.count == 1 ? "does" : "do") not allow operation reset"
    }
    let party =
      switch scope {
      case .relyingParty(let id): "RP ID \(quoted(id))"
      case .application(let hash):
        "U2F application \(hexadecimal(hash))"
      case .all: "what concerns all RP IDs (\"*\")"
      }
    let ofParty = ofCaller.filter { $0.matches(operation, scope) }
    if ofParty.isEmpty {
      return "\(listed(ofCaller)) \(who) but not \(party)"
    }
    return "\(listed(ofParty)) \(ofParty.count == 1 ? "matches" : "match") the caller (\(described(caller))) and "
      + "\(party) but \(ofParty.count == 1 ? "does" : "do") not allow operation \(operation.rawValue)"
  }

  private func described(_ caller: Caller) -> String {
    let groups = ([caller.group] + caller.supplementaryGroups).prefix(16).map(String.init).joined(separator: ", ")
    let more = caller.supplementaryGroups.count > 15 ? ", …" : ""
    let unit = caller.unit.map { quoted($0) } ?? "unknown"
    return "uid \(caller.user), gids \(groups)\(more), unit \(unit)"
  }
}

/// `rule "a"`, `rules "a", "b"`, `rules "a", "b", "c", "d" and 7 more`.
private func listed(_ rules: [Rule]) -> String {
  let names = rules.prefix(4).map { quoted($0.name, limit: 64) }.joined(separator: ", ")
  let more = rules.count > 4 ? " and \(rules.count - 4) more" : ""
  return (rules.count == 1 ? "rule " : "rules ") + names + more
}
