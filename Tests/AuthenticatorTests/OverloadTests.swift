import AuditLog
import Authenticator
import CBOR
import CTAP
import Crypto
import Platform
import Policy
import TestSupport
import Testing
import WebAuthn

/// A request that is told to come again, before anything has been done for it, has lost nothing by it.
@Suite struct OverloadTests {
  private static func rule(_ operations: Set<Operation>, burst: Int = 1, verified: Bool = false) throws -> Rule {
    var terms = Terms()
    terms.rate = Rate(perMinute: 1, burst: burst)
    terms.userVerification = verified
    return Rule(
      name: "r", callers: [CallerPattern(user: 1000)],
      relyingParties: [try RelyingPartyPattern("*")], operations: operations, terms: terms)
  }

  /// One with credentials of `example.com`, registered in the minutes before, and the rate whole.
  private func harness(
    _ operations: Set<Operation> = [.register, .authenticate], burst: Int = 1, credentials: UInt8 = 1,
    verified: Bool = false
  ) async throws -> Harness {
    let harness = try Harness(rules: [try Self.rule(operations, burst: burst, verified: verified)])
    for user in 0..<credentials {
      try await harness.register(user: [user], discoverable: true)
      harness.time.advance(by: .seconds(60 * burst))
    }
    return harness
  }

  /// Asks while the TPM has too much to do, and then when it has not.
  private func refusedThenDone(
    _ harness: Harness, _ command: UInt8, _ parameters: CBORMap, from caller: Caller = Harness.alice
  ) async throws {
    harness.keys.isOverloaded.withLock { $0 = true }
    for _ in 0..<3 {
      #expect(try await harness.send(command, parameters, from: caller).status == Status.channelBusy)
    }
    harness.keys.isOverloaded.withLock { $0 = false }
    #expect(try await harness.send(command, parameters, from: caller).status == Status.ok)
  }

  @Test func itsRateIsWhole() async throws {
    let harness = try await harness()
    let before = harness.audit.records.count
    try await refusedThenDone(harness, 2, Harness.request())
    // No more than policy allows.
    #expect(try await harness.send(2, Harness.request()).status == Status.operationDenied)
    // Each is in the log.
    let records = harness.audit.records.dropFirst(before)
    #expect(records.map(\.outcome) == [.failed, .failed, .failed, .allowed, .refused])
    let refused = try #require(records.first)
    #expect(refused.operation == .authenticate && refused.rule == "r" && refused.relyingPartyID == "example.com")
    #expect(refused.result == "CTAP1_ERR_CHANNEL_BUSY" && refused.reason == "injected")
  }

  @Test func aRegistrationsToo() async throws {
    let harness = try await harness(credentials: 0)
    try await refusedThenDone(harness, 1, Harness.creation())
    #expect(try await harness.send(1, Harness.creation()).status == Status.operationDenied)
    #expect(harness.audit.records.map(\.outcome) == [.failed, .failed, .failed, .allowed, .refused])
    #expect(harness.audit.records.first?.rule == "r" && harness.audit.records.first?.operation == .register)
  }

  /// Who has no place among those who wait takes none by asking.
  @Test func whomPolicyRefusesIsNotAskedAbout() async throws {
    let harness = try await harness(credentials: 0)
    harness.keys.isOverloaded.withLock { $0 = true }
    let stranger = Harness.caller(connection: 2, user: 1001)
    for (command, parameters) in [(UInt8(1), Harness.creation()), (2, Harness.request())] {
      #expect(try await harness.send(command, parameters, from: stranger).status == Status.operationDenied)
    }
    #expect(harness.keys.waitChecks.withLock { $0 } == 0)
  }

