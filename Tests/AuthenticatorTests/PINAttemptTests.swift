import AuditLog
import Authenticator
import CBOR
import CTAP
import Policy
import TestSupport
import Testing

/// How attempts are counted, and what brings the PIN to a stop (CTAP 2.1 sections 6.5.2.2 and 6.5.5.6).
@Suite struct PINAttemptTests {
  private let users: [UInt32] = [1000, 1001, 1002, 1003]

  private func platform(_ harness: Harness, _ connection: UInt64, user: UInt32 = 1000) -> PINPlatform {
    PINPlatform(harness, Harness.caller(connection: connection, user: user))
  }

  @Test func eightWrongOnesOverRestartsBlockThePIN() async throws {
    var harness = try await Harness.withPIN()
    for day in 0..<2 {
      let platform = PINPlatform(harness)
      #expect(try await platform.attempt("0000") == Status.pinInvalid)
      #expect(try await platform.attempt("0000") == Status.pinInvalid)
      #expect(try await platform.attempt("0000") == Status.pinAuthBlocked)
      #expect(try await platform.retries() == Int64(5 - 3 * day))
      harness = try harness.restarted()
    }
    #expect(
      try await PINPlatform(harness).changePIN("0000", "5678") == Status.pinInvalid, "one count for both")
    #expect(try await PINPlatform(harness).attempt("0000") == Status.pinBlocked, "the eighth")
    for _ in 0..<2 {
      let platform = PINPlatform(harness)
      #expect(try await platform.retries() == 0)
      #expect(try await platform.attempt("1234") == Status.pinBlocked)
      #expect(try await platform.changePIN("1234", "5678") == Status.pinBlocked)
      #expect(try await platform.setPIN("5678") == Status.pinAuthInvalid)
      harness = try harness.restarted()
    }
    #expect(await harness.keys.retries.failures == 8, "what is blocked is not counted")

