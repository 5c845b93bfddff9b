import Authenticator
import Crypto
import Platform
import Policy
import TestSupport
import Testing
import WebAuthn

@testable import TPMKeyStore

@Suite struct FairQueueTests {
  @Test func sourcesTakeTurns() {
    var queue = FairQueue<Int>(limit: 100, limitBySource: 10)
    for id in UInt64(0)..<5 {
      let outcome1 = queue.append(10 + Int(id), id: id, from: .connection(1, user: 1))
      #expect(outcome1)
    }
    let outcome2 = queue.append(20, id: 5, from: .connection(2, user: 2))
    #expect(outcome2)
    let outcome3 = queue.append(30, id: 6, from: .daemon)
    #expect(outcome3)
    let outcome4 = queue.append(21, id: 7, from: .connection(2, user: 2))
    #expect(outcome4)
    var order: [Int] = []
    while let next = queue.popFirst() { order.append(next) }
    #expect(order == [10, 20, 30, 11, 21, 12, 13, 14])
    #expect(queue.count == 0)
  }

  /// Turns go round users first, so that opening connections buys none.
  @Test func usersTakeTurnsBeforeConnections() {
    var queue = FairQueue<String>(limit: 1000, limitBySource: 64)
    var id: UInt64 = 0
    func append(_ element: String, _ source: WorkSource) {
      id += 1
      let outcome = queue.append(element, id: id, from: source)
      #expect(outcome)
    }
    for connection in UInt64(1)...300 { append("flood", .connection(connection, user: 1)) }
    append("a1", .connection(301, user: 2))
    append("a2", .connection(301, user: 2))
    append("b", .connection(302, user: 2))
    append("daemon", .daemon)
    append("c", .connection(303, user: 2))
    var order: [String] = []
    while let next = queue.popFirst() { order.append(next) }
    #expect(order.prefix(9) == ["flood", "a1", "daemon", "flood", "b", "flood", "c", "flood", "a2"])
    #expect(order.dropFirst(9).allSatisfy { $0 == "flood" } && order.count == 305)
  }

  /// Within a user each connection has its turn, whatever another of them has waiting.
  @Test func connectionsOfAUserTakeTurns() {
    var queue = FairQueue<Int>(limit: 100, limitBySource: 10)
    for id in UInt64(0)..<3 {
      let outcome = queue.append(10 + Int(id), id: id, from: .connection(1, user: 1))
      #expect(outcome)
    }
    let second = queue.append(20, id: 3, from: .connection(2, user: 1))
    #expect(second)
    var order: [Int] = []
    while let next = queue.popFirst() { order.append(next) }
    #expect(order == [10, 20, 11, 12])
  }

  /// Two jobs of one user, the first with many connections: it has half of the user's turns all the same. Who comes by no
  /// grant's socket is one more job.
  @Test func jobsOfAUserTakeTurnsBeforeConnections() {
    var queue = FairQueue<String>(limit: 1000, limitBySource: 64)
    var id: UInt64 = 0
    func append(_ element: String, _ connection: UInt64, user: UInt32 = 1, _ grant: String?) {
      id += 1
      let outcome = queue.append(element, id: id, from: .connection(connection, user: user, grant: grant))
      #expect(outcome)
    }
    for connection in UInt64(1)...16 {
      append("flood", connection, "a")
      append("flood", connection, "a")
    }
    for _ in 0..<4 { append("job", 17, "b") }
    append("nobody's", 18, nil)
    append("other", 19, user: 2, nil)
    var order: [String] = []
    while let next = queue.popFirst() { order.append(next) }
    let expected = ["flood", "other", "job", "nobody's", "flood", "job", "flood", "job", "flood", "job"]
    #expect(order.prefix(10) == expected[...])
    #expect(order.dropFirst(10).allSatisfy { $0 == "flood" } && order.count == 38)
  }

