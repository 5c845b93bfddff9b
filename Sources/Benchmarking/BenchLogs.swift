internal import AuditLog
internal import Glibc
internal import Platform

/// Records nothing, and has it durable at once.
struct NoLog: AuditSink {
  private struct Ticket: AuditTicket {
    func durable() async throws(AuditError) {}
  }

  func submit(_ record: AuditRecord, _ urgency: AuditUrgency) -> any AuditTicket { Ticket() }
}

/// The audit log without group commit: a record is handed over once the one before it is durable, so that no two share an
/// fdatasync(2).
final class OneByOneLog: AuditSink {
  private struct Ticket: AuditTicket {
    let writing: Task<AuditError?, Never>

    func durable() async throws(AuditError) {
      if let error = await writing.value { throw error }
    }
  }

  private let file: AuditFile
  private let last = Lock<Task<AuditError?, Never>?>(nil)

  init(_ file: AuditFile) {
    self.file = file
  }

  func submit(_ record: AuditRecord, _ urgency: AuditUrgency) -> any AuditTicket {
    last.withLock { [file] last in
      let writing = Task.detached { [before = last] in
        _ = await before?.value
        do throws(AuditError) {
          try await file.submit(record).durable()
          return AuditError?.none
        } catch {
          return error
        }
      }
      last = writing
      return Ticket(writing: writing)
    }
  }
}

/// A disk that is slower than the run's own.
struct SlowMedium: AuditMedium {
  /// What each fdatasync(2) takes longer.
  let milliseconds: UInt32
  private let system = SystemMedium()

  init(milliseconds: UInt32) {
    self.milliseconds = milliseconds
  }

  func write(_ bytes: [UInt8], to file: borrowing Descriptor) throws(SystemError) {
    try system.write(bytes, to: file)
  }

  func synchronize(_ file: borrowing Descriptor) throws(SystemError) {
    usleep(milliseconds * 1000)
    try system.synchronize(file)
  }

  func truncate(_ file: borrowing Descriptor, to size: Int64) throws(SystemError) {
    try system.truncate(file, to: size)
  }
}
