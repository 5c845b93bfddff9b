import Authenticator
import Policy
import TestSupport
import Testing
import WebAuthn

@testable import TPMKeyStore

/// What each operation may cost in TPM commands, without a resource manager and behind one. Behind one these are the
/// commands that the daemon sends; what the kernel's adds to them is in Tests/VM/test_tpm.py, and is nothing where only
/// persistent objects are used.
private enum Budget {
  typealias Commands = [UInt32: Int]

  static let hot: Commands = [Command.sign: 1]
  static let cold: Commands = [Command.load: 1, Command.sign: 1]
  /// Where every slot is taken, and always behind a resource manager.
  static let coldWithFlush: Commands = [Command.load: 1, Command.sign: 1, Command.flush: 1]
  /// A salted session, so that nobody on the bus sees the new key's authorization value.
  static let registration: Commands = [Command.startSession: 1, Command.create: 1, Command.flush: 1]
  /// Self-attestation loads the key, which is hot then; behind a resource manager it is unloaded again.
  static let selfAttestation = cold
  static let selfAttestationBehind = coldWithFlush
  static let certification: Commands = [Command.load: 2, Command.certify: 1, Command.flush: 2]
  static let firstStart: Commands = [
    Command.createPrimary: 1, Command.evictControl: 1, Command.create: 3, Command.load: 1, Command.unseal: 1,
    Command.defineSpace: 3, Command.increment: 2, Command.nvWrite: 1, Command.nvRead: 5, Command.nvReadPublic: 6,
    Command.readPublic: 5, Command.startSession: 8, Command.flush: 10, Command.capability: 6, Command.testParms: 1,
  ]
  static let laterStart: Commands = [
    Command.load: 1, Command.unseal: 1, Command.nvRead: 3, Command.nvReadPublic: 3, Command.readPublic: 1,
    Command.startSession: 1, Command.flush: 2, Command.capability: 5, Command.testParms: 1,
  ]
  static let nothing: Commands = [:]
}

/// On chips a command costs 20 to 200 ms, so their number is the cost (DESIGN.md, "What the TPM costs").
@Suite struct CommandBudgetTests {
  @Test(arguments: [false, true]) func registrations(behind: Bool) async throws {
    let bench = try await Bench.start(resourceManager: behind)
    bench.fixture.resetCounts()
    // Attestation `none` is this and no more.
    let key = try await bench.key().key
    #expect(bench.fixture.counts == Budget.registration)
    bench.fixture.resetCounts()
    _ = try await bench.store.sign(
      digest: [UInt8](repeating: 1, count: 32), with: key, caller: caller(1), presence: presence(.register))
    #expect(bench.fixture.counts == (behind ? Budget.selfAttestationBehind : Budget.selfAttestation))
    let attestationKey = try await bench.store.makeAttestationKey(caller: caller(1)).key
    let other = try await bench.key("other").key
    await bench.store.evict([key.binding])
    try await eventually { bench.store.status.loadedKeys == 0 }
    bench.fixture.resetCounts()
    _ = try await bench.store.certify(
      other, data: [1, 2, 3], with: attestationKey, caller: caller(1), presence: presence(.register))
    #expect(bench.fixture.counts == Budget.certification)
    await bench.store.stop()
  }

  /// A later start looks at who made the TPM and what it can do, at the storage root key and three indices, and unseals.
  @Test(arguments: [false, true]) func starts(behind: Bool) async throws {
    let (fixture, records) = (try SoftwareTPMFixture(), MemoryRecords())
    var bench = try await Bench.start(fixture, records: records, resourceManager: behind)
    #expect(fixture.counts == Budget.firstStart)
    await bench.store.stop()
    fixture.resetCounts()
    bench = try await Bench.start(fixture, records: records, resourceManager: behind)
    #expect(fixture.counts == Budget.laterStart)
    await bench.store.stop()
  }

