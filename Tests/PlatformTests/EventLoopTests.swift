import TestSupport
import Testing

@testable import Platform

@Suite struct TimerQueueTests {
  @Test func inOrderOfDeadline() {
    let seed = UInt64.random(in: 0 ... .max)
    var random = SeededGenerator(seed: seed)
    var queue = TimerQueue()
    let fired = Lock<[Int]>([])
    var expected: [(deadline: UInt64, number: Int)] = []
    var timers: [LoopTimer] = []
    for number in 0..<500 {
      let deadline = UInt64.random(in: 0..<100, using: &random)
      timers.append(queue.add(at: deadline) { fired.withLock { $0.append(number) } }.0)
      expected.append((deadline, number))
    }
    for number in stride(from: 0, to: 500, by: 3) { queue.remove(timers[number]) }
    expected.removeAll { $0.number % 3 == 0 }
    expected.sort { ($0.deadline, $0.number) < ($1.deadline, $1.number) }
    for now: UInt64 in [0, 30, 31, 99] {
      while let body = queue.takeDue(at: now) { body() }
      #expect(fired.withLock { $0 } == expected.filter { $0.deadline <= now }.map(\.number), "seed \(seed)")
    }
    #expect(queue.nextDeadline == nil && queue.weight == 0)
  }

  @Test func removedTimersDoNotPileUp() {
    var queue = TimerQueue()
    for _ in 0..<10_000 { queue.remove(queue.add(at: 5) {}.0) }
    #expect(queue.weight <= 65)
  }

  @Test func nobodyWakesForARemovedTimer() {
    var queue = TimerQueue()
    let first = queue.add(at: 5_000_000) {}.0
    let second = queue.add(at: 9_000_000) {}.0
    #expect(queue.milliseconds(from: 1_000_000) == 5)
    queue.remove(first)
    #expect(queue.milliseconds(from: 1_000_000) == 9)
    #expect(queue.milliseconds(from: 9_000_000) == 0)
    queue.remove(second)
    #expect(queue.milliseconds(from: 1_000_000) == -1 && queue.weight == 0)
  }
}

