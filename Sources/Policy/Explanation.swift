internal import Platform

/// How a decision comes about, rule by rule, for people.
package struct Explanation: Equatable, Sendable {
  /// A rule that a grant lets callers use.
  package struct GrantedRule: Equatable, Sendable {
    package let rule: String
    /// The names of the claims that the grant must have.
    package let claims: [String]
    /// Whose grant it must be; nil where the question names nobody.
    package let user: UInt32?
  }

  package struct Finding: Equatable, Sendable {
    package let rule: String
    /// Whether it is the one that decides.
    package let decides: Bool
    /// Of one that decides: on what terms. Of any other: the first thing that does not match, or which is closer.
    package let text: String
  }

  /// The rule that decides; nil where none matches.
  package let rule: String?
  /// nil where it is allowed.
  package let refusal: String?
  /// In the order of the configuration.
  package let findings: [Finding]
  /// Where it is refused: the closest rule that would decide if the caller came by a grant for it.
  package let openedByGrant: GrantedRule?
  /// What the operator should know besides, each one sentence.
  package var warnings: [String]

  package var isAllowed: Bool { refusal == nil }
}

extension RuleBook {
  /// Says which rule decides and why, and what keeps each other rule from it. Rates and maxima, which depend on what was
  /// before, are named and not counted.
  ///
  /// - Parameters:
  ///   - inquiry: of a live or an invented caller
  ///   - moment: when
  /// - Returns: what ``judge(_:)`` would say, with reasons
  package func explain(_ inquiry: Inquiry, at moment: Moment) -> Explanation {
    var inquiry = inquiry
    let decider = inquiry.caller.isOperator ? nil : deciding(inquiry)
    // Which frame command is used is up to the client.
    inquiry.bindsClaims = decider?.terms.bindsClaims == true && inquiry.operation == .authenticate
    var refusal: String?
    do throws(Refusal) {
      let hours = try judge(inquiry).presence.terms.hours
      if !hours.isEmpty, !hours.contains(where: { $0.contains(moment) }) {
        refusal = "rule \(quoted(decider?.name ?? "", limit: 64)) allows it at other hours"
      }
    } catch {
      refusal = error.reason
    }
    let findings = rules.map { rule in
      Explanation.Finding(
        rule: rule.name, decides: rule.name == decider?.name,
        text: rule.name == decider?.name ? rule.terms.described : whyNot(rule, inquiry, decider))
    }
    return Explanation(
      rule: decider?.name, refusal: refusal, findings: findings,
      openedByGrant: refusal == nil ? nil : openedByGrant(inquiry, decider), warnings: warnings(inquiry.caller.grant))
  }

  /// A grant brings no rule but its own into play: of those that decide where there is none it must be the closest.
  private func openedByGrant(_ inquiry: Inquiry, _ decider: Rule?) -> Explanation.GrantedRule? {
    guard !inquiry.caller.isOperator, inquiry.caller.grant == nil else { return nil }
    let floor = decider.flatMap { $0.specificity(inquiry) }
    var best: (rule: Rule, specificity: Specificity)?
    for rule in rules where rule.name == decider?.name || rule.callers.contains(where: \.byGrant) {
      let granted = Grant(id: "(invented)", rule: rule.name, user: inquiry.caller.user)
      let inquiry = Inquiry(
        inquiry.caller.coming(by: granted), inquiry.operation, inquiry.scope, account: inquiry.account)
      guard let found = rule.specificity(inquiry), best.map({ found > $0.specificity }) ?? true else { continue }
      let isCloser = rule.name == decider?.name ? rule.terms.wantsGrant : floor.map { found > $0 } ?? true
      if isCloser, inquiry.operation != .reset { best = (rule, found) }
    }
    let user = inquiry.caller.user == .max ? nil : inquiry.caller.user
    return best.map {
      Explanation.GrantedRule(rule: $0.rule.name, claims: $0.rule.terms.requiredClaims.keys.sorted(), user: user)
    }
  }

  /// What is said against the caller's grant elsewhere.
  private func warnings(_ grant: Grant?) -> [String] {
    guard let grant, let rule = rules.first(where: { $0.name.utf8.elementsEqual(grant.rule.utf8) }) else { return [] }
    let user = grant.user == .max ? nil : grant.user
    return overrulings(of: rule, grant.relyingParties, for: CallerPattern(user: user).comingByGrant).map {
      "\($0), so the grant has no effect there"
    }
  }

  private func whyNot(_ rule: Rule, _ inquiry: Inquiry, _ decider: Rule?) -> String {
    let (caller, operation) = (inquiry.caller, inquiry.operation)
    if !rule.matches(caller) { return rule.callerMismatches(caller) }
    guard rule.operations.contains(operation) else {
      return "operations: " + rule.operations.map(\.rawValue).sorted().joined(separator: ", ")
    }
    guard rule.matches(operation, inquiry.scope) else {
      return "relyingParties: " + shortened(rule.relyingParties.map(\.description))
    }
    guard let own = rule.specificity(inquiry) else {
      return "accounts: " + (inquiry.account == nil ? "the account is not known" : "none of them is this one")
    }
    guard let decider, let better = decider.specificity(inquiry) else { return "matches" }
    let reason =
      better.relyingParty != own.relyingParty
      ? "a closer RP ID"
      : better.caller != own.caller
        ? "more of the caller" : better.account != own.account ? "a closer account" : "the same, and comes first"
    return "matches too, but rule \(quoted(decider.name, limit: 64)) names \(reason)"
  }
}

extension Rule {
  fileprivate func callerMismatches(_ caller: Caller) -> String {
    let texts = callers.enumerated().compactMap { index, pattern in
      pattern.mismatch(caller, ofRule: name).map { field, found in
        if field == "grant", found == nil { return "callers[\(index)].grant: the caller comes without one" }
        return "callers[\(index)].\(field): the caller's is \(found.map { quoted($0, limit: 128) } ?? "unknown")"
      }
    }
    return shortened(texts, separator: "; ")
  }
}

extension Terms {
  /// In the words of the configuration, as far as it says more than nothing.
  fileprivate var described: String {
    var texts: [String] = []
    if userVerification { texts.append("userVerification") }
    if signatureCounter != .global { texts.append("signatureCounter \(signatureCounter.rawValue)") }
    if checksBootState { texts.append("bootState everySignature") }
    if let attestation { texts.append("attestation \(attestation.map(\.rawValue).joined(separator: " or "))") }
    if enterpriseAttestation { texts.append("enterpriseAttestation") }
    if let rate { texts.append("rate \(rate.perMinute) per minute, burst \(rate.burst)") }
    if let maximumRegistrations { texts.append("maxRegistrations \(maximumRegistrations)") }
    if !hours.isEmpty { texts.append("hours") }
    if requiresGrant { texts.append("requireGrant") }
    if !requiredClaims.isEmpty { texts.append("requireClaims " + requiredClaims.keys.sorted().joined(separator: ", ")) }
    if bindsClaims { texts.append("bindClaims") }
    return texts.isEmpty ? "decides" : "decides: " + texts.joined(separator: ", ")
  }
}

func shortened(_ texts: [String], separator: String = ", ") -> String {
  texts.prefix(4).joined(separator: separator) + (texts.count > 4 ? " and \(texts.count - 4) more" : "")
}