    #expect(try await harness.send(7).status == Status.ok, "only a reset helps")
    #expect(try await PINPlatform(harness).setPIN("5678") == Status.ok)
    #expect(try await PINPlatform(harness).retries() == 8)
  }

  @Test func threeInARowOfOneUserBlockThatUser() async throws {
    let harness = try await Harness.withPIN(users: users)
    let mallory = platform(harness, 2, user: 1001)
    for expected in [Status.pinInvalid, Status.pinInvalid, Status.pinAuthBlocked] {
      #expect(try await mallory.attempt("0000") == expected)
    }
    let writes = await harness.keys.retryWrites
    let again = platform(harness, 3, user: 1001)
    #expect(try await again.attempt("0000") == Status.pinAuthBlocked, "a new connection is no power cycle")
    #expect(try await again.attempt("1234") == Status.pinAuthBlocked, "not even the right one")
    #expect(try await again.changePIN("1234", "5678") == Status.pinAuthBlocked)
    #expect(await harness.keys.retryWrites == writes, "what is blocked is not counted")
    let (status, body) = try await again.send(again.request(1))
    #expect(status == Status.ok && body[3] == 5 && body[4] == true)

    let alice = PINPlatform(harness)
    #expect(try await alice.send(alice.request(1)).body[4] == false, "others need no power cycle")
    #expect(try await alice.attempt("1234") == Status.ok)
    #expect(
      try await mallory.attempt("1234") == Status.pinAuthBlocked, "by another user, it is nobody else's")
    #expect(try await platform(try harness.restarted(), 2, user: 1001).attempt("1234") == Status.ok)
  }

  @Test func aRightPINEndsARow() async throws {
    let harness = try await Harness.withPIN(users: users)
    let alice = PINPlatform(harness)
    for _ in 0..<4 {
      #expect(try await alice.attempt("0000") == Status.pinInvalid)
      #expect(try await alice.attempt("0000") == Status.pinInvalid)
      #expect(try await alice.attempt("1234") == Status.ok)
      #expect(try await alice.retries() == 8)
    }
  }

  @Test func fiveInARowOfAllUsersBlockEveryone() async throws {
    let harness = try await Harness.withPIN(users: users)
    for user in [1000, 1001, 1000, 1001] as [UInt32] {
      #expect(try await platform(harness, UInt64(user), user: user).attempt("0000") == Status.pinInvalid)
    }
    #expect(try await platform(harness, 2, user: 1002).attempt("0000") == Status.pinAuthBlocked)
    for user in users {
      let blocked = platform(harness, UInt64(user), user: user)
      #expect(try await blocked.attempt("1234") == Status.pinAuthBlocked)
      #expect(try await blocked.retries() == 3, "three are left for the operator")
    }
    #expect(try await PINPlatform(try harness.restarted()).attempt("1234") == Status.ok)
  }

  @Test func aResetEndsEveryRow() async throws {
    let harness = try await Harness.withPIN()
    let alice = PINPlatform(harness)
    for _ in 0..<3 { _ = try await alice.attempt("0000") }
    #expect(try await harness.send(7).status == Status.ok)
    #expect(try await alice.setPIN("5678") == Status.ok)
    #expect(try await alice.attempt("5678") == Status.ok)
  }

  @Test func reloadingTheRulesIsNoPowerCycle() async throws {
    let harness = try await Harness.withPIN()
    let alice = PINPlatform(harness)
    for _ in 0..<3 { _ = try await alice.attempt("0000") }
    await harness.engine.replaceJudge(try RuleBook([try Harness.anything()]))
    await harness.engine.close(Harness.alice)
    #expect(try await alice.attempt("1234") == Status.pinAuthBlocked)
  }

  @Test func anAttemptThatCannotBeCountedIsNotMade() async throws {
    let harness = try await Harness.withPIN()
    let alice = PINPlatform(harness)
    let exchange = try await alice.exchange()
    for pin in ["1234", "0000"] {
      harness.keys.faults.fail(at: 1)
      let request = try alice.asking(pin, .authenticatorConfiguration, nil, exchange)
      #expect(try await alice.status(request) == Status.tpmUnavailable, "\(pin) was compared")
      harness.keys.faults.fail(at: nil)
    }
    #expect(await harness.keys.retries.failures == 0)
    #expect(try await alice.status(try alice.asking("1234", .authenticatorConfiguration, nil, exchange)) == Status.ok)
  }

  @Test func anAttemptWhoseCountingIsInDoubtIsCounted() async throws {
    let harness = try await Harness.withPIN()
    let alice = PINPlatform(harness)
    for _ in 0..<2 {
      harness.keys.lateFaults.fail(at: 1)
      #expect(try await alice.attempt("1234") == Status.tpmUnavailable)
      harness.keys.lateFaults.fail(at: nil)
    }
    #expect(await harness.keys.retries.failures == 2)
    #expect(try await alice.retries() == 6)
    #expect(try await PINPlatform(try harness.restarted()).retries() == 6)
  }

  @Test func attemptsOfTwoChannelsAreBothCounted() async throws {
    let harness = try await Harness.withPIN(users: users)
    let one = platform(harness, 2, user: 1000)
    let other = platform(harness, 3, user: 1001)
    let first = try one.asking("0000", .authenticatorConfiguration, nil, try await one.exchange())
    let second = try other.asking("0001", .authenticatorConfiguration, nil, try await other.exchange())
    await harness.keys.holdSaves()
    async let a = one.status(first)
    await harness.keys.arrival()
    async let b = other.status(second)
    // Others are served meanwhile; the second attempt has come as far as it may by then.
    for _ in 0..<100 { #expect(try await harness.send(4).status == Status.ok) }
    #expect(await harness.keys.retries.failures == 0)
    await harness.keys.letGo()
    #expect(try await [a, b] == [Status.pinInvalid, Status.pinInvalid])
    #expect(await harness.keys.retries.failures == 2)
    #expect(try await one.retries() == 6)
  }

  // MARK: How often the TPM's memory is written

  @Test func onlyWrongPINsWearTheTPM() async throws {
    let harness = try await Harness.withPIN(users: users)
    let alice = PINPlatform(harness)
    #expect(try await alice.attempt("1234") == Status.ok)
    let settled = await harness.keys.retryWrites
    for _ in 0..<20 { #expect(try await alice.attempt("1234") == Status.ok) }
    #expect(await harness.keys.retryWrites == settled, "right PINs cost nothing once one has been right")

    #expect(try await alice.attempt("0000") == Status.pinInvalid)
    #expect(await harness.keys.retryWrites == settled, "the first wrong one was paid for before")
    #expect(try await alice.retries() == 7)
    #expect(try await alice.attempt("0000") == Status.pinInvalid)
    #expect(await harness.keys.retryWrites == settled + 1)
    #expect(try await platform(harness, 2, user: 1001).attempt("0000") == Status.pinInvalid)
    #expect(await harness.keys.retryWrites == settled + 2)
    #expect(await harness.keys.retries.failures == 3)
    #expect(try await alice.retries() == 5)
  }

  @Test func settlingGivesThePaidAttemptBack() async throws {
    let harness = try await Harness.withPIN()
    #expect(try await PINPlatform(harness).attempt("1234") == Status.ok)
    #expect(await harness.keys.retries.failures == 1)
    let killed = try harness.restarted()
    #expect(try await PINPlatform(killed).retries() == 7, "a crash costs the attempt")
    #expect(try await PINPlatform(killed).attempt("1234") == Status.ok)
    #expect(try await PINPlatform(killed).retries() == 8)

    await killed.engine.settle()
    #expect(await killed.keys.retries.failures == 0)
    #expect(try await PINPlatform(try killed.restarted()).retries() == 8)
    let writes = await killed.keys.retryWrites
    await killed.engine.settle()
    #expect(await killed.keys.retryWrites == writes, "once is enough")
  }

  @Test func settlingForgivesNoWrongAttempt() async throws {
    let harness = try await Harness.withPIN()
    #expect(try await PINPlatform(harness).attempt("1234") == Status.ok)
    #expect(try await PINPlatform(harness).attempt("0000") == Status.pinInvalid)
    await harness.engine.settle()
    #expect(try await PINPlatform(try harness.restarted()).retries() == 7)
  }

  @Test func settlingThatFailsLeavesTheAttemptCounted() async throws {
    let harness = try await Harness.withPIN()
    #expect(try await PINPlatform(harness).attempt("1234") == Status.ok)
    harness.keys.faults.fail(at: 1)
    await harness.engine.settle()
    harness.keys.faults.fail(at: nil)
    #expect(await harness.keys.retries.failures == 1)
    #expect(try await PINPlatform(harness).attempt("1234") == Status.ok)
  }

  @Test func preparingReadsWhatNoRequestWaitsForThen() async throws {
    let harness = try await Harness.withPIN().restarted()
    harness.keys.faults.fail(at: 1)
    await harness.engine.prepare()
    #expect(harness.keys.faults.calls == 1)
    harness.keys.faults.fail(at: nil)
    await harness.engine.prepare()
    #expect(harness.keys.faults.calls == 1, "a failure is no answer")
    #expect(try await PINPlatform(harness).retries() == 8)
    #expect(harness.keys.faults.calls == 1)
  }

  // MARK: Restored files

  @Test func restoredSettingsBlockThePIN() async throws {
    let harness = try await Harness.withPIN()
    let old = try await harness.store.settings()
    #expect(try await PINPlatform(harness).changePIN("1234", "5678") == Status.ok)
    await harness.store.restore(settings: old)
    try await expectBlocked(try harness.restarted())
  }

  @Test func removedSettingsBlockThePIN() async throws {
    let harness = try await Harness.withPIN()
    await harness.store.restore(settings: nil)
    try await expectBlocked(try harness.restarted())
  }

  @Test func settingsFromBeforeThePINBlockIt() async throws {
    let harness = try Harness(rules: [try Harness.anything()])
    #expect(try await harness.send(0x0d, [1: 2]).status == Status.ok)
    #expect(try await harness.send(0x0d, [1: 3]).status == Status.puatRequired, "always verified now")
    let old = try await harness.store.settings()
    #expect(try await PINPlatform(harness).setPIN() == Status.ok)
    await harness.store.restore(settings: old)
    try await expectBlocked(try harness.restarted())
  }

  @Test func noTokenMakesRestoredSettingsTheNewest() async throws {
    let harness = try Harness(rules: [try Harness.anything(verified: true)])
    #expect(try await PINPlatform(harness).setPIN() == Status.ok)
    let old = try await harness.store.settings()
    #expect(try await PINPlatform(harness).changePIN("1234", "5678") == Status.ok)
    await harness.store.restore(settings: old)
    let next = try harness.restarted()
    let platform = PINPlatform(next)
    let token = try #require(try await platform.verifiedToken(.authenticatorConfiguration).token)
    #expect(try await next.send(0x0d, token.config(2)).status == Status.pinBlocked)
    #expect(try await platform.attempt("1234") == Status.pinBlocked)
    #expect(try await next.store.settings() == old)
    #expect(try await platform.verifiedToken(.credentialManagement).status == Status.ok, "others are the rule's alone")
  }

  private func expectBlocked(_ harness: Harness) async throws {
    let alice = PINPlatform(harness)
    #expect(try await alice.retries() == 0)
    for pin in ["1234", "5678", "0000"] { #expect(try await alice.attempt(pin) == Status.pinBlocked) }
    #expect(try await alice.changePIN("1234", "4321") == Status.pinBlocked)
    #expect(try await alice.setPIN("4321") == Status.pinAuthInvalid)
    #expect(try await harness.send(4).body.map(4)["clientPin"] == true)
    // What the PIN protected is not open.
    #expect(try await harness.send(0x0d, [1: 3, 2: .map([1: 6])]).status != Status.ok)
    #expect(
      try await harness.send(0x0c, Harness.blobs(LargeBlobTests.empty, at: 0, of: 17)).status == Status.puatRequired)
    #expect(try await harness.send(1, Harness.creation().with([(7, .map(["rk": true]))])).status == Status.puatRequired)

    let administrator = Caller(
      connection: 9, user: 0, group: 0, process: nil, supplementaryGroups: [], unit: nil, isOperator: true)
    #expect(try await PINPlatform(harness, administrator).setPIN("9876") == Status.ok)
    #expect(try await alice.attempt("9876") == Status.ok)
    #expect(try await PINPlatform(try harness.restarted()).attempt("9876") == Status.ok)
  }

  @Test func aChangeThatWasInterruptedIsCompleted() async throws {
    let harness = try await Harness.withPIN()
    let alice = PINPlatform(harness)
    let request = try alice.changing("1234", to: padded("5678"), try await alice.exchange())
    // The first call counts the attempt, the second would end the change.
    harness.keys.faults.fail(at: 2)
    #expect(try await alice.status(request) == Status.tpmUnavailable)
    harness.keys.faults.fail(at: nil)
    #expect(await harness.keys.retries.generation == 1)

    let next = try harness.restarted()
    #expect(try await PINPlatform(next).attempt("1234") == Status.pinInvalid)
    #expect(await next.keys.retries.generation == 2)
    #expect(try await PINPlatform(next).attempt("5678") == Status.ok)
    #expect(try await PINPlatform(harness).attempt("5678") == Status.ok, "without a restart as well")
  }

  @Test func aChangeThatIsNotStoredLeavesTheOldPIN() async throws {
    let harness = try await Harness.withPIN()
    let alice = PINPlatform(harness)
    harness.store.faults.fail(at: 1)
    #expect(try await alice.changePIN("1234", "5678") == Status.storageUnavailable)
    harness.store.faults.fail(at: nil)
    harness.audit.faults.fail(at: 1)
    #expect(try await alice.changePIN("1234", "5678") == Status.auditUnavailable)
    harness.audit.faults.fail(at: nil)
    #expect(try await alice.attempt("5678") == Status.pinInvalid)
    #expect(try await alice.attempt("1234") == Status.ok)
  }
}
