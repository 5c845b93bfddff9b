import Authenticator
import Crypto
import Platform
import Policy
import TPM
import TestSupport
import Testing
import WebAuthn

@testable import TPMKeyStore

/// The TPM goes away, comes back, is reset, hangs, or is another one.
@Suite(.timeLimit(.minutes(10))) struct LossTests {
  @Test func aTPMThatWasAwayServesAgain() async throws {
    let bench = try await Bench.start()
    let (key, publicKey) = try await bench.key()
    _ = try await bench.sign(with: key)
    let counter = try await bench.store.nextSignatureCounter(caller: caller(1))
    for _ in 0..<3 {
      bench.fixture.powerOff()
      for _ in 0..<5 {
        await expectUnavailable { _ = try await bench.sign(with: key) }
        await expectUnavailable { _ = try await bench.key("new") }
      }
      #expect(bench.store.status.disconnected != nil)
      // The lease in hand remains valid.
      #expect(try await bench.store.nextSignatureCounter(caller: caller(1)) > counter)
      try bench.fixture.powerOn()
      try await eventually { isValid(try await bench.sign(with: key), [1, 2, 3], by: publicKey) }
      #expect(bench.store.status.disconnected == nil)
      _ = try await bench.key("new")
    }
    #expect(bench.store.status.reconnections == 3)
    await bench.store.stop()
  }

  /// The connection breaks, the TPM does not: the request in progress is served, and nothing stays loaded in vain.
  @Test(arguments: [false, true]) func aBrokenConnectionIsMadeAnew(afterwards: Bool) async throws {
    let bench = try await Bench.start()
    let (key, publicKey) = try await bench.key()
    for round in 1...3 {
      _ = try await bench.sign(with: key)
      bench.fixture.hangUp(afterwards: afterwards)
      #expect(isValid(try await bench.sign(with: key), [1, 2, 3], by: publicKey))
      #expect(bench.store.status.reconnections == round)
    }
    #expect(try handles(0x8000_0000, bench) == 1)
    await bench.store.stop()
  }

  /// Load and StartAuthSession are carried out, and nobody learns the handles.
  @Test func whatABreakLeftBehindIsFlushed() async throws {
    let bench = try await Bench.start()
    let (key, publicKey) = try await bench.key()
    bench.fixture.hangUp(afterwards: true)
    #expect(isValid(try await bench.sign(with: key), [1, 2, 3], by: publicKey))
    bench.fixture.hangUp(afterwards: true)
    _ = try await bench.key("two")
    #expect(bench.store.status.reconnections == 2)
    #expect(try handles(0x0200_0000, bench) == 0)
    await bench.store.stop()
    #expect(try handles(0x8000_0000, bench) == 0)
  }

  /// A reset behind a connection that stands: handles mean nothing any more, or mean other keys.
  @Test(arguments: [true, false]) func aResetIsNoticed(startup: Bool) async throws {
    let bench = try await Bench.start()
    let (one, publicOne) = try await bench.key("one")
    let (two, publicTwo) = try await bench.key("two")
    _ = try await bench.sign(with: one)
    _ = try await bench.sign(with: two)
    try bench.fixture.reset(startup: startup)
    // "two" gets the handle that "one" had.
    await bench.store.evict([two.binding])
    #expect(isValid(try await bench.sign(with: two), [1, 2, 3], by: publicTwo))
    #expect(isValid(try await bench.sign(with: one), [1, 2, 3], by: publicOne))
    try bench.fixture.reset(startup: startup)
    #expect(isValid(try await bench.sign(with: one), [1, 2, 3], by: publicOne))
    try bench.fixture.reset(startup: startup)
    _ = try await bench.key("three")
    #expect(isValid(try await bench.sign(with: two), [1, 2, 3], by: publicTwo))
    await bench.store.stop()
  }

  @Test func aTPMThatNeedsStartupIsStarted() async throws {
    let bench = try await Bench.start(try SoftwareTPMFixture(startup: false))
    _ = try await bench.key()
    await bench.store.stop()
  }

  @Test(arguments: [Response.retry, Response.yielded, Response.testing, Response.nvRate])
  func itTriesAgainWhereTheTPMAsksForIt(code: UInt32) async throws {
    let bench = try await Bench.start()
    let (key, _) = try await bench.key()
    bench.fixture.answer(Command.load, with: [UInt32](repeating: code, count: 7))
    _ = try await bench.sign(with: key)
    await bench.store.stop()
  }

  @Test func memoryIsMadeWhereTheTPMIsFull() async throws {
    let bench = try await Bench.start()
    let (key, _) = try await bench.key()
    bench.fixture.answer(Command.load, with: [Response.objectMemory])
    _ = try await bench.sign(with: key)
    bench.fixture.answer(Command.startSession, with: [Response.sessionMemory])
    _ = try await bench.key("two")
    bench.fixture.answer(Command.load, with: [Response.objectMemory, Response.objectMemory])
    await bench.store.evict([key.binding])
    await expectUnavailable { _ = try await bench.sign(with: key) }
    _ = try await bench.sign(with: key)
    await bench.store.stop()
  }

  /// A crashed process left the TPM full, and no resource manager cleans up.
  @Test func whatACrashLeftBehindIsFlushed() async throws {
    let bench = try await Bench.start()
    let (key, _) = try await bench.key()
    await bench.store.stop()
    guard case .sealed(let sealed) = DeviceRecord.decode(bench.records.current ?? []) else { throw Unexpected() }
    do {
      var context = try TPMContext(tcti: bench.fixture.tcti)
      let found = try context.reference(to: sealed.parentHandle)
      let parent = try #require(found)
      let blob = KeyBlob.decode(key.blob)
      let object = try #require(blob)
      for _ in 0..<2 { _ = try context.load(object, under: parent) }
    }
    let again = try await Bench.start(bench.fixture, records: bench.records)
    _ = try await again.sign(with: key)
    _ = try await again.key("more")
    #expect(again.log.text.contains("left behind"))
    await again.store.stop()
  }

  /// The same for sessions: a process was killed between two commands, several times.
  @Test func sessionsThatACrashLeftBehindAreFlushed() async throws {
    let bench = try await Bench.start()
    await bench.store.stop()
    for _ in 0..<3 {
      var context = try TPMContext(tcti: bench.fixture.tcti)
      try context.withSession(saltedWith: nil, encrypting: []) { _, _ in bench.fixture.hangUp() }
    }
    do {
      var context = try TPMContext(tcti: bench.fixture.tcti)
      let held = try context.handles(from: 0x0200_0000)
      #expect(held.count == 3, "\(held)")
    }
    let again = try await Bench.start(bench.fixture, records: bench.records)
    _ = try await again.key()
    await again.store.stop()
    var context = try TPMContext(tcti: bench.fixture.tcti)
    #expect(try context.handles(from: 0x0200_0000).isEmpty)
  }

  /// Losses in quick succession slow the attempts down, and requests are refused without one meanwhile.
  @Test func aConnectionThatKeepsBreakingIsNotTriedWithoutEnd() throws {
    let fixture = try SoftwareTPMFixture()
    let board = StatusBoard(connection: .tcti(fixture.tcti))
    let clock = ManualTime()
    let device = TPMDevice(
      connection: .tcti(fixture.tcti), software: nil, ownerAuthorization: nil, swapsContexts: false, board: board,
      log: .silent,
      clock: clock)
    func use() throws(KeyStoreError) {
      try device.withTPM { tpm throws in
        _ = try tpm.withContext { context throws(TPMError) in try context.handles(from: 0x8000_0000) }
      }
    }
    try use()
    for losses in 1...3 {
      fixture.hangUp()
      try use()
      #expect(board.status.reconnections == losses)
    }
    fixture.hangUp()
    #expect(throws: KeyStoreError.self) { try use() }
    fixture.resetCounts()
    clock.advance(by: .milliseconds(199))
    #expect(throws: KeyStoreError.self) { try use() }
    #expect(fixture.counts.isEmpty && board.status.reconnections == 3)
    clock.advance(by: .milliseconds(1))
    try use()
    #expect(board.status.reconnections == 4)
    // One that has lasted is forgiven.
    clock.advance(by: .seconds(10))
    for losses in 5...7 {
      fixture.hangUp()
      try use()
      #expect(board.status.reconnections == losses)
    }
    device.close()
  }

  /// A TPM that hangs while nobody asks for anything: stopping does not wait for it.
  @Test func aTPMThatHangsDoesNotHoldTheEnd() async throws {
    let clock = ManualTime()
    let bench = try await Bench.start(clock: clock)
    _ = try await bench.sign(with: try await bench.key().key)
    bench.fixture.resetCounts()
    bench.fixture.hold()
    let stop = Task { await bench.store.stop() }
    try await eventually { bench.fixture.counts[Command.flush] == 1 }
    clock.advance(by: .seconds(21))
    await stop.value
    bench.fixture.letGo()
  }

  @Test func anotherTPMIsNotTakenForOurs() async throws {
    let bench = try await Bench.start()
    let (key, _) = try await bench.key()
    try bench.fixture.replace()
    let error = await #expect(throws: KeyStoreError.self) { try await bench.sign(with: key) }
    #expect(error?.description.contains("this is not the TPM that") == true)
    await bench.store.stop()
    let refused = await #expect(throws: KeyStoreError.self) {
      try await Bench.start(bench.fixture, records: bench.records)
    }
    #expect(refused?.description.contains("this is not the TPM that") == true)
  }

  /// A TPM that takes a command and never answers: everybody is told when the bound is passed, later ones at once, and
  /// all is well when it lets go.
  @Test func aTPMThatHangsHoldsNobody() async throws {
    let clock = ManualTime()
    let bench = try await Bench.start(clock: clock)
    let (key, publicKey) = try await bench.key()
    _ = try await bench.sign(with: key)
    bench.fixture.hold()
    await withTaskGroup { group in
      for connection in UInt64(1)...8 {
        group.addTask { await expectUnavailable { _ = try await bench.sign(with: key, from: connection) } }
      }
      group.addTask {
        await #expect(throws: Never.self) { try await eventually { bench.store.status.queueLength == 7 } }
        clock.advance(by: .seconds(21))
      }
    }
    await expectUnavailable { _ = try await bench.sign(with: key) }
    bench.fixture.letGo()
    try await eventually { isValid(try await bench.sign(with: key), [1, 2, 3], by: publicKey) }
    await bench.store.stop()
  }

  @Test func aTPMThatIsNotThereIsAClearError() async throws {
    for (tcti, part) in [
      ("device:/dev/does-not-exist", "there is no /dev/does-not-exist: turn the TPM on in the firmware's settings"),
      ("device:/dev/null", "check that it is a TPM 2.0"), ("swtpm:path=/does/not/exist", "cannot be opened"),
      ("nonsense:x", "cannot be opened"), ("", "no TPM is named"),
    ] {
      let error = await #expect(throws: KeyStoreError.self) {
        try await TPMKeyStore.start(
          connection: .tcti(tcti), records: MemoryRecords(), allowSoftware: true, log: .silent)
      }
      #expect(error?.description.contains(part) == true, "\(tcti): \(error?.description ?? "")")
    }
  }

  @Test func aSoftwareTPMMustBeAllowed() async throws {
    let fixture = try SoftwareTPMFixture()
    let records = MemoryRecords()
    let error = await #expect(throws: KeyStoreError.self) {
      try await TPMKeyStore.start(
        connection: .tcti(fixture.tcti), records: records, allowSoftware: false, log: .silent)
    }
    #expect(error?.description.contains("software TPM") == true)
    #expect(records.current == nil)
  }
}

