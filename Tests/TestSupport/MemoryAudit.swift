package import AuditLog
internal import Platform

/// An audit log in memory whose n-th record can fail.
package final class MemoryAudit: AuditSink {
  private struct Ticket: AuditTicket {
    let failed: Bool
    let number: Int
    let audit: MemoryAudit

    func durable() async throws(AuditError) {
      hasten()
      if failed { throw AuditError("write: injected") }
    }

    func hasten() {
      audit.unwanted.withLock { _ = $0.remove(number) }
    }
  }

  package let faults = FaultPlan()
  private let stored = Lock<[AuditRecord]>([])
  private let unwanted = Lock<Set<Int>>([])
  private let submitted = Lock(0)

  package init() {}

  /// What became durable, in order.
  package var records: [AuditRecord] { stored.withLock { $0 } }

  package func submit(_ record: AuditRecord, _ urgency: AuditUrgency) -> any AuditTicket {
    let failed = faults.shouldFail()
    let number = submitted.withLock { count in
      count += 1
      return count
    }
    if urgency == .whenWanted { unwanted.withLock { _ = $0.insert(number) } }
    if !failed { stored.withLock { $0.append(record) } }
    return Ticket(failed: failed, number: number, audit: self)
  }

  /// How many records may wait for others still.
  package var waiting: Int { unwanted.withLock { $0.count } }
}
