import Authenticator
import Platform
import Policy
import TestSupport
import Testing

@testable import TPMKeyStore

/// Requests that cannot be begun in time are refused early, and say so.
@Suite(.timeLimit(.minutes(10))) struct DeadlineTests {
  /// A key store that has measured one signature of four seconds, and may let a request wait for 25.
  private struct Slow {
    let time = ManualTime()
    let bench: Bench
    let key: CredentialKey

    init(signature: Duration = .seconds(4)) async throws {
      var limits = TPMKeyStoreLimits()
      limits.wait = 25_000
      // Nobody is to give the TPM up here, however far the clock is put forward.
      limits.patience = 600_000_000
      bench = try await Bench.start(limits: limits, clock: time)
      key = try await bench.key().key
      _ = try await bench.sign(with: key)
      let measured = try await held()
      time.advance(by: signature)
      try await letGo(measured)
    }

    /// A request that the TPM has and does not answer.
    func held() async throws -> Task<[UInt8], any Error> {
      bench.fixture.resetCounts()
      bench.fixture.hold()
      let task = Task { try await sign(from: 1) }
      try await eventually { bench.fixture.counts[Command.sign] == 1 }
      return task
    }

    func letGo(_ task: Task<[UInt8], any Error>) async throws {
      bench.fixture.letGo()
      #expect(try await !task.value.isEmpty)
      try await eventually { bench.store.status.queueLength == 0 }
    }

    /// Lets the TPM answer what it has, after as long as that takes, and take what comes next.
    func step() async throws {
      let before = bench.fixture.counts[Command.sign] ?? 0
      time.advance(by: .seconds(4))
      bench.fixture.letOneGo()
      try await eventually { bench.fixture.counts[Command.sign] == before + 1 }
    }

    func sign(from connection: UInt64, user: UInt32 = 1000, grant: String? = nil) async throws -> [UInt8] {
      try await bench.store.sign(
        digest: [UInt8](repeating: 7, count: 32), with: key, caller: who(connection, user, grant),
        presence: presence(.authenticate))
    }

    func who(_ connection: UInt64, _ user: UInt32 = 1000, _ grant: String? = nil) -> Caller {
      Caller(
        connection: connection, user: user, group: 1000, process: 1, supplementaryGroups: [], unit: nil,
        grant: grant.map { Grant(id: $0, rule: "test", user: user) })
    }

    /// Has so many more wait.
    func wait(
      _ count: Int, from connection: UInt64, user: UInt32 = 1000, grant: String? = nil
    ) async throws -> [Task<[UInt8], any Error>] {
      let before = bench.store.status.queueLength
      let tasks = (0..<count).map { _ in Task { try await sign(from: connection, user: user, grant: grant) } }
      try await eventually { bench.store.status.queueLength == before + count }
      return tasks
    }
  }

  private func isOverloaded(_ body: () async throws -> Void) async -> Bool {
    do {
      try await body()
    } catch KeyStoreError.overloaded(let text) {
      return text.contains("limits.waitSeconds")
    } catch {}
    return false
  }

  /// The answer comes while the TPM still holds the request before: nobody waits for what will come too late.
  @Test func aRequestThatWouldWaitTooLongIsRefusedAtOnce() async throws {
    let slow = try await Slow()
    let first = try await slow.held()
    // 4 s for the one that is held, and 20 for those before the sixth. All the connections of a job have one share.
    var waiting: [Task<[UInt8], any Error>] = []
    for connection in UInt64(2)...7 { waiting += try await slow.wait(1, from: connection, grant: "a") }
    for connection in UInt64(8)...17 {
      #expect(await isOverloaded { _ = try await slow.sign(from: connection, grant: "a") })
    }
    #expect(slow.bench.fixture.counts == [Command.sign: 1])
    try await slow.letGo(first)
    for task in waiting { #expect(try await !task.value.isEmpty) }
    await slow.bench.store.stop()
  }

  /// Another job of the same user, and another user, have next to nothing before them.
  @Test func aFloodRefusesItselfOnly() async throws {
    let slow = try await Slow()
    let first = try await slow.held()
    var waiting = try await slow.wait(6, from: 2, grant: "a")
    #expect(await isOverloaded { _ = try await slow.sign(from: 2, grant: "a") })
    waiting += try await slow.wait(1, from: 3, grant: "b")
    waiting += try await slow.wait(1, from: 4)
    waiting += try await slow.wait(1, from: 5, user: 1001)
    #expect(slow.bench.store.status.waiting == WaitStatus(limit: 25_000, expected: 12_000, refused: 1, expired: 0))
    #expect(
      slow.bench.log.text.contains("warning: TPM: request of uid 1000 refused: the TPM has work for 28.0 seconds"))
    try await slow.letGo(first)
    for task in waiting { #expect(try await !task.value.isEmpty) }
    try await eventually { slow.bench.store.status.waiting.expected == 0 }
    await slow.bench.store.stop()
  }

  /// Six jobs of one user fill the limit, and each asks again as soon as it has been served. A seventh is refused, and
  /// the place that becomes free next is its, though the one that was served asks before it.
  @Test func whoWasRefusedHasTheNextPlace() async throws {
    let slow = try await Slow()
    let first = try await slow.held()
    var waiting: [Task<[UInt8], any Error>] = []
    for job in UInt64(2)...7 { waiting += try await slow.wait(1, from: job, grant: "\(job)") }
    #expect(await isOverloaded { _ = try await slow.sign(from: 8, grant: "8") })
    try await slow.step()
    #expect(try await !first.value.isEmpty)
    #expect(await isOverloaded { _ = try await slow.sign(from: 1) })
    waiting += try await slow.wait(1, from: 8, grant: "8")
    #expect(await isOverloaded { _ = try await slow.sign(from: 1) })
    slow.bench.fixture.letGo()
    for task in waiting { #expect(try await !task.value.isEmpty) }
    await slow.bench.store.stop()
  }

  /// Places that are kept for those who have gone make nobody wait: work is refused for work only.
  @Test func whoHasGoneIsNotWaitedFor() async throws {
    let slow = try await Slow()
    var held = try await slow.held()
    var waiting: [Task<[UInt8], any Error>] = []
    for job in UInt64(2)...7 { waiting += try await slow.wait(1, from: job, grant: "\(job)") }
    for job in UInt64(8)...60 { #expect(await isOverloaded { _ = try await slow.sign(from: job, grant: "\(job)") }) }
    slow.bench.fixture.letGo()
    for task in waiting + [held] { #expect(try await !task.value.isEmpty) }
    held = try await slow.held()
    waiting = try await slow.wait(1, from: 70, grant: "70")
    // Those that have places, and the one that waits, come before it.
    #expect(await isOverloaded { _ = try await slow.sign(from: 71, grant: "71") })
    try await slow.letGo(held)
    #expect(try await !waiting[0].value.isEmpty)
    await slow.bench.store.stop()
  }

  /// What was foreseen was too little, and the request given up at last: it is next when it comes again.
  @Test func whoWasGivenUpKeepsItsPlace() async throws {
    let slow = try await Slow()
    let first = try await slow.held()
    var waiting: [Task<[UInt8], any Error>] = []
    for job in UInt64(2)...5 { waiting += try await slow.wait(1, from: job, grant: "\(job)") }
    slow.time.advance(by: .seconds(25))
    for task in waiting {
      await #expect { try await task.value } throws: { error in
        if case .timedOut = error as? KeyStoreError { true } else { false }
      }
    }
    // Three others come first, and then the one that stood before them all.
    waiting = []
    for job in UInt64(6)...8 { waiting += try await slow.wait(1, from: job, grant: "\(job)") }
    let again = try await slow.wait(1, from: 2, grant: "2")
    try await slow.step()
    #expect(try await !first.value.isEmpty)
    try await slow.step()
    #expect(try await !again[0].value.isEmpty)
    #expect(slow.bench.store.status.queueLength == 2)
    slow.bench.fixture.letGo()
    for task in waiting { #expect(try await !task.value.isEmpty) }
    await slow.bench.store.stop()
  }

  /// What was foreseen was too little: the TPM hangs.
  @Test func aRequestWhoseTimePassesIsGivenUp() async throws {
    let slow = try await Slow()
    let first = try await slow.held()
    let waiting = try await slow.wait(2, from: 2)
    slow.time.advance(by: .seconds(24))
    let later = try await slow.wait(1, from: 3)
    slow.time.advance(by: .seconds(1))
    for task in waiting {
      await #expect { try await task.value } throws: { error in
        if case .timedOut = error as? KeyStoreError { true } else { false }
      }
    }
    #expect(slow.bench.store.status.queueLength == 1)
    #expect(slow.bench.store.status.waiting.expired == 2)
    try await slow.letGo(first)
    #expect(try await !later[0].value.isEmpty)
    #expect(slow.bench.fixture.counts[Command.sign] == 2)
    await slow.bench.store.stop()
  }

  /// Until the TPM begins to work for it: what it has done, such as a key, is not thrown away because that took long.
  @Test func theTimeRunsFromTheRequestsArrival() async throws {
    let slow = try await Slow()
    slow.bench.fixture.resetCounts()
    let arrival = slow.time.monotonicNanoseconds
    slow.time.advance(by: .seconds(25))
    let early = Receipt(at: arrival)
    await #expect { try await Receipt.$current.withValue(early) { try await slow.sign(from: 2) } } throws: { error in
      if case .timedOut = error as? KeyStoreError { true } else { false }
    }
    #expect(slow.bench.fixture.commands.isEmpty)
    _ = try await Receipt.$current.withValue(Receipt(at: arrival + 1)) { try await slow.sign(from: 2) }
    early.workBegins()
    _ = try await Receipt.$current.withValue(early) { try await slow.sign(from: 2) }
    await slow.bench.store.stop()
  }

  /// Once the TPM took 100 s. Whoever is next is taken all the same, and so the mean comes down again.
  @Test func oneBadMeasurementPasses() async throws {
    let slow = try await Slow(signature: .seconds(100))
    var first = try await slow.held()
    #expect(await isOverloaded { _ = try await slow.sign(from: 2) })
    try await slow.letGo(first)
    for _ in 0..<12 { _ = try await slow.sign(from: 2) }
    first = try await slow.held()
    let second = try await slow.wait(1, from: 2)
    try await slow.letGo(first)
    #expect(try await !second[0].value.isEmpty)
    await slow.bench.store.stop()
  }

  /// Values of the counter wear the TPM: none for who would get no signature.
  @Test func whoIsRefusedSpendsNoCounterValue() async throws {
    let slow = try await Slow()
    let last = try await slow.bench.store.nextSignatureCounter(caller: slow.who(2))
    let first = try await slow.held()
    let waiting = try await slow.wait(6, from: 2)
    for _ in 0..<3000 { #expect(await isOverloaded { try slow.bench.store.checkWait(caller: slow.who(2)) }) }
    try await slow.letGo(first)
    for task in waiting { _ = try await task.value }
    #expect(try await slow.bench.store.nextSignatureCounter(caller: slow.who(2)) == last + 1)
    await slow.bench.store.stop()
  }

  @Test func meansMove() {
    var times = WorkTimes()
    #expect(times.longest == 0)
    times.note(.signature, nanoseconds: 800)
    times.note(.rsaKey, nanoseconds: 10_000)
    #expect(times[.signature] == 800 && times[.key] == 0 && times.longest == 10_000)
    times.note(.signature, nanoseconds: 0)
    #expect(times[.signature] == 700)
    times.note(.signature, nanoseconds: 1500)
    #expect(times[.signature] == 800)
    times.note(.other, nanoseconds: .max)
    times.note(.other, nanoseconds: .max)
    #expect(times[.other] > 0)
  }
}
