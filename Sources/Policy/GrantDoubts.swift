internal import Platform

extension RuleBook {
  package func doubts(of grant: Grant, from start: Int64, until end: Int64) -> [String] {
    guard let rule = rules.first(where: { $0.name.utf8.elementsEqual(grant.rule.utf8) }) else { return [] }
    let name = "rule \(quoted(rule.name, limit: 64))"
    var doubts: [String] = []
    if rule.operations.isDisjoint(with: [.register, .authenticate]) {
      doubts.append("\(name) allows neither register nor authenticate, so nothing can be signed")
    }
    let known = CallerPattern(user: grant.user).comingByGrant
    if !rule.callers.contains(where: { $0.mayMatch(known) }) {
      doubts.append("\(name) lets nobody in who comes as uid \(grant.user) by the socket of a grant")
    }
    for pattern in grant.relyingParties
    where !rule.relyingParties.contains(where: { $0.covers(pattern) || pattern.covers($0) }) {
      doubts.append("\(name) is not for \(quoted(pattern.description))")
    }
    let overrulings = overrulings(of: rule, grant.relyingParties, for: known)
    // They stand in one answer with all the rest.
    doubts += overrulings.prefix(8).map { "\($0), so the grant has no effect there" }
    if overrulings.count > 8 { doubts.append("\(overrulings.count - 8) more rules do so elsewhere") }
    // Of the terms, those that a grant settles once and for all.
    let claims = rule.terms.claimRefusals(of: grant.claims.values, by: rule.name)
    doubts += claims.prefix(16)
    if claims.count > 16 { doubts.append("\(name) requires \(claims.count - 16) more claims") }
    if !rule.terms.mayAllow(from: start, until: end) {
      doubts.append("\(name) allows at other hours than those in which the grant lives")
    }
    return doubts
  }
}

extension Terms {
  /// Whether there is a minute of the rule's hours between two times, in milliseconds since 1970-01-01 UTC.
  fileprivate func mayAllow(from start: Int64, until end: Int64) -> Bool {
    guard !hours.isEmpty else { return true }
    return ([end - 1] + stride(from: start, to: end, by: 60_000)).contains { time in
      let moment = Moment(monotonicNanoseconds: 0, unixMilliseconds: time)
      return hours.contains { $0.contains(moment) }
    }
  }
}
