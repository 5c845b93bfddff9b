import Authenticator
import Crypto
import Glibc
import Policy
import TPM
import TestSupport
import Testing
import WebAuthn

@testable import TPMKeyStore

@Suite struct LeakTests {
  private static let kinds: [UInt32] = [0x8000_0000, 0x0200_0000, 0x0300_0000, 0x8100_0000, 0x0100_0000]

  private enum Action: String, CaseIterable {
    case register, signWithAWrongAuthorization, cancel, makeDeviceSecret, evict, count, retries, inject,
      breakConnection, sign

    /// Of 1,000 operations.
    var share: Int {
      switch self {
      case .register: 20
      case .signWithAWrongAuthorization: 100
      case .cancel: 20
      case .makeDeviceSecret: 10
      case .evict: 10
      case .count: 100
      case .retries: 50
      case .inject: 40
      case .breakConnection: 2
      case .sign: 648
      }
    }
  }

  private static let injected: [UInt32] = [
    0x84, Response.referenceH0, Response.objectMemory, Response.sessionMemory, Response.badAuthorization,
    Response.initialize, Response.lockout, Response.retry, Response.failure,
  ]

  private struct Tally {
    var tried = 0
    var done = 0
    var errors: [String: Int] = [:]
  }

  private func held(by fixture: SoftwareTPMFixture) throws -> [[UInt32]] {
    var context = try TPMContext(tcti: fixture.tcti)
    var found: [[UInt32]] = []
    for kind in Self.kinds { found.append(try context.handles(from: kind)) }
    return found
  }

  /// 10,000 operations of every kind (1,500 with COUNTERSIGN_TESTS=short), errors included: the TPM holds what it held.
  @Test func theTPMHoldsWhatItHeld() async throws {
    var random = SeededGenerator()
    print("seed \(random.seed)")
    let isShort = getenv("COUNTERSIGN_TESTS").map { String(cString: $0) } == "short"
    let operations = isShort ? 1500 : 10_000
    let bench = try await Bench.start()
    let before = try held(by: bench.fixture)
    #expect(before[0].isEmpty && before[1].isEmpty && before[2].isEmpty)
    var keys = [try await bench.key("a").key, try await bench.key("b").key, try await bench.key("c").key]
    var tallies: [Action: Tally] = [:]
    for operation in 0..<operations {
      var action = Action.sign
      var drawn = Int.random(in: 0..<1000, using: &random)
      for candidate in Action.allCases {
        if drawn < candidate.share {
          action = candidate
          break
        }
        drawn -= candidate.share
      }
      var tally = tallies[action] ?? Tally()
      do {
        try await perform(action, tally.tried, operation, bench, &keys, &random)
        tally.done += 1
      } catch KeyStoreError.unavailable {
        tally.errors["unavailable", default: 0] += 1
        try await eventually { try await !bench.sign(with: keys[0]).isEmpty }
      } catch {
        tally.errors[error as? KeyStoreError == .cancelled ? "cancelled" : "failed", default: 0] += 1
      }
      tally.tried += 1
      tallies[action] = tally
    }
    for (action, tally) in tallies { print(action, tally.tried, tally.done, tally.errors) }
    check(tallies, operations: operations)
    let given = bench.fixture.givenAnswers
    for code in Self.injected { #expect((given[code] ?? 0) > 0, "\(String(code, radix: 16)) was never given") }
    bench.fixture.forgetAnswers()
    try await eventually { try await !bench.sign(with: keys[0]).isEmpty }
    await bench.store.stop()
    #expect(try held(by: bench.fixture) == before)
  }

  /// Nothing leaks where nothing works.
  private func check(_ tallies: [Action: Tally], operations: Int) {
    for action in Action.allCases {
      let tally = tallies[action] ?? Tally()
      // Half of those drawn on average, less what chance may do to rare ones.
      #expect(tally.tried >= max(operations * action.share / 2000 - 4, 0), "\(action)")
      switch action {
      case .signWithAWrongAuthorization:
        #expect(tally.done == 0)
        #expect((tally.errors["failed"] ?? 0) >= tally.tried * 3 / 4, "\(action): \(tally)")
      case .cancel: #expect(tally.done + (tally.errors["cancelled"] ?? 0) >= tally.tried * 3 / 4, "\(tally)")
      // Some of the errors are for the index alone.
      case .retries: #expect(tally.done >= tally.tried / 2, "\(action): \(tally)")
      // These take several commands each, and few of them meet all the errors at those.
      case .register, .makeDeviceSecret: #expect(tally.done >= max(tally.tried / 4, 1), "\(action): \(tally)")
      default: #expect(tally.done >= tally.tried * 3 / 4, "\(action): \(tally)")
      }
    }
  }

  // `number`: how many of this kind came before.
  private func perform(
    _ action: Action, _ number: Int, _ operation: Int, _ bench: Bench, _ keys: inout [CredentialKey],
    _ random: inout SeededGenerator
  ) async throws {
    let key = keys[Int.random(in: 0..<keys.count, using: &random)]
    switch action {
    case .register:
      keys[Int.random(in: 0..<keys.count, using: &random)] = try await bench.key("key \(operation)").key
    case .signWithAWrongAuthorization:
      let thief = CredentialKey(algorithm: .es256, binding: binding("thief"), blob: key.blob)
      _ = try await bench.sign(with: thief)
    case .cancel:
      let task = Task { try await bench.sign(with: key) }
      task.cancel()
      _ = try await task.value
    case .makeDeviceSecret:
      _ = try await bench.store.makeDeviceSecret(caller: caller(1), presence: presence(.reset))
    case .evict: await bench.store.evict([key.binding])
    case .count: _ = try await bench.store.nextSignatureCounter(caller: caller(1))
    case .retries:
      try await bench.save(UInt64(operation))
      #expect(try await bench.read() == RetryRecord(generation: UInt64(operation)))
    case .inject:
      // Each error in turn, first at TPM2_Sign, which comes soonest.
      let commands = [
        Command.sign, Command.load, Command.create, Command.startSession, Command.nvWrite, Command.nvRead,
        Command.flush,
      ]
      let code = Self.injected[number % Self.injected.count]
      bench.fixture.answer(commands[number / Self.injected.count % commands.count], with: [code])
    case .breakConnection: bench.fixture.hangUp(afterwards: operation.isMultiple(of: 2))
    case .sign:
      let message = withUnsafeBytes(of: operation) { Array($0) }
      #expect(try await !bench.sign(message, with: key).isEmpty)
    }
  }
}
