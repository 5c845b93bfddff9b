import Authenticator
import Policy
import TestSupport
import Testing
import WebAuthn

@testable import TPMKeyStore

/// On chips a command costs 20 to 200 ms, so their number is the cost (DESIGN.md, "What the TPM costs").
@Suite struct CommandCountTests {
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
    #expect(bench.fixture.counts == [Command.load: 1, Command.sign: 1])
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

  @Test func registrationIsThreeCommandsAndRefusalsAreNone() async throws {
    let bench = try await Bench.start()
    bench.fixture.resetCounts()
    _ = try await bench.key()
    #expect(bench.fixture.counts == [Command.startSession: 1, Command.create: 1, Command.flush: 1])
    bench.fixture.resetCounts()
    _ = bench.store.algorithms
    _ = bench.store.status
    await #expect(throws: KeyStoreError.self) {
      try await bench.store.createKey(
        .es256, binding: binding("x"), caller: caller(1), presence: presence(.register, relyingParty: "example.org"))
    }
    #expect(bench.fixture.counts.isEmpty)
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