  @Test func whatNeedsNoKeyCostsNothing() async throws {
    let bench = try await Bench.start()
    let key = try await bench.key().key
    bench.fixture.resetCounts()
    _ = bench.store.algorithms
    _ = bench.store.status
    _ = bench.store.secret
    await #expect(throws: KeyStoreError.self) {
      try await bench.store.createKey(
        .es256, binding: binding("x"), caller: caller(1), presence: presence(.register, relyingParty: "example.org"))
    }
    await #expect(throws: KeyStoreError.self) {
      try await bench.store.sign(digest: [1], with: key, caller: caller(1), presence: presence(.authenticate))
    }
    #expect(bench.fixture.counts == Budget.nothing)
    await bench.store.stop()
  }

  /// Each assertion is one TPM2_Sign; the counter's blocks cost one increment and one read per 1,024 values.
  @Test func aHotAssertionIsOneCommand() async throws {
    let bench = try await Bench.start()
    let (key, publicKey) = try await bench.key()
    _ = try await bench.sign(with: key)
    _ = try await bench.store.nextSignatureCounter(caller: caller(1))
    bench.fixture.resetCounts()
    var last: UInt32 = 0
    let rounds = 2500
    for round in 0..<rounds {
      let value = try await bench.store.nextSignatureCounter(caller: caller(1))
      #expect(value > last)
      last = value
      let signature = try await bench.sign([UInt8(truncatingIfNeeded: round)], with: key)
      if round % 100 == 0 { #expect(isValid(signature, [UInt8(truncatingIfNeeded: round)], by: publicKey)) }
    }
    // The block in hand was three quarters used twice: fetched ahead, each time with two commands.
    #expect(bench.fixture.counts == [Command.sign: rounds, Command.increment: 2, Command.nvRead: 2])
    await bench.store.stop()
  }

  @Test func aColdAssertionLoadsAndFlushesOne() async throws {
    let bench = try await Bench.start()
    let keys = [try await bench.key("a").key, try await bench.key("b").key, try await bench.key("c").key]
    bench.fixture.resetCounts()
    _ = try await bench.sign(with: keys[0])
    #expect(bench.fixture.counts == Budget.cold)
    _ = try await bench.sign(with: keys[1])
    #expect(bench.fixture.counts == [Command.load: 2, Command.sign: 2])
    // swtpm has three slots: one for the storage root key, two for keys.
    _ = try await bench.sign(with: keys[2])
    #expect(bench.fixture.counts == [Command.load: 3, Command.sign: 3, Command.flush: 1])
    // The two used last are hot.
    _ = try await bench.sign(with: keys[1])
    _ = try await bench.sign(with: keys[2])
    #expect(bench.fixture.counts == [Command.load: 3, Command.sign: 5, Command.flush: 1])
    await bench.store.stop()
  }

  /// Each PIN attempt costs one write before it and one after it, each of one command.
  @Test func theRetryRecordIsOneCommand() async throws {
    let bench = try await Bench.start()
    for round in 1...20 {
      bench.fixture.resetCounts()
      try await bench.save(1, UInt8(round))
      #expect(bench.fixture.counts == [Command.nvWrite: 1])
      bench.fixture.resetCounts()
      #expect(try await bench.read() == RetryRecord(generation: 1, failures: UInt8(round)))
      #expect(bench.fixture.counts == [Command.nvRead: 1])
    }
    bench.fixture.resetCounts()
    #expect(bench.store.secret === bench.secret)
    #expect(bench.fixture.counts.isEmpty)
    await bench.store.stop()
  }

  /// A new connection looks at the index once.
  @Test func aNewConnectionLooksAtTheRetryRecordOnce() async throws {
    let bench = try await Bench.start()
    let (key, _) = try await bench.key()
    bench.fixture.hangUp()
    _ = try await bench.sign(with: key)
    bench.fixture.resetCounts()
    try await bench.save(1)
    #expect(bench.fixture.counts[Command.nvWrite] == 1 && bench.fixture.commands.count <= 4)
    bench.fixture.resetCounts()
    _ = try await bench.read()
    #expect(bench.fixture.counts == [Command.nvRead: 1])
    await bench.store.stop()
  }
}
