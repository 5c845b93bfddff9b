internal import CLinux
internal import Glibc
internal import Synchronization

/// One thread that waits for descriptors and timers, and on which actors can run. The socket server and the
/// authenticator share one, so that a request makes no thread hop before the TPM's.
///
/// In each round: events, then timers that are due, then turns that were asked for before, then jobs that were queued
/// by then. Nothing that runs here may block. Callbacks run on the loop's thread outside of any task; an actor of the
/// loop enters itself with `assumeIsolated`.
///
/// A task that awaits a continuation, or calls a nonisolated closure, comes back by way of the cooperative pool, even
/// to an actor of the loop: two hops, and none to be had while the pool is occupied. A task started with
/// `executorPreference: loop` comes straight back, therefore the loop is a task executor too.
package final class EventLoop: SerialExecutor, TaskExecutor, Sendable {
  /// What a descriptor is watched for. Errors and hang-ups are always told.
  package struct Interest: OptionSet, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) {
      self.rawValue = rawValue
    }

    package static let read = Interest(rawValue: CS_EVENT_READ)
    package static let write = Interest(rawValue: CS_EVENT_WRITE)
    /// An exceptional condition, such as a change of a file of cgroups(7).
    package static let priority = Interest(rawValue: CS_EVENT_PRIORITY)
    /// Told only: both directions are closed, or the socket has an error.
    package static let hangup = Interest(rawValue: CS_EVENT_HANGUP | CS_EVENT_ERROR)
  }

  /// A watched descriptor. Its number tells a late event of a closed descriptor from one of its successor.
  package struct Watch: Hashable, Sendable {
    fileprivate let number: UInt64
    fileprivate let raw: Int32
  }

  private struct State {
    var jobs: [UnownedJob] = []
    var turns: [@Sendable () -> Void] = []
    var timers = TimerQueue()
    var watches: [UInt64: @Sendable (Interest) -> Void] = [:]
    var nextWatch: UInt64 = 1
    /// Whether the thread sleeps, or is about to, and nobody has woken it yet.
    var isAsleep = false
    var stopped = false

    /// Whether whoever has brought something must signal: only a sleeper needs it, and only once.
    mutating func wakes() -> Bool {
      defer { isAsleep = false }
      return isAsleep
    }
  }

  /// Under which the wake-up descriptor is in the epoll set.
  private static let wakeNumber: UInt64 = 0

  /// The clock of the timers.
  package let time: any Timekeeper
  private let state = Lock(State())
  private let epoll: Descriptor
  private let wakeUp: EventCounter
  private let finished: EventCounter
  private let thread = Atomic<UInt>(0)

  /// Starts the thread.
  ///
  /// - Parameters:
  ///   - name: thread name as shown by top(1), at most 15 bytes
  ///   - time: the clock of the timers; whoever moves it by hand calls ``wake()`` then
  /// - Throws: ``SystemError`` where no descriptor or thread can be had
  package init(name: String, time: any Timekeeper = SystemTime()) throws(SystemError) {
    self.time = time
    epoll = Descriptor(owning: try checked("epoll_create1") { cs_epoll_create() })
    wakeUp = try EventCounter()
    finished = try EventCounter()
    let (epoll, wakeUp) = (epoll.raw, wakeUp.raw)
    try checked("epoll_ctl") { cs_epoll_add(epoll, wakeUp, CS_EVENT_READ, Self.wakeNumber) }
    try startThread(named: name) { [self] in run() }
  }

  // MARK: - Executor

  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let wakes = state.withLock {
      $0.jobs.append(job)
      return $0.wakes()
    }
    if wakes { wakeUp.signal() }
  }

  package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    unsafe UnownedSerialExecutor(ordinary: self)
  }

  package func asUnownedTaskExecutor() -> UnownedTaskExecutor {
    unsafe UnownedTaskExecutor(ordinary: self)
  }

  package func checkIsolated() {
    precondition(isCurrent, "not on the event loop")
  }

  package func isIsolatingCurrentContext() -> Bool? {
    isCurrent
  }

  /// Whether the caller runs on the loop's thread.
  package var isCurrent: Bool {
    thread.load(ordering: .relaxed) == UInt(pthread_self())
  }

  // MARK: - Descriptors

  /// Watches a descriptor, level-triggered.
  ///
  /// - Parameters:
  ///   - descriptor: stays open until ``unwatch(_:)``
  ///   - interest: what for
  ///   - body: called on the loop with what happened
  /// - Returns: for the calls below
  /// - Throws: ``SystemError``
  package func watch(
    _ descriptor: borrowing Descriptor, for interest: Interest, _ body: @escaping @Sendable (Interest) -> Void
  ) throws(SystemError) -> Watch {
    let raw = descriptor.raw
    let number = state.withLock { state in
      let number = state.nextWatch
      state.nextWatch += 1
      state.watches[number] = body
      return number
    }
    do {
      let epoll = epoll.raw
      try checked("epoll_ctl") { cs_epoll_add(epoll, raw, interest.rawValue, number) }
    } catch {
      state.withLock { _ = $0.watches.removeValue(forKey: number) }
      throw error
    }
    return Watch(number: number, raw: raw)
  }

  /// Watches for something else from now on.
  package func change(_ watch: Watch, to interest: Interest) {
    _ = cs_epoll_change(epoll.raw, watch.raw, interest.rawValue, watch.number)
  }

  /// Ends the watch; call it before the descriptor is closed. On the loop, its body is not called any more.
  package func unwatch(_ watch: Watch) {
    let known = state.withLock { $0.watches.removeValue(forKey: watch.number) != nil }
    if known { _ = cs_epoll_remove(epoll.raw, watch.raw) }
  }

  /// Descriptors that are watched, for tests.
  package var watchCount: Int { state.withLock { $0.watches.count } }

  // MARK: - Timers

  /// Calls `body` on the loop once, when `nanoseconds` have passed.
  ///
  /// - Parameters:
  ///   - nanoseconds: from now
  ///   - body: what to do
  /// - Returns: for ``cancel(_:)``
  @discardableResult
  package func after(nanoseconds: UInt64, _ body: @escaping @Sendable () -> Void) -> LoopTimer {
    let deadline = time.monotonicNanoseconds.addingReportingOverflow(nanoseconds)
    let (timer, wakes) = state.withLock { state in
      let (timer, isFirst) = state.timers.add(at: deadline.overflow ? .max : deadline.partialValue, body)
      return (timer, isFirst && state.wakes())
    }
    if wakes { wakeUp.signal() }
    return timer
  }

  /// Forgets a timer, which may have fired. On the loop, it does not fire any more.
  package func cancel(_ timer: LoopTimer) {
    state.withLock { $0.timers.remove(timer) }
  }

  /// Calls `body` on the loop once, after the events of the round that comes next: for work that is done by shares.
  package func nextRound(_ body: @escaping @Sendable () -> Void) {
    let wakes = state.withLock {
      $0.turns.append(body)
      return $0.wakes()
    }
    if wakes { wakeUp.signal() }
  }

  /// Makes the loop look at the clock again.
  package func wake() {
    wakeUp.signal()
  }

  // MARK: - Life

  /// Runs what is queued, then ends the thread and waits for its end. Call it from another thread, after everything
  /// that uses the loop has ended: what is enqueued afterwards never runs.
  package func stop() {
    precondition(!isCurrent, "the loop cannot wait for itself")
    state.withLock { $0.stopped = true }
    wakeUp.signal()
    finished.wait()
  }

  private func run() {
    thread.store(UInt(pthread_self()), ordering: .relaxed)
    var events = [cs_event](repeating: cs_event(), count: Int(CS_EVENTS))
    while true {
      let (turns, milliseconds) = beginRound()
      let count = unsafe cs_epoll_wait(epoll.raw, &events, CS_EVENTS, milliseconds)
      state.withLock { $0.isAsleep = false }
      for event in events.prefix(max(0, Int(count))) { handle(event) }
      let now = time.monotonicNanoseconds
      while let body = state.withLock({ $0.timers.takeDue(at: now) }) { body() }
      for turn in turns { turn() }
      let (jobs, stopped) = state.withLock { state in
        defer { state.jobs = [] }
        return (state.jobs, state.stopped)
      }
      // Both at once, whatever a job was enqueued for: all that runs here excludes each other, and a task that comes
      // back from elsewhere enters an actor of the loop without another round.
      for job in jobs {
        unsafe job.runSynchronously(isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
      }
      if jobs.isEmpty && stopped { break }
    }
    finished.signal()
  }

  /// Takes the turns, and decides in the same instant how long to sleep, as epoll_wait(2) wants it: what comes
  /// afterwards finds the thread asleep.
  private func beginRound() -> (turns: [@Sendable () -> Void], milliseconds: Int32) {
    let now = time.monotonicNanoseconds
    return state.withLock { state in
      defer { state.turns = [] }
      let milliseconds =
        state.turns.isEmpty && state.jobs.isEmpty && !state.stopped ? state.timers.milliseconds(from: now) : 0
      state.isAsleep = milliseconds != 0
      return (state.turns, milliseconds)
    }
  }

  private func handle(_ event: cs_event) {
    if event.data == Self.wakeNumber { return wakeUp.wait() }
    let body = state.withLock { $0.watches[event.data] }
    body?(Interest(rawValue: event.events))
  }
}
