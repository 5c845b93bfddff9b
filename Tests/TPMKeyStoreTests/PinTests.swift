import Authenticator
import Platform
import Policy
import TestSupport
import TPM
import Testing

@testable import TPMKeyStore

/// The record in memory, whose saves can fail, and what credentials there are.
final class MemoryPins: PinRecordStore {
  let bytes = Lock<[UInt8]?>(nil)
  /// Saves that succeed before one fails for good; nil for all.
  let savesLeft = Lock<Int?>(nil)
  let gone = Lock<Set<KeyBinding>>([])

  /// Without its seal.
  var record: PinRecord? { bytes.withLock { $0 }.flatMap { PinRecord.decode(Array($0.dropLast(32))) } }

  func pinRecord() async throws(StoreError) -> [UInt8]? { bytes.withLock { $0 } }

  func savePinRecord(_ record: [UInt8]) async throws(StoreError) {
    let fails = savesLeft.withLock { left in
      guard let count = left else { return false }
      left = max(0, count - 1)
      return count == 0
    }
    if fails { throw .full("injected") }
    bytes.withLock { $0 = record }
  }
}

extension Bench {
  /// As behind the kernel's resource manager, with the record of an earlier run where there is one.
  static func startPinning(
    _ fixture: SoftwareTPMFixture? = nil, records: MemoryRecords = MemoryRecords(), pins: MemoryPins,
    _ settings: PinSettings = PinSettings(), clock: any Timekeeper = ManualTime()
  ) async throws -> Bench {
    let bench = try await start(fixture, records: records, resourceManager: true)
    await bench.store.keepPins(in: pins, settings, clock: clock, log: bench.log.logger) { binding in
      !pins.gone.withLock { $0.contains(binding) }
    }
    return bench
  }

  /// Handles in the default range that hold something.
  func taken() async throws -> Set<UInt32> {
    try await store.thread.perform(for: .daemon) { device throws(KeyStoreError) in
      try device.persistentRoom(in: PinSettings().handles).taken.filter { PinSettings().handles.contains($0) }
    }
  }

  /// Signs until the key is pinned.
  func heat(_ key: CredentialKey) async throws {
    for _ in 0..<8 { _ = try await sign(with: key) }
    try await eventually { store.status.pins?.pins.contains { $0.binding == key.binding } ?? false }
  }
}

@Suite struct PinTests {
  @Test func aHotAssertionBehindAResourceManagerIsOneCommand() async throws {
    let bench = try await Bench.startPinning(pins: MemoryPins())
    let (key, publicKey) = try await bench.key()
    bench.fixture.resetCounts()
    _ = try await bench.sign(with: key)
    // Nothing stays loaded for the resource manager to swap.
    #expect(bench.fixture.commands == [Command.load, Command.sign, Command.flush])
    #expect(bench.store.status.loadedKeys == 0)
    try await bench.heat(key)
    bench.fixture.resetCounts()
    for round in 0..<500 {
      let message = [UInt8(truncatingIfNeeded: round)]
      #expect(isValid(try await bench.sign(message, with: key), message, by: publicKey))
    }
    #expect(bench.fixture.counts == [Command.sign: 500])
    #expect(bench.store.status.pins?.writes == 2)
    await bench.store.stop()
  }

  @Test func overADirectTPMUseAlonePinsNothing() async throws {
    let pins = MemoryPins()
    let bench = try await Bench.start()
    await bench.store.keepPins(in: pins, PinSettings(), log: bench.log.logger) { _ in true }
    let (key, _) = try await bench.key()
    for _ in 0..<40 { _ = try await bench.sign(with: key) }
    #expect(bench.store.status.pins?.pins == [] && pins.record == nil)
    try await bench.store.pin(key)
    #expect(try await bench.taken() == [0x8100_C600])
    try await bench.store.unpin(key.binding)
    #expect(try await bench.taken().isEmpty)
    await bench.store.stop()
  }

  @Test func aPinOutlivesTheDaemonAndARestartOfTheTPM() async throws {
    let (fixture, records, pins) = (try SoftwareTPMFixture(), MemoryRecords(), MemoryPins())
    var bench = try await Bench.startPinning(fixture, records: records, pins: pins)
    let (key, publicKey) = try await bench.key()
    try await bench.heat(key)
    await bench.store.stop()
    fixture.powerOff()
    try fixture.powerOn()
    bench = try await Bench.startPinning(fixture, records: records, pins: pins)
    fixture.resetCounts()
    #expect(isValid(try await bench.sign([9], with: key), [9], by: publicKey))
    #expect(fixture.counts == [Command.sign: 1])
    // A reset while the connection stands: the persistent object is there still.
    try fixture.reset()
    #expect(isValid(try await bench.sign([8], with: key), [8], by: publicKey))
    fixture.resetCounts()
    _ = try await bench.sign(with: key)
    #expect(fixture.counts == [Command.sign: 1])
    await bench.store.stop()
  }

