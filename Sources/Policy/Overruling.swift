internal import Platform

extension RuleBook {
  /// What other rules decide in the place of one that grants are made for, since they are more specific: whoever comes by
  /// such a grant is refused there. Only what is certain, and by rules for every account; one sentence for each rule.
  ///
  /// - Parameters:
  ///   - rule: one of ``rules``
  ///   - parties: those of the grant; empty for all of the rule's
  ///   - known: what is known of whoever comes by the grant
  ///   - ofSomeUser: whether it is enough that some user matches, where `known` names none
  /// - Returns: for people, with the rule that decides
  func overrulings(
    of rule: Rule, _ parties: [RelyingPartyPattern], for known: CallerPattern, ofSomeUser: Bool = false
  ) -> [String] {
    let signing = rule.operations.intersection([.register, .authenticate])
    guard !signing.isEmpty, let place = rules.firstIndex(where: { $0.name == rule.name }),
      let caller = rule.callers.lazy.filter({ $0.mayMatch(known) }).map(\.specificity).max()
    else { return [] }
    let account = rule.accounts.map(\.specificity).max() ?? 0
    var texts: [String] = []
    for (index, other) in rules.enumerated() where index != place && other.accounts.isEmpty {
      guard
        let itsCaller = other.callers.lazy.filter({ $0.surelyMatches(known, ofSomeUser) }).map(\.specificity).max()
      else { continue }
      let shared = signing.intersection(other.operations)
      if shared.isEmpty { continue }
      var decided: [String] = []
      for pattern in other.relyingParties {
        let its = Specificity(relyingParty: pattern.specificity, caller: itsCaller, account: 0)
        for region in parties.isEmpty ? [pattern] : parties.compactMap({ $0.narrower(pattern) }) {
          guard let party = rule.relyingParties.lazy.filter({ $0.covers(region) }).map(\.specificity).max() else {
            continue
          }
          let own = Specificity(relyingParty: party, caller: caller, account: account)
          guard its > own || (its == own && index < place), !decided.contains(quoted(region.description)) else {
            continue
          }
          decided.append(quoted(region.description))
        }
      }
      guard !decided.isEmpty else { continue }
      let operations = shared == signing ? "" : " (\(shared.map(\.rawValue).sorted().joined(separator: ", ")))"
      texts.append(
        "rule \(quoted(other.name, limit: 64)) is more specific and decides for \(shortened(decided))\(operations)")
    }
    return texts
  }

  /// For whoever reviews the rules: where grants for them will have no effect, since another rule decides.
  ///
  /// - Returns: for people, each with the place in ``rules`` of the rule that grants are made for
  package func overruledGrants() -> [(rule: Int, text: String)] {
    rules.enumerated().flatMap { index, rule in
      var texts: [String] = []
      for caller in rule.callers where rule.terms.wantsGrant || caller.byGrant {
        for text in overrulings(of: rule, [], for: caller.comingByGrant, ofSomeUser: true) where !texts.contains(text) {
          texts.append(text)
        }
      }
      return texts.map {
        (
          index,
          "\($0), so grants for rule \(quoted(rule.name, limit: 64)) have no effect there for whom both rules name"
        )
      }
    }
  }
}

extension Terms {
  /// Whether nobody is allowed anything without a grant.
  var wantsGrant: Bool { requiresGrant || bindsClaims || !requiredClaims.isEmpty }
}

extension CallerPattern {
  /// The same, of whoever comes by the socket of a grant.
  var comingByGrant: CallerPattern {
    CallerPattern(
      user: user, group: group, unit: unit, slice: slice, container: container, executable: executable,
      executableDigest: executableDigest, socket: Caller.jobsSocket, byGrant: true)
  }

  /// Whether somebody of whom this is known can match. A caller has several groups.
  func mayMatch(_ known: CallerPattern) -> Bool {
    func may(_ own: String?, _ known: String?) -> Bool { own.map { known == nil || isSame($0, known) } ?? true }
    if namesNobody || byGrant && !known.byGrant { return false }
    if let user, let other = known.user, user != other { return false }
    if let executableDigest, let other = known.executableDigest, executableDigest != other { return false }
    if case .id(let id) = container, case .id(let other) = known.container, !isSame(id, other) { return false }
    return may(unit, known.unit) && may(slice, known.slice) && may(executable, known.executable)
      && may(socket, known.socket)
  }

  /// Whether everybody matches of whom this is known and who comes by a grant for another rule.
  fileprivate func surelyMatches(_ known: CallerPattern, _ ofSomeUser: Bool) -> Bool {
    func must(_ own: String?, _ known: String?) -> Bool { own.map { isSame($0, known) } ?? true }
    if namesNobody || byGrant { return false }
    if let user, user != known.user, !ofSomeUser || known.user != nil { return false }
    if let group, group != known.group { return false }
    if let executableDigest, executableDigest != known.executableDigest { return false }
    switch (container, known.container) {
    case (nil, _), (.any, .some): break
    case (.id(let id), .id(let other)) where isSame(id, other): break
    default: return false
    }
    return must(unit, known.unit) && must(slice, known.slice) && must(executable, known.executable)
      && must(socket, known.socket)
  }
}

extension RelyingPartyPattern {
  /// Those RP IDs that match both; nil where none does.
  fileprivate func narrower(_ other: RelyingPartyPattern) -> RelyingPartyPattern? {
    covers(other) ? other : other.covers(self) ? self : nil
  }
}
