import AuditLog
import Authenticator
import CBOR
import Policy
import TestSupport
import Testing

/// What a rule says besides yes, as the authenticator keeps it.
struct RuleTermsTests {
  private func rule(
    _ name: String, accounts: [AccountPattern] = [], _ change: (inout Terms) -> Void = { _ in }
  ) throws -> Rule {
    var terms = Terms()
    change(&terms)
    return Rule(
      name: name, callers: [CallerPattern(user: 1000)], relyingParties: [try RelyingPartyPattern("example.com")],
      operations: [.register, .authenticate], accounts: accounts, terms: terms)
  }

  private func register(_ harness: Harness, user: UInt8, from connection: UInt64 = 1, rk: Bool = true, uv: Bool = false)
    async throws
    -> UInt8
  {
    var request = Harness.creation("example.com", user: [user])
    if rk { request[0x07] = .map(["rk": true]) }
    if uv { request[0x07] = .map(["rk": true, "uv": true]) }
    return try await harness.send(0x01, request, from: Harness.caller(connection: connection)).status
  }

  /// Several at once do not all see the last place free.
  @Test func theMaximumHoldsForRegistrationsAtOnce() async throws {
    let harness = try Harness(rules: [try rule("r") { $0.maximumRegistrations = 3 }])
    let statuses = try await withThrowingTaskGroup(of: UInt8.self) { group in
      for number in 1...12 as ClosedRange<UInt8> {
        group.addTask { try await register(harness, user: number, from: UInt64(number), rk: number % 2 == 0) }
      }
      return try await group.reduce(into: [UInt8]()) { $0.append($1) }
    }
    // Nor do all see it taken.
    #expect((1...3).contains(statuses.count { $0 == 0 }))
    while try await register(harness, user: 99) == 0 {}
    #expect(try await harness.store.count() == 3)
    let last = harness.audit.records.last
    #expect(last?.outcome == .failed && last?.reason?.contains("allows 3 credentials") == true)
  }

  @Test func oneOfSeveralAtOnceGetsTheLastPlace() async throws {
    var terms = Terms()
    terms.maximumRegistrations = 1
    let rule = Rule(
      name: "r", callers: [CallerPattern(user: 1000)], relyingParties: [try RelyingPartyPattern("*")],
      operations: [.register], terms: terms)
    let harness = try Harness(rules: [rule])
    for round in 0..<100 {
      let made = try await withThrowingTaskGroup(of: UInt8.self) { group in
        for number in 1...4 as ClosedRange<UInt8> {
          group.addTask {
            let request = Harness.creation("r\(round).example.com", user: [number])
            return try await harness.send(0x01, request, from: Harness.caller(connection: UInt64(number))).status
          }
        }
        return try await group.reduce(into: 0) { $0 += $1 == 0 ? 1 : 0 }
      }
      #expect(made == 1)
    }
  }

  /// Two accounts under two rules, of which one verifies.
  @Test func theAccountSaysWhoVerifies() async throws {
    let harness = try Harness(rules: [
      try rule("every"), try rule("trusted", accounts: [.userHandle([7])]) { $0.userVerification = true },
    ])
    // A rule that verifies this account only does not bar the way to the others.
    #expect(try await register(harness, user: 8) == 0)
    #expect(try await register(harness, user: 7) == 0x36)
    #expect(try await register(harness, user: 7, uv: true) == 0)
    #expect(try await register(harness, user: 8, uv: true) == 0x27)
    // Verified, only the account of the rule that verifies is left.
    let request: CBORMap = [
      1: .text("example.com"), 2: .bytes([UInt8](repeating: 1, count: 32)), 5: .map([.text("uv"): .boolean(true)]),
    ]
    let answer = try await harness.send(0x02, request)
    #expect(answer.status == 0)
    #expect(answer.body[5] == nil)
    guard case .bytes(let data)? = answer.body[2], case .map(let user)? = answer.body[4] else {
      Issue.record("no assertion")
      return
    }
    #expect(data[32] == 0x05 && user[.text("id")] == .bytes([7]))
    // Not verified, both are there, the newest first.
    let plain = try await harness.send(0x02, [1: .text("example.com"), 2: .bytes([UInt8](repeating: 1, count: 32))])
    #expect(plain.body[5] == .unsigned(2))
    let next = try await harness.send(0x08)
    #expect(next.status == 0)
    #expect(harness.audit.records.suffix(2).map(\.rule) == ["trusted", "every"])
  }

