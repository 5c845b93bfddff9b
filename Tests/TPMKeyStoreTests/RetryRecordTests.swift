import Authenticator
import Platform
import Policy
import TPM
import TestSupport
import Testing

@testable import TPMKeyStore

extension Bench {
  func read(from connection: UInt64 = 1) async throws -> RetryRecord {
    try await store.retryRecord(caller: caller(connection))
  }

  func save(_ generation: UInt64, _ failures: UInt8 = 0, from connection: UInt64 = 1) async throws {
    try await store.save(RetryRecord(generation: generation, failures: failures), caller: caller(connection))
  }
}

/// What the TPM's own memory keeps about the PIN.
@Suite(.timeLimit(.minutes(10))) struct RetryRecordTests {
  @Test func whatIsWrittenIsRead() async throws {
    let bench = try await Bench.start()
    #expect(try await bench.read() == RetryRecord(generation: 0, failures: 0))
    var random = SeededGenerator()
    print("seed \(random.seed)")
    var records = [
      RetryRecord(generation: .max, failures: .max), RetryRecord(), RetryRecord(generation: 0, failures: 1),
    ]
    for _ in 0..<50 {
      records.append(
        RetryRecord(
          generation: .random(in: .min ... .max, using: &random), failures: .random(in: .min ... .max, using: &random)))
    }
    for record in records {
      try await bench.store.save(record, caller: caller(1))
      #expect(try await bench.read(from: 2) == record)
    }
    await bench.store.stop()
  }

  /// Restarted in order, crashed, and with the power lost as soon as the call had returned.
  @Test func itSurvivesRestarts() async throws {
    let fixture = try SoftwareTPMFixture()
    let records = MemoryRecords()
    for round in UInt64(0)..<6 {
      let bench = try await Bench.start(fixture, records: records)
      #expect(try await bench.read() == RetryRecord(generation: round, failures: UInt8(round)))
      try await bench.save(round + 1, UInt8(round + 1))
      if round.isMultiple(of: 2) { fixture.powerOff() }
      if round == 3 { try fixture.reset(startup: false) }
      await bench.store.stop()
      if round.isMultiple(of: 2) { try fixture.powerOn() }
    }
  }

  @Test(arguments: [true, false]) func itSurvivesAResetOfTheTPM(startup: Bool) async throws {
    let bench = try await Bench.start()
    try await bench.save(5, 3)
    try bench.fixture.reset(startup: startup)
    #expect(try await bench.read() == RetryRecord(generation: 5, failures: 3))
    try bench.fixture.reset(startup: startup)
    try await bench.save(5, 4)
    #expect(try await bench.read() == RetryRecord(generation: 5, failures: 4))
    await bench.store.stop()
  }

  /// Neither a device record from before, nor one of an older era, nor one that is damaged or missing.
  @Test func restoredFilesDoNotWindItBack() async throws {
    let bench = try await Bench.start()
    let first = try #require(bench.records.current)
    try await bench.save(1, 2)
    let (secret, second) = try await bench.store.makeDeviceSecret(caller: caller(1), presence: presence(.reset))
    await bench.store.adopt(secret)
    #expect(bench.store.secret === secret)
    #expect(try await bench.read() == RetryRecord(generation: 1, failures: 2))
    try await bench.save(2, 7)
    await bench.store.stop()
    for record in [first, second] {
      let again = try await Bench.start(bench.fixture, records: MemoryRecords(record))
      #expect(try await again.read() == RetryRecord(generation: 2, failures: 7))
      #expect(again.store.secret.copied == again.secret.copied)
      await again.store.stop()
    }
    // One that has nothing becomes another device, beside this one.
    let other = try await Bench.start(bench.fixture)
    #expect(try await other.read() == RetryRecord())
    try await other.save(9, 9)
    await other.store.stop()
    let again = try await Bench.start(bench.fixture, records: MemoryRecords(second))
    #expect(try await again.read() == RetryRecord(generation: 2, failures: 7))
    await again.store.stop()
  }

  /// Where somebody makes the device begin anew, or names the index of another device, the old device record is of no
  /// use any more, and the old secret with it.
  @Test func beginningAnewEndsWhatWas() async throws {
    let bench = try await Bench.start()
    try await bench.save(3, 8)
    await bench.store.stop()
    let sealed = try bench.sealedDevice()
    let other = try await Bench.start(bench.fixture)
    await other.store.stop()
    var swapped = sealed
    swapped.indices.retries = try other.sealedDevice().indices.retries
    for tag in [sealed.indices.tag, try other.sealedDevice().indices.tag] {
      swapped.indices.tag = tag
      let thief = Bench(
        fixture: bench.fixture, records: MemoryRecords(DeviceRecord.sealed(swapped).encoded()), store: bench.store,
        secret: bench.secret, log: bench.log)
      try await expectRefusedStart(thief, "has been altered")
    }
    let anew = MemoryRecords(DeviceRecord.provisioning(sealed.indices).encoded())
    let begun = try await Bench.start(bench.fixture, records: anew)
    #expect(try await begun.read() == RetryRecord())
    #expect(begun.secret.copied != bench.secret.copied)
    await begun.store.stop()
    try await expectRefusedStart(bench, "signature counter", "defined in its place")
  }

  /// What was asked for before a reset and comes to the TPM after it.
  @Test func aResetDropsWhatWaits() async throws {
    let bench = try await Bench.start()
    try await bench.save(1, 1)
    let (secret, _) = try await bench.store.makeDeviceSecret(caller: caller(1), presence: presence(.reset))
    bench.fixture.hold()
    bench.fixture.resetCounts()
    let reading = Task { try await bench.read() }
    try await eventually { bench.fixture.counts[Command.nvRead] == 1 }
    let saving = Task { try await bench.save(1, 2, from: 2) }
    try await eventually { bench.store.status.queueLength == 1 }
    await bench.store.adopt(secret)
    bench.fixture.letGo()
    #expect(try await reading.value == RetryRecord(generation: 1, failures: 1))
    let error = await #expect(throws: KeyStoreError.self) { try await saving.value }
    #expect(error?.description.contains("a reset has come in between") == true)
    #expect(try await bench.read() == RetryRecord(generation: 1, failures: 1))
    try await bench.save(2)
    #expect(try await bench.read() == RetryRecord(generation: 2))
    await bench.store.stop()
  }

  /// Taken out of the queue, it is not written later.
  @Test func whatIsCancelledIsNotWritten() async throws {
    let bench = try await Bench.start()
    bench.fixture.hold()
    bench.fixture.resetCounts()
    let first = Task { try await bench.save(1) }
    try await eventually { bench.fixture.counts[Command.nvWrite] == 1 }
    let second = Task { try await bench.save(2, from: 2) }
    let third = Task { try await bench.read(from: 3) }
    try await eventually { bench.store.status.queueLength == 2 }
    second.cancel()
    third.cancel()
    await #expect(throws: KeyStoreError.cancelled) { try await second.value }
    await #expect(throws: KeyStoreError.cancelled) { _ = try await third.value }
    bench.fixture.letGo()
    try await first.value
    #expect(try await bench.read() == RetryRecord(generation: 1))
    #expect(bench.fixture.counts == [Command.nvWrite: 1, Command.nvRead: 1])
    await bench.store.stop()
  }

  /// A TPM that takes the command and does not answer holds nobody; it writes when it lets go, and later ones after it.
  @Test func aTPMThatHangsHoldsNobody() async throws {
    let clock = ManualTime()
    let bench = try await Bench.start(clock: clock)
    bench.fixture.hold()
    bench.fixture.resetCounts()
    let saving = Task { try await bench.save(1, 1) }
    try await eventually { bench.fixture.counts[Command.nvWrite] == 1 }
    let reading = Task { try await bench.read(from: 2) }
    try await eventually { bench.store.status.queueLength == 1 }
    clock.advance(by: .seconds(21))
    await expectUnavailable { try await saving.value }
    await expectUnavailable { _ = try await reading.value }
    await expectUnavailable { try await bench.save(1, 2) }
    bench.fixture.letGo()
    try await eventually { try await bench.read() == RetryRecord(generation: 1, failures: 1) }
    try await bench.save(1, 2)
    #expect(try await bench.read() == RetryRecord(generation: 1, failures: 2))
    await bench.store.stop()
  }

  @Test func aFloodOfOneUserIsBounded() async throws {
    var limits = TPMKeyStoreLimits()
    limits.waitingByConnection = 2
    let bench = try await Bench.start(limits: limits)
    bench.fixture.hold()
    bench.fixture.resetCounts()
    let first = Task { try await bench.save(1) }
    try await eventually { bench.fixture.counts[Command.nvWrite] == 1 }
    let others = [Task { try await bench.read() }, Task { try await bench.read() }]
    try await eventually { bench.store.status.queueLength == 2 }
    await #expect(throws: KeyStoreError.busy) { try await bench.save(2) }
    await #expect(throws: KeyStoreError.busy) { try await bench.read() }
    bench.fixture.letGo()
    try await first.value
    for other in others { #expect(try await other.value == RetryRecord(generation: 1)) }
    await bench.store.stop()
  }
}
