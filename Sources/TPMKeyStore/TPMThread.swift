internal import Authenticator
internal import Platform

/// The one thread that talks to the TPM, and the work that waits for it. A second thread, asleep unless there is work,
/// watches that the TPM answers.
final class TPMThread: Sendable {
  struct Limits: Sendable {
    /// Work that may wait, in total and by source.
    var total = 4096
    var bySource = 64
    /// How long after a caller's request came its work must have begun.
    var wait: UInt64 = 25_000_000_000
    /// How long one piece of work may take before everybody who waits is told that the TPM does not answer.
    var patience: UInt64 = 20_000_000_000
    /// The same for making keys; RSA takes several seconds on average on a chip.
    var patienceForKeys: UInt64 = 120_000_000_000
  }

  private struct Job {
    let kind: WorkTimes.Kind
    let patience: UInt64
    /// When it must have begun, in monotonic nanoseconds; nil for the daemon's own.
    let due: UInt64?
    /// Runs and answers.
    let run: @Sendable (TPMDevice) -> Void
    /// Answers without running; does nothing where it has been answered.
    let fail: @Sendable (KeyStoreError) -> Void

    func isLate(at now: UInt64) -> Bool { due.map { now >= $0 } ?? false }
  }

  private struct Current {
    /// nil for upkeep.
    let kind: WorkTimes.Kind?
    let startedAt: UInt64
    let patience: UInt64
    let fail: @Sendable (KeyStoreError) -> Void
  }

  private struct State {
    var queue: FairQueue<Job>
    var nextID: UInt64 = 0
    var current: Current?
    var times = WorkTimes()
    var waiting = WaitStatus()
    /// Why nobody may wait: the TPM does not answer.
    var stuck: String?
    var isThreadAsleep = false
    var isWatchdogAsleep = true
    var isStopping = false
    var hasEnded = false
    var onEnd: [@Sendable () -> Void] = []

    /// Why nobody is served at all.
    var refusal: KeyStoreError? { isStopping ? TPMThread.ended : stuck.map(KeyStoreError.unavailable) }

    /// How long the next work from this source would wait, in nanoseconds, if nothing else came but those who have been
    /// told to come again. They need not come: who has no work before it is next.
    func wait(for source: WorkSource, at now: UInt64) -> UInt64 {
      let rest = restOfCurrent(at: now)
      let work = queue.cost(before: source) { times[$0.kind] }
      guard work > 0, queue.mayKeepPlaces(at: now) else { return rest + work }
      return rest + queue.cost(before: source, placesAt: now, ofPlace: times[.signature]) { times[$0.kind] }
    }

    /// At least as much, whatever the source, at less cost; nil where that is not known.
    func longestWait(at now: UInt64) -> UInt64? {
      queue.mayKeepPlaces(at: now) ? nil : restOfCurrent(at: now) + UInt64(queue.count) * times.longest
    }

    private func restOfCurrent(at now: UInt64) -> UInt64 {
      guard let current, let kind = current.kind else { return 0 }
      return times[kind] - min(times[kind], now - min(now, current.startedAt))
    }
  }

  let limits: Limits
  private let state: Lock<State>
  private let wakeThread: EventCounter
  private let wakeWatchdog: EventCounter
  private let clock: any Timekeeper
  private let warnings: Lock<RareWarnings>
  private let interrupt: @Sendable () -> Void

  /// - Parameters:
  ///   - limits: bounds
  ///   - clock: for the watchdog and for deadlines; the one that says when requests came
  ///   - log: for the operator
  ///   - interrupt: makes a TPM that hangs let go, if there is a way
  ///   - makeDevice: runs on the thread, which owns the device
  /// - Throws: ``SystemError`` where no thread can be had
  init(
    limits: Limits, clock: any Timekeeper, log: Logger, interrupt: @escaping @Sendable () -> Void,
    makeDevice: @escaping @Sendable () -> TPMDevice
  ) throws(SystemError) {
    self.limits = limits
    self.clock = clock
    self.interrupt = interrupt
    warnings = Lock(RareWarnings(log: log))
    state = Lock(
      State(queue: FairQueue(limit: limits.total, limitBySource: limits.bySource, patience: limits.wait)))
    wakeThread = try EventCounter()
    wakeWatchdog = try EventCounter()
    try startThread(named: "tpm") { [self] in work(on: makeDevice()) }
    do throws(SystemError) {
      try startThread(named: "tpm-watchdog") { [self] in watch() }
    } catch {
      stop()
      throw error
    }
  }