  /// The user handle says which credential makes way: its account is asked about too.
  @Test func nobodyReplacesTheCredentialOfAnotherAccount() async throws {
    let mine = try rule("mine", accounts: [.userName("runner")])
    let harness = try Harness(rules: [try rule("every")])
    var others = Harness.creation("example.com", user: [7]).with([(7, .map(["rk": true]))])
    others[3] = .map(["id": .bytes([7]), "name": "deployer", "displayName": "The deployer"])
    #expect(try await harness.send(0x01, others).status == 0)
    let before = try #require(await harness.store.credentials.first)
    await harness.engine.replaceJudge(try RuleBook([mine]))
    #expect(try await register(harness, user: 7) == Status.operationDenied)
    #expect(await harness.store.credentials == [before])
    let refusal = try #require(harness.audit.records.last)
    #expect(refusal.outcome == .failed && refusal.reason?.contains("another account") == true)
    // One that does not make way is nobody's business.
    #expect(try await register(harness, user: 7, rk: false) == 0)

    await harness.engine.replaceJudge(try RuleBook([try rule("every")]))
    #expect(try await register(harness, user: 7) == 0)
    #expect(await harness.store.credentials.contains { $0.id == before.id } == false)
    #expect(harness.audit.records.last?.detail == "replaces \(before.id.hex)")
  }

  /// Where each account has to be looked at, nobody looks for who has gone.
  @Test func aWalkEndsWithItsCaller() async throws {
    let harness = try Harness(rules: [
      try rule("every"), try rule("trusted", accounts: [.userHandle([7])]) { $0.userVerification = true },
    ])
    for user in 8...48 as ClosedRange<UInt8> { #expect(try await register(harness, user: user) == 0) }
    let request: CBORMap = [1: .text("example.com"), 2: .bytes([UInt8](repeating: 1, count: 32))]
    harness.store.faults.fail(at: nil)
    let gone = Task { () async throws -> UInt8 in
      withUnsafeCurrentTask { $0?.cancel() }
      return try await harness.send(0x02, request).status
    }
    #expect(try await gone.value == Status.keepaliveCancel)
    #expect(harness.store.faults.calls < 5)
  }

  /// Whichever of its terms refuses, the record and the count are of the rule that decided.
  @Test func refusalsAreOfTheirRule() async throws {
    let tuesday = try Hours("Tue 00:00-00:01 UTC")
    let changes: [(inout Terms) -> Void] = [
      { $0.rate = Rate(perMinute: 1, burst: 1) }, { $0.hours = [tuesday] }, { $0.requiresGrant = true },
    ]
    for change in changes {
      let harness = try Harness(rules: [try rule("r", change)])
      while try await register(harness, user: 1) != Status.operationDenied {}
      let refusal = try #require(harness.audit.records.last)
      #expect(refusal.outcome == .refused && refusal.rule == "r", "\(refusal)")
      let key = RequestTally.Key(command: "makeCredential", rule: "r", result: .refused)
      #expect(await harness.engine.tally.counts[key] == 1)
    }
    // None matches.
    let harness = try Harness(rules: [try rule("r")])
    #expect(try await harness.send(0x02, Harness.request("other.example")).status == Status.operationDenied)
    #expect(harness.audit.records.last?.rule == nil)
  }

  /// It is asked about twice, before others are kept out and after, and done once.
  @Test func aResetTakesOneOfTheRate() async throws {
    var terms = Terms()
    terms.rate = Rate(perMinute: 1, burst: 1)
    let rule = Rule(
      name: "r", callers: [CallerPattern(user: 1000)], relyingParties: [try RelyingPartyPattern("*")],
      operations: [.reset], terms: terms)
    let harness = try Harness(rules: [rule])
    #expect(try await harness.send(0x07).status == 0)
    #expect(try await harness.send(0x07).status == 0x27)
    harness.time.advance(by: .seconds(60))
    #expect(try await harness.send(0x07).status == 0)
  }

  @Test func aRateOfSignaturesThroughTheAuthenticator() async throws {
    let harness = try Harness(rules: [try rule("r") { $0.rate = Rate(perMinute: 6, burst: 2) }])
    #expect(try await register(harness, user: 1) == 0)
    let request: CBORMap = [1: .text("example.com"), 2: .bytes([UInt8](repeating: 1, count: 32))]
    #expect(try await harness.send(0x02, request).status == 0)
    #expect(try await harness.send(0x02, request).status == 0x27)
    let refusal = try #require(harness.audit.records.last)
    #expect(refusal.outcome == .refused && refusal.rule == "r", "\(refusal)")
    harness.time.advance(by: .seconds(10))
    #expect(try await harness.send(0x02, request).status == 0)
    // Rules that are read again and keep their name give nothing back.
    await harness.engine.replaceJudge(try RuleBook([try rule("r") { $0.rate = Rate(perMinute: 6, burst: 2) }]))
    #expect(try await harness.send(0x02, request).status == 0x27)
  }
}