  /// A job that asks for the next signature when it has the one before has every second turn beside one that has much
  /// waiting.
  @Test func whoAsksOneByOneKeepsItsTurns() {
    var queue = FairQueue<String>(limit: 1000, limitBySource: 64)
    var id: UInt64 = 0
    func append(_ element: String, _ connection: UInt64, _ grant: String) {
      id += 1
      let outcome = queue.append(element, id: id, from: .connection(connection, user: 1, grant: grant))
      #expect(outcome)
    }
    for connection in UInt64(1)...16 { append("flood", connection, "a") }
    append("job", 17, "b")
    var order: [String] = []
    for _ in 0..<20 {
      // As the watchdog looks.
      #expect(queue.removeAll { _ in false }.isEmpty)
      guard let next = queue.popFirst() else { break }
      order.append(next)
      // Each comes again while the one after it is at work.
      if order.count > 1 {
        let before = order[order.count - 2]
        append(before, before == "job" ? 17 : 100 + id, before == "job" ? "b" : "a")
      }
    }
    #expect(order == (0..<10).flatMap { _ in ["flood", "job"] })
  }

  /// Users, grants and connections that have a place.
  private func places(_ branch: FairQueue<Int>.Branch) -> Int {
    branch.branches.reduce(branch.branches.count) { $0 + places($1) }
  }

  /// What keeps a place for those that have had their last work taken does not grow.
  @Test func placesDoNotPileUp() {
    var queue = FairQueue<Int>(limit: 100, limitBySource: 4)
    for id in UInt64(0)..<5000 {
      let outcome = queue.append(0, id: id, from: .connection(id, user: UInt32(id % 700)))
      #expect(outcome)
      if id >= 50 { _ = queue.popFirst() }
    }
    // At each of three levels as many as wait, and at most as many that have just had their turn.
    #expect(queue.count == 50 && places(queue.root) <= 3 * 2 * queue.count)
    while queue.popFirst() != nil {}
    #expect(places(queue.root) == 0)
  }

  @Test func bothBoundsHold() {
    var queue = FairQueue<Int>(limit: 5, limitBySource: 3)
    for id in UInt64(0)..<3 {
      let outcome5 = queue.append(0, id: id, from: .connection(1, user: 1))
      #expect(outcome5)
    }
    let outcome6 = queue.append(0, id: 3, from: .connection(1, user: 1))
    #expect(!outcome6)
    for id in UInt64(4)..<6 {
      let outcome7 = queue.append(0, id: id, from: .connection(2, user: 2))
      #expect(outcome7)
    }
    let outcome8 = queue.append(0, id: 6, from: .connection(3, user: 3))
    #expect(!outcome8)
    // The daemon's own work has room.
    let outcome9 = queue.append(0, id: 7, from: .daemon)
    #expect(outcome9)
    _ = queue.popFirst()
    _ = queue.popFirst()
    let outcome10 = queue.append(0, id: 8, from: .connection(3, user: 3))
    #expect(outcome10)
  }