  // MARK: For callers

  var queueLength: Int { state.withLock { $0.queue.count } }

  /// Why nobody is served, where the TPM does not answer.
  var hangs: String? { state.withLock { $0.stuck } }

  /// How long requests wait.
  var waiting: WaitStatus {
    state.withLock { state in
      let now = clock.monotonicNanoseconds
      var waiting = state.waiting
      waiting.limit = limits.wait / 1_000_000
      // Of a user of whom nothing waits.
      waiting.expected = state.wait(for: .connection(.max, user: .max), at: now) / 1_000_000
      return waiting
    }
  }

  /// For what would be spent in vain before work is submitted that is going to be refused.
  ///
  /// - Throws: ``KeyStoreError``
  func checkWait(for source: WorkSource) throws(KeyStoreError) {
    let due = due(for: source)
    let refusal: KeyStoreError? = state.withLock { state in
      if let refusal = state.refusal ?? lateness(&state, source, due: due) { return refusal }
      return state.queue.hasRoom(for: source) ? nil : busy(&state, source)
    }
    guard let refusal else { return }
    warn(of: refusal, for: source)
    throw refusal
  }

  /// Runs `body` on the TPM thread when its turn comes. Where that will be too late for a caller, it is refused at once;
  /// where it has become so, as soon as it has.
  ///
  /// - Parameters:
  ///   - source: between whom turns are taken
  ///   - kind: of work
  ///   - patience: how long it may take, in nanoseconds; the usual where nil
  ///   - isCancellable: whether cancelling the task takes the work out of the queue
  ///   - body: the work
  /// - Returns: what `body` returns
  /// - Throws: ``KeyStoreError``
  func perform<Result: Sendable>(
    for source: WorkSource, as kind: WorkTimes.Kind = .other, patience: UInt64? = nil, isCancellable: Bool = true,
    _ body: @escaping @Sendable (TPMDevice) throws(KeyStoreError) -> Result
  ) async throws(KeyStoreError) -> Result {
    // An idle thread begins before the check below comes.
    if isCancellable, Task.isCancelled { throw .cancelled }
    let id = state.withLock { state in
      state.nextID += 1
      return state.nextID
    }
    let receipt = Receipt.current
    let result: Swift.Result<Result, KeyStoreError> = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let reply = Reply<Result>(continuation)
        let job = Job(
          kind: kind, patience: patience ?? limits.patience, due: due(for: source),
          run: { device in
            receipt?.workBegins()
            reply.send(Swift.Result { () throws(KeyStoreError) in try body(device) })
          },
          fail: { reply.send(.failure($0)) })
        submit(job, id: id, from: source)
        // Meanwhile the handler may have run, before there was anything to cancel.
        if isCancellable, Task.isCancelled { cancel(id: id, from: source) }
      }
    } onCancel: {
      if isCancellable { cancel(id: id, from: source) }
    }
    return try result.get()
  }

  /// Runs `body` when the daemon's turn comes; nobody waits for it.
  func post(_ body: @escaping @Sendable (TPMDevice) -> Void, orElse fail: @escaping @Sendable () -> Void) {
    let id = state.withLock { state in
      state.nextID += 1
      return state.nextID
    }
    submit(
      Job(kind: .other, patience: limits.patience, due: nil, run: body, fail: { _ in fail() }), id: id, from: .daemon)
  }

  /// Refuses what waits and what comes; the thread ends after its current work.
  func stop() {
    let refused = state.withLock { state in
      state.isStopping = true
      return state.queue.removeAll()
    }
    for job in refused { job.fail(TPMThread.ended) }
    wakeThread.signal()
    wakeWatchdog.signal()
  }

  /// ``stop()``, and waits for the end of the thread, or for the watchdog's verdict that it hangs.
  func ended() async {
    stop()
    await withCheckedContinuation { continuation in
      let hasEnded = state.withLock { state in
        let hasEnded = state.hasEnded || state.stuck != nil
        if !hasEnded { state.onEnd.append { continuation.resume() } }
        return hasEnded
      }
      if hasEnded { continuation.resume() }
    }
  }

  // MARK: The queue

  private static let ended = KeyStoreError.unavailable("the TPM is no longer used: the daemon is ending")

  private func submit(_ job: Job, id: UInt64, from source: WorkSource) {
    let (refusal, displaced, wake): (KeyStoreError?, Job?, Bool) = state.withLock { state in
      if let refusal = state.refusal ?? lateness(&state, source, due: job.due) { return (refusal, nil, false) }
      let displaced = state.queue.makeRoom(for: source, at: clock.monotonicNanoseconds)
      if displaced != nil { state.waiting.refused += 1 }
      guard state.queue.append(job, id: id, from: source) else { return (busy(&state, source), displaced, false) }
      defer { state.isThreadAsleep = false }
      return (nil, displaced, state.isThreadAsleep)
    }
    if let refusal {
      warn(of: refusal, for: source)
      job.fail(refusal)
    }
    displaced?.fail(.busy)
    if wake { wakeThread.signal() }
  }

  private func busy(_ state: inout State, _ source: WorkSource) -> KeyStoreError {
    state.waiting.refused += 1
    state.queue.keepPlace(for: source, at: clock.monotonicNanoseconds)
    return .busy
  }

  private func cancel(id: UInt64, from source: WorkSource) {
    state.withLock { $0.queue.remove(id: id, from: source) }?.fail(.cancelled)
  }

  // MARK: Deadlines

  /// What the TPM has done for a request by now, such as its key, was no waiting, and is not to have been in vain: for
  /// what comes after that the request waits anew.
  private func due(for source: WorkSource) -> UInt64? {
    if source == .daemon { return nil }
    let receipt = Receipt.current.flatMap { $0.hasBegun ? nil : $0.time }
    return (receipt ?? clock.monotonicNanoseconds) + limits.wait
  }

  /// Why work that must have begun by `due` is not to be appended, and counts that.
  private func lateness(_ state: inout State, _ source: WorkSource, due: UInt64?) -> KeyStoreError? {
    guard let due else { return nil }
    let now = clock.monotonicNanoseconds
    if now >= due {
      state.waiting.expired += 1
      return .timedOut(expiry)
    }
    // Work that is next is taken however long its like took before: else one bad measurement would stand for ever.
    if let wait = state.longestWait(at: now), wait <= due - now { return nil }
    let wait = state.wait(for: source, at: now)
    guard wait > due - now else { return nil }
    state.waiting.refused += 1
    state.queue.keepPlace(for: source, at: now)
    return .overloaded(
      "the TPM has work for \(Duration.milliseconds(wait / 1_000_000)) before this request, which may wait for "
        + "\(Duration.nanoseconds(limits.wait)) in all (limits.waitSeconds)")
  }

  private var expiry: String {
    "the request has waited for the TPM for as long as it may: \(Duration.nanoseconds(limits.wait)) "
      + "(limits.waitSeconds)"
  }

  private func fail(late jobs: [Job]) {
    guard !jobs.isEmpty else { return }
    warn(of: .timedOut(expiry), for: nil)
    for job in jobs { job.fail(.timedOut(expiry)) }
  }

  private func warn(of refusal: KeyStoreError, for source: WorkSource?) {
    switch refusal {
    case .overloaded, .timedOut: break
    default: return
    }
    let user = if case .connection(_, let user, _)? = source { " of uid \(user)" } else { "" }
    warnings.withLock { $0.warn("TPM: request\(user) refused: \(refusal)", at: clock.monotonicNanoseconds) }
  }

  // MARK: The thread

  private func work(on device: TPMDevice) {
    while true {
      var late: [Job] = []
      let (job, stopping, wakesWatchdog): (Job?, Bool, Bool) = state.withLock { state in
        let now = clock.monotonicNanoseconds
        if let current = state.current, let kind = current.kind, state.stuck == nil {
          // No more than the watchdog's patience: the machine may have slept meanwhile.
          state.times.note(kind, nanoseconds: min(now - min(now, current.startedAt), current.patience))
        }
        state.current = nil
        state.stuck = nil
        if state.isStopping { return (nil, true, false) }
        while let job = state.queue.popFirst(at: now, isLate: { $0.isLate(at: now) }) {
          if job.isLate(at: now) {
            state.waiting.expired += 1
            late.append(job)
            continue
          }
          state.current = Current(kind: job.kind, startedAt: now, patience: job.patience, fail: job.fail)
          defer { state.isWatchdogAsleep = false }
          return (job, false, state.isWatchdogAsleep)
        }
        state.isThreadAsleep = late.isEmpty
        return (nil, false, false)
      }
      if stopping { break }
      fail(late: late)
      if wakesWatchdog { wakeWatchdog.signal() }
      if let job {
        job.run(device)
      } else if late.isEmpty {
        sleep(with: device)
      }
    }
    watched { device.close() }
    let waiting = state.withLock { state in
      state.hasEnded = true
      return state.onEnd
    }
    wakeWatchdog.signal()
    for resume in waiting { resume() }
  }

  private func sleep(with device: TPMDevice) {
    let milliseconds = device.nanosecondsUntilUpkeep.map { Int32(clamping: $0 / 1_000_000 + 1) } ?? -1
    let descriptors = [wakeThread.raw] + (device.childDescriptor.map { [$0] } ?? [])
    if waitUntilReadable(descriptors, within: milliseconds) == wakeThread.raw { wakeThread.wait() }
    if device.needsUpkeep { watched { device.maintain() } }
  }

  /// Runs what nobody has asked for under the watchdog's eyes, so that a TPM that hangs in it holds nobody either.
  private func watched(_ body: () -> Void) {
    let wakesWatchdog = state.withLock { state in
      state.current = Current(
        kind: nil, startedAt: clock.monotonicNanoseconds, patience: limits.patience, fail: { _ in })
      defer { state.isWatchdogAsleep = false }
      return state.isWatchdogAsleep
    }
    if wakesWatchdog { wakeWatchdog.signal() }
    body()
  }

  // MARK: The watchdog

  private enum Watch {
    case end
    case sleep
    case look(after: UInt64)
    case late([Job])
    case expired([@Sendable (KeyStoreError) -> Void], KeyStoreError, [@Sendable () -> Void])
  }

  private func watch() {
    while true {
      switch look() {
      case .end: return
      case .sleep: wakeWatchdog.wait()
      case .look(let nanoseconds):
        let milliseconds = Int32(clamping: min(nanoseconds / 1_000_000 + 1, 250))
        if waitUntilReadable([wakeWatchdog.raw], within: milliseconds) != nil { wakeWatchdog.wait() }
      case .late(let jobs): fail(late: jobs)
      case .expired(let waiting, let error, let onEnd):
        interrupt()
        for fail in waiting { fail(error) }
        for resume in onEnd { resume() }
      }
    }
  }

  private func look() -> Watch {
    state.withLock { state in
      if state.hasEnded || (state.isStopping && state.stuck != nil) { return .end }
      guard let current = state.current, state.stuck == nil else {
        if state.isStopping { return .look(after: 100_000_000) }
        state.isWatchdogAsleep = state.current == nil
        // While the TPM hangs, everybody has been told; look again when it lets go.
        return state.current == nil ? .sleep : .look(after: 1_000_000_000)
      }
      let now = clock.monotonicNanoseconds
      let late = state.queue.removeLate(at: now) { $0.isLate(at: now) }
      if !late.isEmpty {
        state.waiting.expired += late.count
        return .late(late)
      }
      let due = current.startedAt + current.patience
      if now < due { return .look(after: due - now) }
      let text = "the TPM has not answered for more than \(Duration.nanoseconds(current.patience))"
      state.stuck = text
      let waiting = [current.fail] + state.queue.removeAll().map(\.fail)
      defer { state.onEnd = [] }
      return .expired(waiting, .unavailable(text), state.onEnd)
    }
  }
}

/// A continuation that is resumed once, by whoever comes first.
private final class Reply<Value: Sendable>: Sendable {
  typealias Outcome = Result<Value, KeyStoreError>

  private let continuation: Lock<CheckedContinuation<Outcome, Never>?>

  init(_ continuation: CheckedContinuation<Outcome, Never>) {
    self.continuation = Lock(continuation)
  }

  func send(_ outcome: Outcome) {
    let waiting = continuation.withLock { continuation in
      defer { continuation = nil }
      return continuation
    }
    waiting?.resume(returning: outcome)
  }
}
