internal import Glibc
package import Platform

/// The audit log in a file: one JSON object per line, in the order of submission, each linked to the one before it and
/// durable before its ticket says so. A thread of its own hashes and writes; records that arrive while it waits for the
/// disk, or for the first of them to be wanted, share the next fdatasync(2). It lives until ``close()``.
package final class AuditFile: AuditSink {
  /// Why the chain should be signed.
  package enum Occasion: Equatable, Sendable {
    /// The first record since the last signature is there.
    case begun
    /// As many as may be.
    case full
    /// The file is about to be moved away.
    case rotating
  }

  /// What the thread does, or is about to, until something wakes it.
  private enum Rest {
    case none
    /// Records may come that can wait for others: these do not wake it. It looks after them when it has had its rest.
    case dozing
    /// Nothing has come for a while.
    case sleeping
  }

  private struct Queue {
    var records: [PendingRecord] = []
    var byteCount = 0
    /// Whether a record is there that is not to wait for others.
    var isWanted = false
    var isToBeReopened = false
    var isClosed = false
    var rest = Rest.none

    /// - Returns: whether the thread must be signalled
    mutating func want() -> Bool {
      isWanted = true
      defer { rest = .none }
      return rest != .none
    }
  }

  private struct Progress {
    var end = ChainEnd.beginning
    var figures = AuditFigures()
    var failure: AuditError?
  }

  private let path: String
  private let settings: AuditSettings
  private let maximumQueue: Int
  private let patience: Int32
  private let log: Logger
  private let journal: JournalCopies?
  private let queue = Lock(Queue())
  private let progress = Lock(Progress())
  private let observer = Lock<(@Sendable (Occasion) -> Void)?>(nil)
  private let wake: EventCounter
  private let finished: EventCounter

  /// Opens the file, makes it where it is missing, takes up its chain, and starts the thread. A disk that is full,
  /// read-only or failing is no reason to refuse: it is logged, and records are refused until it works.
  ///
  /// - Parameters:
  ///   - path: file name; its folder must be there
  ///   - mode: permissions of a file that is made
  ///   - settings: rotation, signatures, copies
  ///   - maximumQueue: bytes of records that may wait for the disk; more are refused at once. Refusals and failures have
  ///     a quarter of it
  ///   - patience: milliseconds for which a record waits for others, where it may; -1 is without end, for tests
  ///   - medium: the kernel, or a test's
  ///   - log: told when writing begins to fail and when it works again
  ///   - journal: where copies go; nil for nowhere
  /// - Throws: ``AuditError`` where the path is wrong, or there is no thread
  package init(
    path: String, mode: UInt32 = 0o640, settings: AuditSettings = AuditSettings(), maximumQueue: Int = 4 << 20,
    patience: Int32 = 100, medium: any AuditMedium = SystemMedium(), log: Logger, journal: JournalCopies? = nil
  ) throws(AuditError) {
    self.path = path
    self.settings = settings
    self.maximumQueue = maximumQueue
    self.patience = patience
    self.log = log
    self.journal = journal
    var writer = AuditWriter(path: path, mode: mode, medium: medium, log: log)
    do throws(SystemError) {
      try writer.open()
      progress.withLock { $0.end = writer.end ?? .beginning }
    } catch {
      let failure = AuditFile.error(path, error)
      guard error.isOfTheDisk else { throw AuditError(failure.description + error.remedy(forFile: path)) }
      log.error(failure.description)
      progress.withLock { $0.failure = failure }
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
  package var problem: AuditError? { progress.withLock { $0.failure } }

  /// The last record that is durable.
  package var end: ChainEnd { progress.withLock { $0.end } }

  package var figures: AuditFigures {
    var figures = progress.withLock { $0.figures }
    figures.lostCopies = journal?.lost ?? 0
    return figures
  }

  /// Who is told, on the audit thread, that the chain should be signed. Must not wait.
  package func observe(_ body: @escaping @Sendable (Occasion) -> Void) {
    observer.withLock { $0 = body }
    wake.signal()
  }

  /// Records that wait for the thread that writes: how far the file is behind.
  package var waiting: Int { queue.withLock { $0.records.count } }

  package func submit(_ record: AuditRecord, _ urgency: AuditUrgency) -> any AuditTicket {
    // What signs nothing must not take the queue from what does.
    let maximum = record.outcome == .allowed || record.outcome == .done ? maximumQueue : maximumQueue / 4
    let pending = PendingRecord(
      body: AuditLine(record).bytes, copy: journal == nil ? nil : record, waitingIn: urgency == .now ? nil : self)
    return submit(pending, urgency, within: maximum)
  }

  /// Hands over a signature over the chain as it was.
  ///
  /// - Parameters:
  ///   - head: with its signature
  ///   - sequence: of the last record that is signed
  /// - Returns: as for any record
  func submit(_ head: AuditLine, signing sequence: UInt64) -> any AuditTicket {
    submit(PendingRecord(body: head.bytes, signed: sequence), .now, within: maximumQueue)
  }

  private func submit(
    _ pending: PendingRecord, _ urgency: AuditUrgency, within maximum: Int
  ) -> any AuditTicket {
    // The chain's link comes behind it. What is longer would be read as no record, and break the chain.
    guard pending.body.count + ChainLine.maximumLink <= ChainLine.maximumCount else {
      let problem = AuditError("audit log \(path): a record of \(pending.body.count) bytes is too long")
      return PendingRecord(refused: problem)
    }
    let (refusal, wakes) = queue.withLock { queue -> (AuditError?, Bool) in
      if queue.isClosed { return (AuditError("audit log \(path): closed"), false) }
      guard queue.byteCount + pending.body.count <= maximum else {
        let problem = AuditError("audit log \(path): the disk does not keep up: \(queue.records.count) records wait")
        return (problem, queue.want())
      }
      queue.records.append(pending)
      queue.byteCount += pending.body.count
      // Who sleeps for good would not look after it; and what waits must not take the room of what follows.
      let isWanted = urgency == .now || queue.rest == .sleeping || queue.byteCount > maximumQueue / 16
      return (nil, isWanted ? queue.want() : false)
    }
    if wakes { wake.signal() }
    return refusal.map(PendingRecord.init(refused:)) ?? pending
  }

  /// Lets nothing that is queued wait for others.
  func hasten() {
    if queue.withLock({ $0.records.isEmpty ? false : $0.want() }) { wake.signal() }
  }

  /// Opens the file by its name again before the next record, for logrotate(8). The chain goes on.
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

  /// What the thread knows of signatures and rotation.
  private struct Watch {
    var unsigned: UInt64 = 0
    var hasToldBegun = false
    var hasToldFull = false
    var hasToldRotating = false
    var hasFailedToRotate = false
  }

  private func run(_ writer: inout AuditWriter) {
    var watch = Watch()
    var rest = Rest.sleeping
    while true {
      let (records, isToBeReopened, isClosed) = take(orRest: rest)
      if isToBeReopened {
        writer.close()
        note(reopening: &writer)
      }
      if records.isEmpty {
        if isClosed { break }
        if !isToBeReopened { rest = wait(rest) }
        tell(&watch, writer.size)
        continue
      }
      rest = .dozing
      let outcome = writer.append(records.map(\.body))
      note(outcome, writer.end)
      let isSigned = count(records.prefix(outcome.durable), upTo: writer.end, &watch)
      for record in records.prefix(outcome.durable) { record.settle(.success(())) }
      if let failure = outcome.failure {
        let error = AuditFile.error(path, failure)
        for record in records.dropFirst(outcome.durable) { record.settle(.failure(error)) }
      }
      copy(records.prefix(outcome.durable))
      rotateIfDue(&writer, &watch, isSigned: isSigned)
      tell(&watch, writer.size)
    }
    writer.close()
    finished.signal()
  }

  /// - Parameter rest: how the thread rests where nothing is to be done; before it sleeps, it takes what nobody has wanted
  /// - Returns: all that is to be done now
  private func take(orRest rest: Rest) -> (records: [PendingRecord], isToBeReopened: Bool, isClosed: Bool) {
    queue.withLock { queue in
      let isDue = queue.isWanted || (rest == .sleeping && !queue.records.isEmpty)
      guard isDue || queue.isToBeReopened || queue.isClosed else {
        queue.rest = rest
        return ([], false, false)
      }
      defer {
        queue.records = []
        queue.byteCount = 0
        queue.isWanted = false
        queue.isToBeReopened = false
        queue.rest = .none
      }
      return (queue.records, queue.isToBeReopened, queue.isClosed)
    }
  }

  /// - Returns: how to rest if nothing has come
  private func wait(_ rest: Rest) -> Rest {
    if rest == .dozing, waitUntilReadable([wake.raw], within: patience) == nil { return .sleeping }
    wake.wait()
    return rest
  }

  private func copy(_ records: ArraySlice<PendingRecord>) {
    guard let journal else { return }
    for record in records { if let copy = record.copy { journal.send(copy) } }
  }

  /// Whether the last of them signs the chain.
  private func count(_ records: ArraySlice<PendingRecord>, upTo end: ChainEnd?, _ watch: inout Watch) -> Bool {
    for (index, record) in records.enumerated() {
      if let signed = record.signed, let end {
        // What came while the TPM worked is not signed yet.
        let sequence = end.sequence - UInt64(records.count - 1 - index)
        watch = Watch(
          unsigned: sequence - 1 - min(signed, sequence - 1), hasFailedToRotate: watch.hasFailedToRotate)
      } else {
        watch.unsigned += 1
      }
    }
    let unsigned = watch.unsigned
    progress.withLock { $0.figures.unsigned = unsigned }
    return records.last?.signed != nil
  }

  /// Each occasion once until the next signature.
  private func tell(_ watch: inout Watch, _ size: Int64) {
    guard let tell = observer.withLock({ $0 }) else { return }
    if watch.unsigned > 0, !watch.hasToldBegun {
      watch.hasToldBegun = true
      tell(.begun)
    }
    if watch.unsigned >= settings.signAfterRecords, !watch.hasToldFull {
      watch.hasToldFull = true
      tell(.full)
    }
    if let limit = settings.rotateAfter, size >= limit, watch.unsigned > 0, !watch.hasToldRotating {
      watch.hasToldRotating = true
      tell(.rotating)
    }
  }

  /// Behind a signature; without one where nobody signs, or nobody has for a quarter of the size.
  private func rotateIfDue(_ writer: inout AuditWriter, _ watch: inout Watch, isSigned: Bool) {
    guard let limit = settings.rotateAfter, writer.size >= limit else { return }
    let isPatient = observer.withLock { $0 != nil } && writer.size < limit + limit / 4
    guard isSigned || !isPatient else { return }
    do throws(SystemError) {
      try writer.rotate(keeping: settings.keep)
      watch.hasFailedToRotate = false
      log.notice("audit log \(path): moved away, as it has reached its size")
    } catch {
      if !watch.hasFailedToRotate { log.error("\(AuditFile.error(path, error)): it goes on growing") }
      watch.hasFailedToRotate = true
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
  private func note(_ outcome: AuditWriter.Outcome, _ end: ChainEnd?) {
    let now = outcome.failure.map { AuditFile.error(path, $0) }
    let wasFailing = progress.withLock { progress in
      if let end { progress.end = end }
      progress.figures.records += UInt64(outcome.durable)
      if outcome.durable > 0 { progress.figures.synchronizations += 1 }
      defer { progress.failure = now }
      return progress.failure != nil
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
  /// What the operator can do about a log that cannot be opened at all; empty where the error says it.
  fileprivate func remedy(forFile path: String) -> String {
    let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    switch code {
    case ENOENT, ENOTDIR:
      return
        ": there must be a folder \(folder) that is the daemon's own (its unit makes /var/log/countersign): install "
        + "-d -m 0750 -o countersign -g countersign \(folder)"
    case EACCES, EPERM:
      return
        ": the daemon's user must be able to write in \(folder), and to the file if it is there: chown -R countersign:"
        + "countersign \(folder)"
    case EISDIR: return ": name a file, not a folder, with auditLog or --audit-log"
    default: return ""
    }
  }

  /// Trouble that passes without another configuration.
  fileprivate var isOfTheDisk: Bool {
    [ENOSPC, EDQUOT, EROFS, EIO, ENFILE, EMFILE, ENOMEM, EINTR, ESTALE, ETIMEDOUT].contains(code)
  }
}
