package import AuditLog
internal import Platform

/// An audit log in memory whose n-th record can fail.
package final class MemoryAudit: AuditSink {
  private struct Ticket: AuditTicket {
    let failed: Bool

    func durable() async throws(AuditError) {
      if failed { throw AuditError("write: injected") }
    }
  }

  package let faults = FaultPlan()
  private let stored = Lock<[AuditRecord]>([])

  package init() {}

  /// What became durable, in order.
  package var records: [AuditRecord] { stored.withLock { $0 } }

  package func submit(_ record: AuditRecord) -> any AuditTicket {
    let failed = faults.shouldFail()
    if !failed { stored.withLock { $0.append(record) } }
    return Ticket(failed: failed)
  }
}