/// The operation fails as unavailable.
func expectUnavailable(
  _ operation: () async throws -> Void, sourceLocation: SourceLocation = #_sourceLocation
) async {
  do {
    try await operation()
    Issue.record("it worked", sourceLocation: sourceLocation)
  } catch KeyStoreError.unavailable(let text) {
    #expect(!text.isEmpty, sourceLocation: sourceLocation)
  } catch {
    Issue.record("\(error)", sourceLocation: sourceLocation)
  }
}

/// Asks until the answer is yes; errors count as no. The limit is for what would never come.
func eventually(
  within seconds: UInt64 = 60, _ condition: () async throws -> Bool, sourceLocation: SourceLocation = #_sourceLocation
) async throws {
  let end = SystemTime().monotonicNanoseconds + seconds * 1_000_000_000
  var last: (any Error)?
  while SystemTime().monotonicNanoseconds < end {
    do {
      if try await condition() { return }
    } catch {
      last = error
    }
    await Task.yield()
  }
  Issue.record("not within \(seconds) s; last: \(String(describing: last))", sourceLocation: sourceLocation)
}

/// How many handles of a kind the TPM holds: counted by the TPM, through a connection of its own.
func handles(_ kind: UInt32, _ bench: Bench) throws -> Int {
  var context = try TPMContext(tcti: bench.fixture.tcti)
  return try context.handles(from: kind).count
}