  @Test func itsGrantHasAllItsSignatures() async throws {
    let harness = try await harness(burst: 10)
    let grant = Grant(id: "0123", rule: "r", user: 1000)
    let operatorCaller = Caller(
      connection: 99, user: 0, group: 0, process: nil, supplementaryGroups: [], unit: nil, isOperator: true)
    try await harness.engine.begin(
      grant, AuditRecord.GrantTerms(user: 1000, end: .max), until: .max, operations: 1, for: operatorCaller)
    let job = Caller(
      connection: 2, user: 1000, group: 1000, process: 1, supplementaryGroups: [], unit: nil, grant: grant)
    try await refusedThenDone(harness, 2, Harness.request(), from: job)
    #expect(await harness.engine.operationsLeft(of: grant) == 0)
    #expect(try await harness.send(2, Harness.request(), from: job).status == Status.operationDenied)
  }

  @Test func itsTokenIsNotUsedUp() async throws {
    let harness = try await harness(burst: 10, credentials: 0, verified: true)
    let id = try await harness.register()
    let token = try #require(
      try await PINPlatform(harness).verifiedToken([.makeCredential, .getAssertion], "example.com").token)
    harness.keys.isOverloaded.withLock { $0 = true }
    #expect(try await harness.send(1, token.creation()).status == Status.channelBusy)
    harness.keys.isOverloaded.withLock { $0 = false }
    try await refusedThenDone(harness, 2, token.assertion(allow: [id]))
    #expect(try await harness.send(2, token.assertion(allow: [id])).status == Status.pinAuthInvalid)
  }

  /// CTAP1_ERR_CHANNEL_BUSY asks the client to come again: there must be something to come to.
  @Test func aWalkGoesOnAfterIt() async throws {
    let harness = try await harness(burst: 2, credentials: 2)
    #expect(try await harness.send(2, Harness.request()).body[5] == 2)
    harness.keys.isOverloaded.withLock { $0 = true }
    for _ in 0..<3 { #expect(try await harness.send(8).status == Status.channelBusy) }
    harness.keys.isOverloaded.withLock { $0 = false }
    #expect(try await harness.send(8).status == Status.ok)
    #expect(try await harness.send(8).status == Status.notAllowed)
  }

  @Test func u2fToo() async throws {
    let harness = try await harness(burst: 2, credentials: 0)
    let application = SHA256.hash(Array("example.com".utf8))
    let challenge = [UInt8](repeating: 1, count: 32)
    func send(_ request: U2FRequest) async -> [UInt8] {
      await harness.engine.respond(toU2F: request.encoded(), from: Harness.alice)
    }
    func refusedThenDone(_ request: U2FRequest) async throws -> U2FResponse {
      harness.keys.isOverloaded.withLock { $0 = true }
      for _ in 0..<3 { #expect(await send(request) == [0x6f, 0x00]) }
      harness.keys.isOverloaded.withLock { $0 = false }
      return try U2FResponse.decode(await send(request), to: request)
    }
    // Two signatures, one for the certificate.
    guard
      case .registration(let made) = try await refusedThenDone(
        .register(challenge: challenge, application: application))
    else { throw HarnessError.malformed }
    harness.time.advance(by: .seconds(60))
    guard
      case .authentication = try await refusedThenDone(
        .authenticate(
          control: .enforceUserPresence, challenge: challenge, application: application, keyHandle: made.keyHandle))
    else { throw HarnessError.malformed }
    #expect(
      harness.audit.records.map(\.outcome)
        == [.failed, .failed, .failed, .allowed, .allowed, .failed, .failed, .failed, .allowed])
  }

  /// Who may not is told that, and not to come again.
  @Test func policyHasTheFirstWord() async throws {
    let harness = try await harness()
    #expect(try await harness.send(2, Harness.request()).status == Status.ok)
    harness.keys.isOverloaded.withLock { $0 = true }
    #expect(try await harness.send(2, Harness.request()).status == Status.operationDenied)
    let stranger = Harness.caller(connection: 3, user: 1001)
    for (command, parameters) in [(1, Harness.creation()), (2, Harness.request())] as [(UInt8, CBORMap)] {
      #expect(try await harness.send(command, parameters, from: stranger).status == Status.operationDenied)
    }
    #expect(harness.audit.records.suffix(3).allSatisfy { $0.outcome == .refused })
  }
}