  @Test func whatGoesIsFreed() async throws {
    let (fixture, records, pins) = (try SoftwareTPMFixture(), MemoryRecords(), MemoryPins())
    var bench = try await Bench.startPinning(fixture, records: records, pins: pins)
    let keys = [try await bench.key("a").key, try await bench.key("b").key, try await bench.key("c").key]
    for key in keys { try await bench.store.pin(key) }
    #expect(try await bench.taken() == [0x8100_C600, 0x8100_C601, 0x8100_C602])
    await bench.store.evict([keys[0].binding])
    try await eventually { pins.record?.entries.count == 2 }
    #expect(try await bench.taken() == [0x8100_C601, 0x8100_C602])
    await bench.store.stop()
    // Removed at a moment when nobody could be told.
    pins.gone.withLock { _ = $0.insert(keys[1].binding) }
    bench = try await Bench.startPinning(fixture, records: records, pins: pins)
    #expect(try await bench.taken() == [0x8100_C602])
    try await bench.store.freePins()
    #expect(try await bench.taken().isEmpty && pins.record?.entries == [])
    await bench.store.stop()
  }

  @Test func aResetFreesAll() async throws {
    let pins = MemoryPins()
    let bench = try await Bench.startPinning(pins: pins)
    try await bench.store.pin(try await bench.key("a").key)
    try await bench.store.pin(try await bench.key("b").key)
    let (secret, _) = try await bench.store.makeDeviceSecret(caller: caller(1), presence: try presence(.reset))
    await bench.store.adopt(secret)
    try await eventually { pins.record?.entries.isEmpty ?? false }
    #expect(try await bench.taken().isEmpty)
    await bench.store.stop()
  }

  /// Somebody else's objects in the range are passed over, and stay when ours go.
  @Test func whatIsNotOursIsNeverTouched() async throws {
    let (fixture, records) = (try SoftwareTPMFixture(), MemoryRecords())
    var bench = try await Bench.startPinning(fixture, records: records, pins: MemoryPins())
    let theirs = try await bench.key("theirs").key
    // Pinned by a run whose record we do not have: for us a stranger's.
    try await bench.store.pin(theirs)
    await bench.store.stop()
    let pins = MemoryPins()
    bench = try await Bench.startPinning(fixture, records: records, pins: pins)
    let key = try await bench.key("ours").key
    try await bench.store.pin(key)
    #expect(try await bench.taken() == [0x8100_C600, 0x8100_C601])
    await bench.store.stop()
    // A record that names the stranger's handle, with the Name of our key.
    var record = try #require(pins.record)
    record.entries[0].handle = 0x8100_C600
    pins.bytes.withLock { $0 = record.sealed(bench.store.counter.authorization) }
    bench = try await Bench.startPinning(fixture, records: records, pins: pins)
    #expect(pins.record?.entries == [])
    _ = try await bench.sign(with: key)
    try await bench.store.freePins()
    #expect(try await bench.taken() == [0x8100_C600, 0x8100_C601])
    await bench.store.stop()
  }

  /// Another program takes our key away and puts one of its own at the handle: the signature is right all the same.
  @Test func aHandleThatChangesHandsIsNoticed() async throws {
    let (fixture, records, pins) = (try SoftwareTPMFixture(), MemoryRecords(), MemoryPins())
    let bench = try await Bench.startPinning(fixture, records: records, pins: pins)
    let (key, publicKey) = try await bench.key("a")
    let other = try #require(KeyBlob.decode(try await bench.key("b").key.blob))
    try await bench.store.pin(key)
    _ = try await bench.sign(with: key)
    let mine = try #require(pins.record?.entries.first)
    try await bench.store.thread.perform(for: .daemon) { device throws(KeyStoreError) in
      // Behind the back of the connection's references.
      try device.withTPM { tpm throws in
        let parent = try tpm.requireParent()
        try tpm.withContext { context throws(TPMError) in
          guard let standing = try context.reference(to: mine.handle) else { return }
          try context.withSession(saltedWith: nil, encrypting: []) { context, session throws(TPMError) in
            try context.removePersistent(standing, at: mine.handle, session: session)
            let loaded = try context.load(other, under: parent)
            defer { context.release(loaded) }
            context.forget(try context.makePersistent(loaded, at: mine.handle, session: session))
          }
        }
      }
    }
    #expect(isValid(try await bench.sign([7], with: key), [7], by: publicKey))
    #expect(isValid(try await bench.sign([6], with: key), [6], by: publicKey))
    try await eventually { pins.record?.entries.isEmpty ?? false }
    #expect(try await bench.taken() == [mine.handle])
    await bench.store.stop()
  }

