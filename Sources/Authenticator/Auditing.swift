internal import AuditLog
internal import CTAP
internal import Platform
internal import Policy

extension AuditRecord {
  init(_ outcome: Outcome, _ operation: AuditRecord.Operation, _ caller: Caller, _ time: any Timekeeper) {
    self.init(
      time: time.unixMilliseconds, outcome: outcome, operation: operation, connection: caller.connection,
      user: caller.user, group: caller.group, process: caller.process, unit: caller.unit)
    grant = caller.grant?.id
    claims = caller.grant.flatMap { $0.claims.values.isEmpty ? nil : $0.claims.values }
  }
}

extension AuditRecord.Operation {
  init(_ operation: Policy.Operation) {
    self =
      switch operation {
      case .register: .register
      case .authenticate: .authenticate
      case .manage: .manage
      case .reset: .reset
      }
  }
}

/// The coming of the request that this task answers: from here its records count how long it took, and the key store how
/// long it waits (``KeyStore``), by the same clock.
package final class Receipt: Sendable {
  @TaskLocal package static var current: Receipt?

  private enum Work {
    /// With the record that waits for it.
    case notBegun((any AuditTicket)?)
    case begun
  }

  /// Monotonic nanoseconds.
  package let time: UInt64
  private let work = Lock(Work.notBegun(nil))

  package init(at time: UInt64) {
    self.time = time
  }

  /// Whether the TPM has begun to work for the request.
  package var hasBegun: Bool { work.withLock { if case .begun = $0 { true } else { false } } }

  package func workBegins() {
    let ticket: (any AuditTicket)? = work.withLock { work in
      defer { work = .begun }
      if case .notBegun(let ticket) = work { return ticket }
      return nil
    }
    ticket?.hasten()
  }

  /// Lets a record wait for others until the TPM begins to work for the request.
  func hastenOnceWorkBegins(_ ticket: any AuditTicket) {
    let hasBegun = work.withLock { work in
      if case .begun = work { return true }
      work = .notBegun(ticket)
      return false
    }
    if hasBegun { ticket.hasten() }
  }
}

extension AuthenticatorEngine {
  /// Runs the answer to a request that has just come, so that its records say how long it took.
  func timed<Answer>(_ answer: () async -> Answer) async -> Answer {
    await Receipt.$current.withValue(Receipt(at: environment.time.monotonicNanoseconds), operation: answer)
  }

  /// Hands a record to the log.
  func submit(_ record: AuditRecord, _ urgency: AuditUrgency = .now) -> any AuditTicket {
    var record = record
    if let received = Receipt.current?.time {
      let now = environment.time.monotonicNanoseconds
      record.latency = (now - min(now, received)) / 1000
    }
    return environment.audit.submit(record, urgency)
  }

  /// Asks policy, and counts. A refusal is recorded and becomes CTAP2_ERR_OPERATION_DENIED, which tells the caller no
  /// more.
  func admit(_ inquiry: Inquiry, detail: String? = nil) async throws(CTAPStatus) -> Presence {
    do {
      let presence = try ledger.admit(try judge.judge(inquiry), at: Moment(environment.time))
      rulesInUse[inquiry.caller.connection] = presence.rule
      return presence
    } catch {
      throw await refuse(inquiry, error, detail)
    }
  }

  /// As ``admit(_:detail:)`` before there is anything to prove: counts nothing.
  func consider(_ inquiry: Inquiry) async throws(CTAPStatus) {
    do {
      try ledger.check(try judge.judge(inquiry), at: Moment(environment.time))
    } catch {
      throw await refuse(inquiry, error, nil)
    }
  }

  /// Before ``admit(_:detail:)``, and before a token is used up: who is told to come again loses nothing by it. What
  /// policy refuses is left to it.
  ///
  /// - Throws: as ``refuseLongWait(_:)``, with the rule in `draft`; nothing has been counted
  func refuseOverload(_ inquiry: Inquiry, _ draft: inout AuditRecord) throws(Failure) {
    // First: whom policy refuses has no place among those who wait.
    guard let rule = ruleAllowing(inquiry) else { return }
    do throws(Failure) {
      try refuseLongWait(inquiry.caller)
    } catch {
      rulesInUse[inquiry.caller.connection] = rule
      draft.rule = rule
      throw error
    }
  }

