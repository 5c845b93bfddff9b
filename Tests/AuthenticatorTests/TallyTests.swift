import Authenticator
import Policy
import TestSupport
import Testing

/// What the engine counts of what it answers.
@Suite struct TallyTests {
  private func count(_ harness: Harness, _ command: String, _ rule: String, _ result: RequestTally.Result) async
    -> UInt64?
  {
    await harness.engine.tally.counts[RequestTally.Key(command: command, rule: rule, result: result)]
  }

  @Test func countsByCommandRuleAndResult() async throws {
    let harness = try Harness(rules: [try Harness.rule("jobs", ["example.com"], [.register, .authenticate])])
    let id = try await harness.register()
    for _ in 0..<2 { _ = try await harness.send(2, Harness.request(allow: [id])) }
    _ = try await harness.send(2, Harness.request(allow: [[UInt8](repeating: 0, count: 16)]))
    _ = try await harness.send(2, Harness.request("other.example"))
    _ = await harness.respond([0xff])
    #expect(await count(harness, "makeCredential", "jobs", .done) == 1)
    #expect(await count(harness, "getAssertion", "jobs", .done) == 2)
    #expect(await count(harness, "getAssertion", "jobs", .failed) == 1)
    #expect(await count(harness, "getAssertion", "", .refused) == 1)
    #expect(await count(harness, "unknown", "", .failed) == 1)
    #expect(await harness.engine.tally.times["getAssertion"]?.buckets.reduce(0, +) == 4)
  }

  @Test func bucketsAreUpToTheirBounds() {
    var tally = RequestTally()
    for nanoseconds: UInt64 in [0, 1_000_000, 1_000_001, 10_000_000_000, 10_000_000_001, .max] {
      tally.note(RequestTally.Key(command: "c", rule: "r", result: .done), nanoseconds: nanoseconds)
    }
    #expect(tally.times["c"]?.buckets == [2, 1] + [UInt64](repeating: 0, count: 10) + [1, 2])
  }

  @Test func rulesThatComeAndGoDoNotPileUp() {
    var tally = RequestTally()
    for number in 0..<1000 {
      tally.note(RequestTally.Key(command: "c", rule: "\(number)", result: .done), nanoseconds: 1)
    }
    #expect(tally.counts.count == 257 && tally.counts.values.reduce(0, +) == 1000)
  }
}
