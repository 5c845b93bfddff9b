internal import Platform

/// How often a rule allows, for each caller that it knows apart: `burst` at once, and `perMinute` in the long run.
package struct Rate: Hashable, Sendable {
  /// 1 to 60,000.
  package let perMinute: Int
  /// 1 to 60,000.
  package let burst: Int

  package init(perMinute: Int, burst: Int) {
    precondition(perMinute > 0 && burst > 0, "a rate allows something")
    self.perMinute = perMinute
    self.burst = burst
  }

  var interval: UInt64 { 60_000_000_000 / UInt64(perMinute) }
}

/// What policy remembers between decisions, so that rules can be values: how often was allowed, and what is left of
/// grants. A value too; its owner has the one that counts, and a clock.
package struct Ledger: Sendable {
  private struct Account: Hashable {
    let rule: String
    let holder: Holder
  }

  private struct Allowance {
    /// CLOCK_BOOTTIME.
    let deadline: UInt64
    /// nil is no limit.
    var operations: Int?
  }

  /// When each has its whole burst again (the generic cell rate algorithm: one number for each bucket).
  private var restored: [Account: UInt64] = [:]
  private var allowances: [String: Allowance] = [:]

  package init() {}

  /// Makes the proof of a rule's yes, once: it must be the hour, the grant must be alive, and the share not used up.
  ///
  /// - Parameters:
  ///   - verdict: of a ``Judge``
  ///   - moment: now
  /// - Returns: what signing consumes
  /// - Throws: ``Refusal``, and nothing is counted
  package mutating func admit(_ verdict: consuming Verdict, at moment: Moment) throws(Refusal) -> Presence {
    let restoration = try charge(verdict, at: moment)
    if let restoration {
      let account = Account(rule: verdict.rule, holder: verdict.holder)
      if restored.count >= 4096, restored[account] == nil {
        // Whoever has the whole burst need not be remembered.
        restored = restored.filter { $0.value > moment.monotonicNanoseconds }
      }
      restored[account] = restoration
    }
    if Self.isCounted(verdict), let grant = verdict.grant, let left = allowances[grant.id]?.operations {
      allowances[grant.id]?.operations = left - 1
    }
    return verdict.presence
  }

  /// Whether ``admit(_:at:)`` would make it, which counts nothing yet.
  ///
  /// - Throws: ``Refusal``
  package func check(_ verdict: borrowing Verdict, at moment: Moment) throws(Refusal) {
    _ = try charge(verdict, at: moment)
  }

  private static func isCounted(_ verdict: borrowing Verdict) -> Bool {
    [.register, .authenticate].contains(verdict.presence.operation)
  }

  /// - Returns: when the whole burst is there again after one more; nil where there is no rate
  private func charge(_ verdict: borrowing Verdict, at moment: Moment) throws(Refusal) -> UInt64? {
    let (rule, terms) = (verdict.rule, verdict.presence.terms)
    if !terms.hours.isEmpty, !terms.hours.contains(where: { $0.contains(moment) }) {
      throw Refusal(reason: "rule \(quoted(rule, limit: 64)) allows it at other hours", rule: rule)
    }
    let now = moment.monotonicNanoseconds
    if let grant = verdict.grant {
      guard isAlive(grant, at: now), let allowance = allowances[grant.id] else {
        throw Refusal(reason: "grant \(grant.id) has ended", rule: rule)
      }
      if Self.isCounted(verdict), let left = allowance.operations, left == 0 {
        throw Refusal(reason: "grant \(grant.id) is used up", rule: rule)
      }
    }
    guard let rate = terms.rate else { return nil }
    return try restoration(of: rate, Account(rule: rule, holder: verdict.holder), now)
  }

  private func restoration(of rate: Rate, _ account: Account, _ now: UInt64) throws(Refusal) -> UInt64 {
    let next = max(restored[account] ?? now, now) + rate.interval
    let latest = now + UInt64(rate.burst) * rate.interval
    guard next <= latest else {
      let milliseconds = (next - latest + 999_999) / 1_000_000
      throw Refusal(
        reason:
          "rule \(quoted(account.rule, limit: 64)) allows \(rate.perMinute) per minute in bursts of \(rate.burst): "
          + "again in \(milliseconds) ms",
        rule: account.rule)
    }
    return next
  }

  /// Forgets the shares of rules that are gone; those of rules that stay go on.
  package mutating func keep(rules: Set<String>) {
    restored = restored.filter { rules.contains($0.key.rule) }
  }

  // MARK: Grants

  /// Lets a grant begin.
  ///
  /// - Parameters:
  ///   - grant: by its ID
  ///   - deadline: CLOCK_BOOTTIME in nanoseconds
  ///   - operations: registrations and assertions; nil for no limit
  package mutating func begin(_ grant: Grant, until deadline: UInt64, operations: Int?) {
    allowances[grant.id] = Allowance(deadline: deadline, operations: operations)
  }

  /// Ends a grant, which may have ended.
  package mutating func end(grant id: String) {
    allowances[id] = nil
    restored = restored.filter { $0.key.holder != .grant(id) }
  }

  /// Whether a grant has not ended; true too for one whose operations are used up, while the last is in progress.
  package func isAlive(_ grant: Grant, at now: UInt64) -> Bool {
    allowances[grant.id].map { now < $0.deadline } ?? false
  }

  /// What is left of a grant; nil where it has ended or there is no limit.
  package func operationsLeft(ofGrant id: String) -> Int? {
    allowances[id]?.operations
  }
}