  /// Any sequence of operations does what a plain list does.
  @Test func itAgreesWithAModel() {
    var random = SeededGenerator()
    print("seed \(random.seed)")
    // Three users, the first of whom has two jobs.
    func source(_ connection: UInt64) -> WorkSource {
      .connection(connection, user: UInt32(connection % 3), grant: connection % 6 == 3 ? "job" : nil)
    }
    for _ in 0..<200 {
      var queue = FairQueue<UInt64>(limit: 12, limitBySource: 4)
      var model: [(id: UInt64, source: UInt64)] = []
      var taken: [UInt64: [UInt64]] = [:]
      for id in UInt64(0)..<60 {
        switch UInt8.random(in: 0..<4, using: &random) {
        case 0, 1:
          let connection = UInt64.random(in: 0..<7, using: &random)
          let fits = model.count < 12 && model.filter { $0.source == connection }.count < 4
          let outcome = queue.append(id, id: id, from: source(connection))
          #expect(outcome == fits)
          if fits { model.append((id, connection)) }
        case 2:
          let next = queue.popFirst()
          #expect((next == nil) == model.isEmpty)
          guard let next, let index = model.firstIndex(where: { $0.id == next }) else { continue }
          let connection = model.remove(at: index).source
          // In order within a connection.
          #expect((taken[connection] ?? []).allSatisfy { $0 < next })
          taken[connection, default: []].append(next)
        default:
          guard let victim = model.randomElement(using: &random) else { continue }
          let found = queue.remove(id: victim.id, from: source(victim.source))
          #expect(found == victim.id)
          let again = queue.remove(id: victim.id, from: source(victim.source))
          #expect(again == nil)
          model.removeAll { $0.id == victim.id }
        }
        #expect(queue.count == model.count)
      }
      let odd = queue.removeAll { $0 % 2 == 1 }
      #expect(odd == model.map(\.id).filter { $0 % 2 == 1 }.sorted())
      model.removeAll { $0.id % 2 == 1 }
      #expect(queue.count == model.count)
      let rest = queue.removeAll()
      #expect(rest == model.map(\.id).sorted())
      let none = queue.popFirst()
      #expect(none == nil)
    }
  }

  /// Whatever waits, what is foreseen to come before a next piece of work is what comes before it when nothing else does.
  @Test func itForeseesWhatComesBefore() {
    var random = SeededGenerator()
    print("seed \(random.seed)")
    for _ in 0..<300 {
      func any() -> WorkSource {
        guard UInt8.random(in: 0..<12, using: &random) > 0 else { return .daemon }
        let user = UInt32.random(in: 0..<3, using: &random)
        let grant = [nil, "a", "b"].randomElement(using: &random) ?? nil
        return .connection(UInt64.random(in: 0..<4, using: &random), user: user, grant: grant)
      }
      var queue = FairQueue<UInt64>(limit: 100, limitBySource: 9)
      for id in UInt64(1)...UInt64.random(in: 1...60, using: &random) {
        _ = queue.append(UInt64.random(in: 1...1000, using: &random), id: id, from: any())
        if UInt8.random(in: 0..<4, using: &random) == 0 { _ = queue.popFirst() }
      }
      for _ in 0..<5 {
        let next = any()
        var copy = queue
        let isIn = copy.append(0, id: 1000, from: next)
        guard isIn else { continue }
        var before: UInt64 = 0
        while let cost = copy.popFirst(), cost > 0 { before += cost }
        #expect(queue.cost(before: next, of: { $0 }) == before)
      }
    }
  }
}