  private func ruleAllowing(_ inquiry: Inquiry) -> String? {
    guard let verdict = try? judge.judge(inquiry) else { return nil }
    do {
      try ledger.check(verdict, at: Moment(environment.time))
    } catch {
      return nil
    }
    return verdict.rule
  }

  /// About an operation that concerns no account.
  func admit(
    _ caller: Caller, _ operation: Operation, _ scope: Scope, detail: String? = nil
  ) async throws(CTAPStatus) -> Presence {
    try await admit(Inquiry(caller, operation, scope), detail: detail)
  }

  /// Asks policy whether any account could make it a yes, so that only who may sign learns which are here. A refusal is
  /// as that of ``admit(_:detail:)``, which comes next.
  func foresee(_ inquiry: Inquiry, detail: String? = nil) async throws(CTAPStatus) -> Prospect {
    do {
      let prospect = try judge.foresee(inquiry)
      rulesInUse[inquiry.caller.connection] = prospect.rule
      return prospect
    } catch {
      throw await refuse(inquiry, error, detail)
    }
  }

  private func refuse(_ inquiry: Inquiry, _ refusal: Refusal, _ detail: String?) async -> CTAPStatus {
    var record = AuditRecord(.refused, AuditRecord.Operation(inquiry.operation), inquiry.caller, environment.time)
    record.relyingPartyID = inquiry.scope.relyingPartyID
    record.detail = detail
    record.rule = refusal.rule
    rulesInUse[inquiry.caller.connection] = refusal.rule
    record.reason = refusal.reason
    record.result = "\(CTAPStatus.operationDenied)"
    await recordWithinLimits(record)
    return .operationDenied
  }

  /// The beginning of a record about what policy has allowed.
  func draft(
    _ operation: Operation, _ presence: borrowing Presence, for caller: Caller, detail: String? = nil
  ) -> AuditRecord {
    var draft = AuditRecord(.allowed, AuditRecord.Operation(operation), caller, environment.time)
    draft.rule = presence.rule
    draft.relyingPartyID = presence.scope.relyingPartyID
    draft.detail = detail
    return draft
  }

  /// The beginning of a record about what policy is going to allow, or is to be asked about.
  func draft(
    _ operation: Operation, _ prospect: Prospect?, _ scope: Scope, for caller: Caller, detail: String? = nil
  ) -> AuditRecord {
    var draft = AuditRecord(.allowed, AuditRecord.Operation(operation), caller, environment.time)
    draft.rule = prospect?.rule
    draft.relyingPartyID = scope.relyingPartyID
    draft.detail = detail
    return draft
  }

  /// The status for what was not done. What the operator must see to is in the daemon's log.
  func status(for failure: Failure, of command: String) -> CTAPStatus {
    if failure.isFault { environment.logger.error("\(command) failed: \(failure.reason)") }
    return failure.status
  }

  /// Records what was allowed but not done, and gives the status for it.
  func fail(_ draft: AuditRecord, _ failure: Failure) async -> CTAPStatus {
    var record = draft
    record.time = environment.time.unixMilliseconds
    record.outcome = .failed
    record.reason = failure.reason
    record.result = "\(failure.status)"
    // Who is told to come again may do so as fast as it is told.
    if failure.status == .channelBusy {
      await recordWithinLimits(record)
    } else {
      await recordQuietly(record)
    }
    return status(for: failure, of: draft.operation.rawValue)
  }

  /// Records what signs nothing and anyone can bring about, as often as the limit allows.
  func recordWithinLimits(_ record: AuditRecord) async {
    guard let suppressed = limiter.admit(user: record.user, now: environment.time.monotonicNanoseconds) else { return }
    var record = record
    record.suppressed = suppressed > 0 ? suppressed : nil
    if let reason = record.reason {
      environment.logger.info("refused \(record.operation.rawValue) to uid \(record.user): \(reason)")
    }
    await recordQuietly(record)
  }

  /// Records what no signature depends on. A log that cannot be written is said, and stops signatures elsewhere.
  func recordQuietly(_ record: AuditRecord) async {
    do {
      try await submit(record).durable()
    } catch {
      environment.logger.error("\(error)")
    }
  }
}
