internal import Glibc
package import Platform

/// The audit log in a file: one JSON object per line, in the order of submission, each durable before its ticket says
/// so. A thread of its own writes; records that arrive while it waits for the disk share the next fdatasync(2). It lives
/// until ``close()``.
package final class AuditFile: AuditSink {
  private struct Queue {
    var records: [PendingRecord] = []
    var byteCount = 0
    var isToBeReopened = false
    var isClosed = false
  }

  private let path: String
  private let maximumQueue: Int
  private let log: Logger
  private let queue = Lock(Queue())
  private let failure = Lock<AuditError?>(nil)
  private let wake: EventCounter
  private let finished: EventCounter

  /// Opens the file, makes it where it is missing, and starts the thread. A disk that is full, read-only or failing is
  /// no reason to refuse: it is logged, and records are refused until it works.
  ///
  /// - Parameters:
  ///   - path: file name; its folder must be there
  ///   - mode: permissions of a file that is made
  ///   - maximumQueue: bytes of records that may wait for the disk; more are refused at once. Refusals and failures have
  ///     a quarter of it
  ///   - medium: the kernel, or a test's
  ///   - log: told when writing begins to fail and when it works again
  /// - Throws: ``AuditError`` where the path is wrong, or there is no thread
  package init(
    path: String, mode: UInt32 = 0o640, maximumQueue: Int = 4 << 20, medium: any AuditMedium = SystemMedium(),
    log: Logger
  ) throws(AuditError) {
    self.path = path
    self.maximumQueue = maximumQueue
    self.log = log
    var writer = AuditWriter(path: path, mode: mode, medium: medium, log: log)
    do throws(SystemError) {
      try writer.open()
    } catch {
      let failure = AuditFile.error(path, error)
      guard error.isOfTheDisk else { throw failure }
      log.error(failure.description)
      self.failure.withLock { $0 = failure }
    }
    do throws(SystemError) {
      wake = try EventCounter()
      finished = try EventCounter()
      // Held by the thread from its start to its end.
      let owned = Lock(writer)
      try startThread(named: "audit") { [self] in owned.withLock { run(&$0) } }
    } catch {
      throw AuditFile.error(path, error)
    }
  }

  /// Why the last record could not be written; nil while all is well.
  package var problem: AuditError? { failure.withLock { $0 } }

  /// Records that wait for the thread that writes: how far the file is behind.
  package var waiting: Int { queue.withLock { $0.records.count } }

  package func submit(_ record: AuditRecord) -> any AuditTicket {
    let pending = PendingRecord(line: AuditLine(record).bytes)
    // What signs nothing must not take the queue from what does.
    let maximum = record.outcome == .allowed ? maximumQueue : maximumQueue / 4
    let (refusal, wasIdle) = queue.withLock { queue -> (AuditError?, Bool) in
      if queue.isClosed { return (AuditError("audit log \(path): closed"), false) }
      guard queue.byteCount + pending.line.count <= maximum else {
        return (AuditError("audit log \(path): the disk does not keep up: \(queue.records.count) records wait"), false)
      }
      queue.records.append(pending)
      queue.byteCount += pending.line.count
      return (nil, queue.records.count == 1)
    }
    if let refusal { return PendingRecord(refused: refusal) }
    if wasIdle { wake.signal() }
    return pending
  }

  /// Opens the file by its name again before the next record, for logrotate(8).
  package func reopen() {
    queue.withLock { $0.isToBeReopened = true }
    wake.signal()
  }

  /// Writes what is queued, closes the file and waits for the end of the thread. Later records are refused.
  package func close() {
    let wasClosed = queue.withLock { queue in
      defer { queue.isClosed = true }
      return queue.isClosed
    }
    guard !wasClosed else { return }
    wake.signal()
    finished.wait()
  }

  // MARK: The thread

  private func run(_ writer: inout AuditWriter) {
    while true {
      let (records, isToBeReopened, isClosed) = take()
      if isToBeReopened {
        writer.close()
        note(reopening: &writer)
      }
      if records.isEmpty {
        if isClosed { break }
        if !isToBeReopened { wake.wait() }
        continue
      }
      let outcome = writer.append(records.map(\.line))
      note(outcome)
      for record in records.prefix(outcome.durable) { record.settle(.success(())) }
      if let failure = outcome.failure {
        let error = AuditFile.error(path, failure)
        for record in records.dropFirst(outcome.durable) { record.settle(.failure(error)) }
      }
    }
    writer.close()
    finished.signal()
  }

  private func take() -> (records: [PendingRecord], isToBeReopened: Bool, isClosed: Bool) {
    queue.withLock { queue in
      defer {
        queue.records = []
        queue.byteCount = 0
        queue.isToBeReopened = false
      }
      return (queue.records, queue.isToBeReopened, queue.isClosed)
    }
  }

  private func note(reopening writer: inout AuditWriter) {
    do throws(SystemError) {
      try writer.open()
    } catch {
      log.error("\(AuditFile.error(path, error))")
    }
  }

  /// One line when it begins to fail and one when it works again, however many records come between.
  private func note(_ outcome: AuditWriter.Outcome) {
    let now = outcome.failure.map { AuditFile.error(path, $0) }
    let wasFailing = failure.withLock { failure in
      defer { failure = now }
      return failure != nil
    }
    if let now {
      if !wasFailing { log.error("\(now): nothing is signed until it can be written") }
    } else if wasFailing {
      log.notice("audit log \(path): can be written again")
    }
  }

  private static func error(_ path: String, _ error: SystemError) -> AuditError {
    AuditError("audit log \(path): \(error)")
  }
}

extension SystemError {
  /// Trouble that passes without another configuration.
  fileprivate var isOfTheDisk: Bool {
    [ENOSPC, EDQUOT, EROFS, EIO, ENFILE, EMFILE, ENOMEM, EINTR, ESTALE, ETIMEDOUT].contains(code)
  }
}