@Suite(.timeLimit(.minutes(10))) struct ThreadTests {
  /// A bench whose TPM holds a first request, so that all others wait.
  private func held(limits: TPMKeyStoreLimits = TPMKeyStoreLimits()) async throws -> (
    bench: Bench, key: CredentialKey, first: Task<[UInt8], any Error>
  ) {
    var limits = limits
    // The TPM is held for as long as the test takes, which may be long on a busy machine.
    limits.patience = 600_000
    limits.wait = 600_000
    let bench = try await Bench.start(limits: limits)
    let key = try await bench.key().key
    _ = try await bench.sign(with: key)
    bench.fixture.resetCounts()
    bench.fixture.hold()
    let first = Task { try await bench.sign(with: key, from: 1) }
    try await eventually { bench.fixture.counts[Command.sign] == 1 }
    return (bench, key, first)
  }

  /// Answered while the TPM still holds the request before it.
  @Test func aCancelledRequestLeavesAtOnce() async throws {
    let (bench, key, first) = try await held()
    for _ in 0..<51 {
      let waiting = Task { try await bench.sign(with: key, from: 2) }
      try await eventually { bench.store.status.queueLength == 1 }
      waiting.cancel()
      await #expect(throws: KeyStoreError.cancelled) { try await waiting.value }
      #expect(bench.store.status.queueLength == 0)
    }
    // Cancelled before it began to wait.
    let late = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await bench.sign(with: key, from: 2)
    }
    await #expect(throws: KeyStoreError.cancelled) { try await late.value }
    bench.fixture.letGo()
    // What the TPM has begun is finished.
    #expect(try await !first.value.isEmpty)
    #expect(bench.fixture.counts == [Command.sign: 1])
    await bench.store.stop()
  }

  @Test func aFullQueueIsBusy() async throws {
    var limits = TPMKeyStoreLimits()
    limits.waiting = 6
    limits.waitingByConnection = 4
    let (bench, key, first) = try await held(limits: limits)
    var waiting: [Task<[UInt8], any Error>] = []
    for _ in 0..<4 { waiting.append(Task { try await bench.sign(with: key, from: 2) }) }
    try await eventually { bench.store.status.queueLength == 4 }
    await #expect(throws: KeyStoreError.busy) { try await bench.sign(with: key, from: 2) }
    for _ in 0..<2 { waiting.append(Task { try await bench.sign(with: key, from: 3, user: 1001) }) }
    try await eventually { bench.store.status.queueLength == 6 }
    await #expect(throws: KeyStoreError.busy) { try await bench.sign(with: key, from: 2) }
    #expect(throws: KeyStoreError.busy) { try bench.store.thread.checkWait(for: caller(2).workSource) }
    #expect(bench.store.status.waiting.refused == 3)
    bench.fixture.letGo()
    for task in waiting + [first] {
      #expect(try await !task.value.isEmpty)
    }
    await bench.store.stop()
  }

  /// One user's requests fill the queue. Who has fewer takes the place of the last of them, until both have as many.
  @Test func aFullQueueHasRoomForWhoHasLess() async throws {
    var limits = TPMKeyStoreLimits()
    limits.waiting = 6
    let (bench, key, first) = try await held(limits: limits)
    var flood: [Task<[UInt8], any Error>] = []
    for connection in UInt64(2)...7 {
      flood.append(Task { try await bench.sign(with: key, from: connection) })
      try await eventually { bench.store.status.queueLength == flood.count }
    }
    var others: [Task<[UInt8], any Error>] = []
    for connection in UInt64(8)...10 {
      others.append(Task { try await bench.sign(with: key, from: connection, user: 1001) })
      let last = flood.removeLast()
      await #expect(throws: KeyStoreError.busy) { try await last.value }
      try await eventually { bench.store.status.queueLength == 6 }
    }
    await #expect(throws: KeyStoreError.busy) { try await bench.sign(with: key, from: 11, user: 1001) }
    await #expect(throws: KeyStoreError.busy) { try await bench.sign(with: key, from: 12) }
    bench.fixture.letGo()
    for task in flood + others + [first] { #expect(try await !task.value.isEmpty) }
    await bench.store.stop()
  }

  /// One connection that floods the queue delays another by one request, not by all of its own.
  @Test func aFloodDelaysNobodyElse() async throws {
    let (bench, key, first) = try await held()
    let flood = Task {
      try await withThrowingTaskGroup { group in
        for _ in 0..<40 { group.addTask { _ = try await bench.sign(with: key, from: 2) } }
        try await group.waitForAll()
      }
    }
    try await eventually { bench.store.status.queueLength == 40 }
    // Its authorization is wrong, so that the TPM sees a TPM2_Load when its turn comes.
    let stranger = CredentialKey(algorithm: .es256, binding: binding("stranger"), blob: key.blob)
    let other = Task { try await bench.sign(with: stranger, from: 3) }
    try await eventually { bench.store.status.queueLength == 41 }
    bench.fixture.letGo()
    await #expect(throws: KeyStoreError.self) { try await other.value }
    try await flood.value
    _ = try await first.value
    let before = bench.fixture.commands.prefix { $0 != Command.load }.count
    // The one that was held, and one of the flood.
    #expect(before == 2)
    await bench.store.stop()
  }

  /// Nor do all the connections that one user may open.
  @Test func aFloodOfConnectionsDelaysNoOtherUser() async throws {
    let (bench, key, first) = try await held()
    let flood = Task {
      try await withThrowingTaskGroup { group in
        for connection in UInt64(100)..<400 {
          group.addTask { _ = try await bench.sign(with: key, from: connection) }
        }
        try await group.waitForAll()
      }
    }
    try await eventually { bench.store.status.queueLength == 300 }
    let stranger = CredentialKey(algorithm: .es256, binding: binding("stranger"), blob: key.blob)
    let other = Task { try await bench.sign(with: stranger, from: 3, user: 1001) }
    try await eventually { bench.store.status.queueLength == 301 }
    bench.fixture.letGo()
    await #expect(throws: KeyStoreError.self) { try await other.value }
    try await flood.value
    _ = try await first.value
    #expect(bench.fixture.commands.prefix { $0 != Command.load }.count == 2)
    await bench.store.stop()
  }

  /// The TPM is idle, so that its thread would begin before anybody looks again.
  @Test func whatIsCancelledBeforehandIsNotBegun() async throws {
    let bench = try await Bench.start()
    let key = try await bench.key().key
    bench.fixture.resetCounts()
    for _ in 0..<200 {
      let late = Task {
        withUnsafeCurrentTask { $0?.cancel() }
        return try await bench.sign(with: key)
      }
      await #expect(throws: KeyStoreError.cancelled) { try await late.value }
    }
    #expect(bench.fixture.counts.isEmpty)
    await bench.store.stop()
  }

  /// The TPM holds the request before them: nobody waits for what nobody needs.
  @Test func evictionsWaitForNothing() async throws {
    let (bench, key, first) = try await held()
    await bench.store.evict([])
    #expect(bench.store.status.queueLength == 0)
    await bench.store.evict([key.binding])
    #expect(bench.store.status.queueLength == 1)
    bench.fixture.letGo()
    _ = try await first.value
    try await eventually { bench.store.status.loadedKeys == 0 }
    await bench.store.stop()
  }

  /// A request that waits while a reset is adopted signs nothing: its key belongs to the secret before.
  @Test func whatWaitsDuringAResetIsRefused() async throws {
    let bench = try await Bench.start()
    let key = try await bench.key().key
    let secret = try await bench.store.makeDeviceSecret(caller: caller(1), presence: presence(.reset)).secret
    _ = try await bench.sign(with: key)
    bench.fixture.resetCounts()
    bench.fixture.hold()
    let first = Task { try await bench.sign(with: key, from: 1) }
    try await eventually { bench.fixture.counts[Command.sign] == 1 }
    let waiting = [
      Task { _ = try await bench.sign(with: key, from: 2) },
      Task { _ = try await bench.key("late") },
      Task { _ = try await bench.store.nextSignatureCounter(caller: caller(4)) },
    ]
    try await eventually { bench.store.status.queueLength == 3 }
    await bench.store.adopt(secret)
    bench.fixture.letGo()
    #expect(try await !first.value.isEmpty)
    for task in waiting { await #expect(throws: KeyStoreError.self) { try await task.value } }
    // With the new secret's authorization, before or after it is unloaded.
    await #expect(throws: KeyStoreError.self) { try await bench.sign(with: key) }
    try await eventually { bench.store.status.loadedKeys == 0 }
    #expect(bench.fixture.counts[Command.create] == nil && bench.fixture.counts[Command.increment] == nil)
    await bench.store.stop()
  }

  @Test func stopRefusesWhatWaits() async throws {
    let (bench, key, first) = try await held()
    let waiting = Task { try await bench.sign(with: key, from: 2) }
    try await eventually { bench.store.status.queueLength == 1 }
    let stop = Task { await bench.store.stop() }
    await expectUnavailable { _ = try await waiting.value }
    bench.fixture.letGo()
    _ = try await first.value
    await stop.value
    await expectUnavailable { _ = try await bench.sign(with: key) }
    await bench.store.stop()
  }
}