  @Test func theBudgetIsEnforcedAndSurvivesARestart() async throws {
    var settings = PinSettings()
    (settings.burst, settings.writesPerDay, settings.count) = (2, 0, 1)
    let (fixture, records, pins) = (try SoftwareTPMFixture(), MemoryRecords(), MemoryPins())
    var bench = try await Bench.startPinning(fixture, records: records, pins: pins, settings)
    let (a, b) = (try await bench.key("a").key, try await bench.key("b").key)
    try await bench.store.pin(a)
    #expect(bench.store.status.pins?.writesLeft == 0)
    try await bench.store.unpin(a.binding)
    for _ in 0..<2 {
      await #expect(throws: KeyStoreError.self) { try await bench.store.pin(b) }
      #expect(try await bench.taken().isEmpty)
      await bench.store.stop()
      bench = try await Bench.startPinning(fixture, records: records, pins: pins, settings)
    }
    // Nor by use.
    fixture.resetCounts()
    for _ in 0..<40 { _ = try await bench.sign(with: b) }
    try await eventually { bench.store.status.pins?.problem != nil }
    #expect(fixture.counts[Command.evictControl] == nil)
    #expect(bench.store.status.pins?.writes == 2)
    await bench.store.stop()
  }

  /// The busier key takes the place of the other, which is freed; the operator's stays.
  @Test func aBusierKeyTakesThePlace() async throws {
    var settings = PinSettings()
    settings.count = 2
    let (pins, clock) = (MemoryPins(), ManualTime())
    let bench = try await Bench.startPinning(pins: pins, settings, clock: clock)
    let keys = [try await bench.key("a").key, try await bench.key("b").key, try await bench.key("c").key]
    try await bench.store.pin(keys[0])
    try await bench.heat(keys[1])
    clock.advance(by: .nanoseconds(PinPlan.residence))
    for _ in 0..<24 { _ = try await bench.sign(with: keys[2]) }
    try await eventually { bench.store.status.pins?.pins.contains { $0.binding == keys[2].binding } ?? false }
    #expect(Set((pins.record?.entries ?? []).map(\.binding)) == [keys[0].binding, keys[2].binding])
    #expect(try await bench.taken().count == 2)
    await bench.store.stop()
  }

  /// The daemon ends before or after each save and each command of a pin and of an unpin: nothing is left in the TPM that
  /// the next start does not know, and nothing is known that is not there.
  @Test(arguments: [false, true]) func aCrashLeavesNoOrphan(whileUnpinning: Bool) async throws {
    let (fixture, records) = (try SoftwareTPMFixture(), MemoryRecords())
    for saves in 0..<4 {
      for kind in [Command.evictControl, Command.load, Command.startSession, nil] {
        let pins = MemoryPins()
        var bench = try await Bench.startPinning(fixture, records: records, pins: pins)
        let (key, publicKey) = try await bench.key("a")
        if whileUnpinning { try await bench.store.pin(key) }
        pins.savesLeft.withLock { $0 = saves }
        if let kind { fixture.failOnce(kind, after: 0, with: 0x84) }
        do {
          if whileUnpinning { try await bench.store.unpin(key.binding) } else { try await bench.store.pin(key) }
        } catch {
          // What became of it is seen below.
        }
        fixture.forgetAnswers()
        // As after a crash: nothing that this run knows goes over.
        await bench.store.stop()
        pins.savesLeft.withLock { $0 = nil }
        bench = try await Bench.startPinning(fixture, records: records, pins: pins)
        let known = Set((pins.record?.entries ?? []).map(\.handle))
        #expect(try await bench.taken() == known, "\(saves) saves, \(String(describing: kind))")
        #expect(isValid(try await bench.sign([5], with: key), [5], by: publicKey))
        try await bench.store.freePins()
        #expect(try await bench.taken().isEmpty)
        await bench.store.stop()
      }
    }
  }

  @Test func aDamagedRecordPinsNothingAndStopsNobody() async throws {
    let pins = MemoryPins()
    pins.bytes.withLock { $0 = [1, 2, 3] }
    let bench = try await Bench.startPinning(pins: pins)
    let (key, publicKey) = try await bench.key()
    for _ in 0..<20 { #expect(isValid(try await bench.sign([4], with: key), [4], by: publicKey)) }
    await #expect(throws: KeyStoreError.self) { try await bench.store.pin(key) }
    #expect(bench.store.status.pins?.problem != nil)
    #expect(pins.bytes.withLock { $0 } == [1, 2, 3])
    #expect(try await bench.taken().isEmpty)
    await bench.store.stop()
  }
}
