import CBOR
import CTAP
import Policy
import TestSupport
import Testing
import WebAuthn

@testable import Authenticator

/// What others do while the PIN's state changes, or after a change that failed half way.
@Suite struct PINRaceTests {
  private let mallory = Harness.caller(connection: 2, user: 1001)
  /// Whom no rule names.
  private let stranger = Harness.caller(connection: 3, user: 4000)

  private func harness() async throws -> Harness { try await Harness.withPIN(users: [1000, 1001]) }

  /// Returns once so many wait. The limit is for those who never come.
  private func waiting(_ count: Int, _ now: () async -> Int) async throws {
    let clock = ContinuousClock()
    let end = clock.now + .seconds(60)
    while await now() != count {
      try #require(clock.now < end, "\(count) should wait")
      await Task.yield()
    }
  }

  /// Has the new PIN stored, but not the generation in the TPM.
  private func interruptChange(_ harness: Harness) async throws {
    let alice = PINPlatform(harness)
    let request = try alice.changing("1234", to: padded("5678"), try await alice.exchange())
    #expect(try await alice.attempt("1234") == Status.ok, "the attempt is paid for")
    harness.keys.faults.fail(at: 1)
    #expect(try await alice.status(request) == Status.tpmUnavailable)
    harness.keys.faults.fail(at: nil)
  }

  @Test func noLateReaderWindsAttemptsBack() async throws {
    let harness = try await harness()
    try await interruptChange(harness)
    let before = await harness.keys.retries.failures
    // The stranger's reading completes the change, and waits for its turn at the TPM while others have theirs.
    await harness.keys.holdNextSave()
    async let information = harness.send(4, from: stranger)
    await harness.keys.arrival()
    let guesser = PINPlatform(harness, mallory)
    let guesses = Task { [try await guesser.attempt("0000"), try await guesser.attempt("0001")] }
    try await waiting(1) { await harness.engine.waitingForState }
    await harness.keys.letGo()
    #expect(try await guesses.value == [Status.pinInvalid, Status.pinInvalid])
    #expect(try await information.status == Status.ok)
    #expect(await harness.keys.retries.failures == before + 2)
  }

  @Test func oneReaderCompletesAChangeForAll() async throws {
    let harness = try await harness()
    try await interruptChange(harness)
    let writes = await harness.keys.retryWrites
    await harness.keys.holdSaves()
    let readers = (10..<30).map { connection in
      Task { try await harness.send(4, from: Harness.caller(connection: connection, user: 4000)).status }
    }
    await harness.keys.arrival()
    try await waiting(19) { await harness.engine.waitingForState }
    await harness.keys.letGo()
    for reader in readers { #expect(try await reader.value == Status.ok) }
    #expect(await harness.keys.retryWrites == writes + 1, "each write wears the TPM's memory")
  }

  @Test func readersDuringAChangeWriteNothing() async throws {
    let harness = try await harness()
    let alice = PINPlatform(harness)
    #expect(try await alice.attempt("1234") == Status.ok, "the attempt is paid for")
    let request = try alice.changing("1234", to: padded("5678"), try await alice.exchange())
    let writes = await harness.keys.retryWrites
    await harness.keys.holdNextSave()
    async let changed = alice.status(request)
    await harness.keys.arrival()
    for _ in 0..<20 { #expect(try await harness.send(4, from: stranger).status == Status.ok) }
    #expect(await harness.keys.retryWrites == writes)
    await harness.keys.letGo()
    #expect(try await changed == Status.ok)
    #expect(await harness.keys.retryWrites == writes + 1)
  }

  @Test func whoHasGoneWaitsForNoTurn() async throws {
    let harness = try await harness()
    let guesser = PINPlatform(harness, mallory)
    let alice = PINPlatform(harness)
    let right = try alice.asking("1234", .authenticatorConfiguration, nil, try await alice.exchange())
    let wrong = try guesser.asking("0000", .authenticatorConfiguration, nil, try await guesser.exchange())
    await harness.keys.holdNextSave()
    async let first = alice.status(right)
    await harness.keys.arrival()
    let gone = Task { try await guesser.status(wrong) }
    try await waiting(1) { await harness.engine.waitingForTurn }
    gone.cancel()
    #expect(try await gone.value == Status.keepaliveCancel, "while the turn of another lasts")
    await harness.keys.letGo()
    #expect(try await first == Status.ok)
    #expect(try await alice.retries() == 8, "what was not tried is not counted")
    #expect(try await guesser.attempt("1234") == Status.ok, "and the next turn comes")
  }

  // MARK: What the old PIN verified

  @Test func tokensEndThoughTheChangeIsInDoubt() async throws {
    let harness = try await harness()
    let token = try await PINPlatform(harness, mallory).token(.authenticatorConfiguration)
    try await interruptChange(harness)
    #expect(try await harness.send(0x0d, token.config(2), from: mallory).status == Status.pinAuthInvalid)
    #expect(try await PINPlatform(harness).attempt("5678") == Status.ok, "the new PIN is in force")
  }

  @Test func walksEndWithThePIN() async throws {
    let harness = try await harness()
    for user in [1, 2, 3] as [UInt8] {
      let token = try await PINPlatform(harness).token(.makeCredential, "example.com")
      let request = token.creation(user: [user], [(7, .map(["rk": true]))])
      try #require(try await harness.send(1, request).status == Status.ok)
    }
    let token = try await PINPlatform(harness, mallory).token(.getAssertion, "example.com")
    #expect(try await harness.send(2, token.assertion(), from: mallory).body[5] == 3)
    #expect(try await harness.send(8, from: mallory).body.authenticatorData().flags.contains(.uv))
    #expect(try await PINPlatform(harness).changePIN("1234", "5678") == Status.ok)
    #expect(try await harness.send(8, from: mallory).status == Status.notAllowed)

  }
}

extension AuthenticatorEngine {
  fileprivate var waitingForState: Int { pinReading.waitingCount }
  fileprivate var waitingForTurn: Int { turnstile.waitingCount }
}