@Suite(.timeLimit(.minutes(1))) struct EventLoopTests {
  private actor Resident {
    let loop: EventLoop
    private var isOver = false

    init(_ loop: EventLoop) {
      self.loop = loop
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    func isOnLoop() -> Bool { loop.isCurrent }

    /// Queues one job after the other on the loop.
    func spin() async {
      while !isOver { await Task.yield() }
    }

    func end() { isOver = true }
  }

  @Test func actorsRunOnIt() async throws {
    let loop = try EventLoop(name: "test loop")
    #expect(await Resident(loop).isOnLoop())
    #expect(!loop.isCurrent)
    let resident = Resident(loop)
    let entered = await withCheckedContinuation { continuation in
      loop.after(nanoseconds: 0) { continuation.resume(returning: resident.assumeIsolated { $0.loop.isCurrent }) }
    }
    #expect(entered, "callbacks enter actors of the loop")
    loop.stop()
  }

  /// Whoever brings something wakes a loop that sleeps, and one that is about to.
  @Test func nothingIsForgottenOnTheWayToSleep() async throws {
    let loop = try EventLoop(name: "test loop")
    let resident = Resident(loop)
    // On threads of their own: the pool's are busy with other tests.
    let askers = try (0..<4).map { _ in try EventLoop(name: "asker") }
    await withTaskGroup(of: Void.self) { group in
      for asker in askers {
        group.addTask(executorPreference: asker) {
          for _ in 0..<2000 {
            #expect(await resident.isOnLoop())
            await withCheckedContinuation { continuation in loop.nextRound { continuation.resume() } }
            await withCheckedContinuation { continuation in loop.after(nanoseconds: 0) { continuation.resume() } }
          }
        }
      }
    }
    for asker in askers { asker.stop() }
    loop.stop()
  }

  /// A job that makes another one each time does not keep descriptors and timers from their turn.
  @Test func jobsDoNotKeepOthersWaiting() async throws {
    let loop = try EventLoop(name: "test loop")
    let resident = Resident(loop)
    loop.after(nanoseconds: 1_000_000) { resident.assumeIsolated { $0.end() } }
    await resident.spin()
    loop.stop()
  }

  @Test func timersByTheInjectedClock() async throws {
    let time = ManualTime()
    let loop = try EventLoop(name: "test loop", time: time)
    let resident = Resident(loop)
    let fired = Lock<[Int]>([])
    let log = { @Sendable (number: Int) in fired.withLock { $0.append(number) } }
    loop.after(nanoseconds: 3_000_000) { log(3) }
    loop.after(nanoseconds: 1_000_000) { log(1) }
    loop.cancel(loop.after(nanoseconds: 2_000_000) { log(2) })
    loop.after(nanoseconds: .max) { log(4) }
    func advance(_ milliseconds: UInt64) async {
      time.advance(by: .milliseconds(milliseconds))
      loop.wake()
      for _ in 0..<3 { _ = await resident.isOnLoop() }
    }
    await advance(0)
    #expect(fired.withLock { $0 } == [])
    await advance(1)
    #expect(fired.withLock { $0 } == [1])
    await advance(2)
    #expect(fired.withLock { $0 } == [1, 3])
    loop.stop()
  }

  @Test func turnsComeAfterTheEventsOfTheNextRound() async throws {
    let loop = try EventLoop(name: "test loop")
    let folder = TemporaryDirectory()
    let listener = try UnixSocket.listen(at: folder.path("s"), mode: 0o600)
    let order = Lock<[String]>([])
    let watch = try loop.watch(listener, for: .read) { _ in order.withLock { $0.append("event") } }
    await withCheckedContinuation { continuation in
      loop.after(nanoseconds: 0) {
        loop.nextRound { order.withLock { $0.append("turn") } }
        loop.nextRound { loop.nextRound { continuation.resume() } }
        _ = try? UnixSocket.connect(to: folder.path("s"))
        order.withLock { $0.append("timer") }
      }
    }
    #expect(order.withLock { $0.prefix(4) } == ["timer", "event", "turn", "event"])
    loop.unwatch(watch)
    loop.stop()
    _ = listener
  }

  @Test func realTime() async throws {
    let loop = try EventLoop(name: "test loop")
    let start = loop.time.monotonicNanoseconds
    await withCheckedContinuation { continuation in
      loop.after(nanoseconds: 2_000_000) { continuation.resume() }
    }
    #expect(loop.time.monotonicNanoseconds - start >= 2_000_000)
    loop.stop()
  }

  @Test func descriptors() async throws {
    let loop = try EventLoop(name: "test loop")
    let resident = Resident(loop)
    let folder = TemporaryDirectory()
    let listener = try UnixSocket.listen(at: folder.path("s"), mode: 0o600)
    let seen = Lock(0)
    let watch = try loop.watch(listener, for: .read) { events in
      if events.contains(.read) { seen.withLock { $0 += 1 } }
    }
    let first = try UnixSocket.connect(to: folder.path("s"))
    for _ in 0..<3 { _ = await resident.isOnLoop() }
    #expect(seen.withLock { $0 } > 0, "level-triggered")
    loop.change(watch, to: [])
    for _ in 0..<3 { _ = await resident.isOnLoop() }
    let before = seen.withLock { $0 }
    for _ in 0..<3 { _ = await resident.isOnLoop() }
    #expect(seen.withLock { $0 } == before)
    loop.change(watch, to: .read)
    for _ in 0..<3 { _ = await resident.isOnLoop() }
    #expect(seen.withLock { $0 } > before)
    loop.unwatch(watch)
    for _ in 0..<3 { _ = await resident.isOnLoop() }
    let last = seen.withLock { $0 }
    for _ in 0..<3 { _ = await resident.isOnLoop() }
    #expect(seen.withLock { $0 } == last)
    _ = first
    loop.stop()
  }

  @Test func whatCannotBeWatched() throws {
    let folder = TemporaryDirectory()
    let loop = try EventLoop(name: "test loop")
    let file = try Descriptor(opening: folder.path("file"), flags: 0o101)
    #expect(throws: SystemError(call: "epoll_ctl", code: 1)) { _ = try loop.watch(file, for: .read) { _ in } }
    loop.stop()
  }
}
