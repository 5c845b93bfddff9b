import Platform
import Testing

@testable import Policy

/// What is said against a grant when it is made.
@Suite struct GrantDoubtsTests {
  /// A Thursday, 1970-01-01.
  private static let noon: Int64 = 12 * 3_600_000

  private func doubts(
    _ rule: Rule, user: UInt32 = 1000, _ parties: [String] = [], claims: [String: String] = [:], hours: Int64 = 1,
    beside others: [Rule] = []
  ) throws -> [String] {
    let grant = Grant(
      id: "0", rule: rule.name, user: user, relyingParties: try parties.map { try RelyingPartyPattern($0) },
      claims: Claims(claims))
    return try RuleBook([rule] + others).doubts(of: grant, from: Self.noon, until: Self.noon + hours * 3_600_000)
  }

  private func rule(
    _ callers: [CallerPattern] = [runner], _ parties: [String] = ["deploy.example.com", "*.internal.example"],
    _ operations: Set<Policy.Operation> = [.authenticate]
  ) throws -> Rule {
    Rule(
      name: "r", callers: callers, relyingParties: try parties.map { try RelyingPartyPattern($0) },
      operations: operations)
  }

  @Test func nothingIsSaidOfAGoodOne() throws {
    #expect(try doubts(rule()) == [])
    #expect(try doubts(rule(), ["deploy.example.com", "a.internal.example", "*.b.internal.example"]) == [])
    // Wider than the rule: what both name can be signed.
    #expect(try doubts(rule(), ["*", "*.example"]) == [])
    // Of whom nobody can know yet in what unit the job will be.
    #expect(try doubts(rule([CallerPattern(unit: "ci.service")])) == [])
    #expect(try doubts(rule([CallerPattern(byGrant: true)]), user: 7) == [])
  }

  @Test func anotherUsersRule() throws {
    #expect(try doubts(rule(), user: 7) == ["rule \"r\" lets nobody in who comes as uid 7 by the socket of a grant"])
    #expect(try doubts(rule([runner, CallerPattern(user: 7)]), user: 7) == [])
    // A grant's socket has the name of the jobs' own.
    #expect(
      try doubts(rule([CallerPattern(user: 7, socket: "ctap-x")]), user: 7) == [
        "rule \"r\" lets nobody in who comes as uid 7 by the socket of a grant"
      ])
  }

  @Test func nothingThatSigns() throws {
    #expect(
      try doubts(rule([runner], ["*"], [.manage]))
        == ["rule \"r\" allows neither register nor authenticate, so nothing can be signed"])
  }

  @Test func otherRelyingParties() throws {
    #expect(
      try doubts(rule(), ["deploy.example.com", "example.com", "*.other.example"])
        == ["rule \"r\" is not for \"example.com\"", "rule \"r\" is not for \"*.other.example\""])
  }

  @Test func claimsThatAreMissing() throws {
    let rule = try rule().saying { $0.requiredClaims = ["ref": [ClaimPattern("refs/heads/main")]] }
    #expect(try doubts(rule, claims: ["ref": "refs/heads/main"]) == [])
    #expect(try doubts(rule).first?.contains("requires the claim \"ref\"") == true)
    #expect(try doubts(rule, claims: ["ref": "x"]).first?.contains("requires another claim") == true)
  }

  /// Whoever makes it need not find them out one by one.
  @Test func allClaimsThatAreMissing() throws {
    let any = [ClaimPattern("**")]
    let rule = try rule().saying { $0.requiredClaims = ["ref": any, "repository": any, "run": any] }
    #expect(
      try doubts(rule, claims: ["repository": "org/app"]) == [
        #"rule "r" requires the claim "ref", and the caller has none"#,
        #"rule "r" requires the claim "run", and the caller has none"#,
      ])
  }

  /// What a more specific rule decides the grant's rule does not.
  @Test func whatAnotherRuleDecides() throws {
    let mine = try rule([CallerPattern(byGrant: true)], ["*.example.com"], [.register, .authenticate])
    func other(
      _ parties: [String] = ["deploy.example.com"], _ callers: [CallerPattern] = [CallerPattern(user: 1000)],
      _ operations: Set<Policy.Operation> = [.register, .authenticate], accounts: [AccountPattern] = []
    ) throws -> Rule {
      Rule(
        name: "s", callers: callers, relyingParties: try parties.map { try RelyingPartyPattern($0) },
        operations: operations, accounts: accounts)
    }
    let warning = #"rule "s" is more specific and decides for "deploy.example.com", so the grant has no effect there"#
    #expect(try doubts(mine, beside: [other()]) == [warning])
    #expect(
      try doubts(mine, beside: [other(["deploy.example.com"], [CallerPattern(user: 1000)], [.authenticate, .manage])])
        == [
          #"rule "s" is more specific and decides for "deploy.example.com" (authenticate), so the grant has no effect "#
            + "there"
        ])
    // Where the grant is narrower than either.
    #expect(try doubts(mine, ["deploy.example.com", "b.example.com"], beside: [other()]) == [warning])
    #expect(try doubts(mine, ["deploy.example.com"], beside: [other(["*.example.com"])]) == [])
    #expect(
      try doubts(
        mine, ["deploy.example.com"],
        beside: [other(["*.example.com"], [CallerPattern(user: 1000, socket: "ctap")])]) == [warning])
    // Not reached by the grant, of another user, for nothing that the grant is for, or for some accounts only.
    #expect(try doubts(mine, ["b.example.com"], beside: [other()]) == [])
    #expect(try doubts(mine, user: 7, beside: [other()]) == [])
    #expect(try doubts(mine, beside: [other(["example.org", "*"])]) == [])
    #expect(try doubts(mine, beside: [other(["deploy.example.com"], [CallerPattern(user: 1000)], [.manage])]) == [])
    #expect(
      try doubts(
        mine, beside: [other(["deploy.example.com"], [CallerPattern(user: 1000)], accounts: [.userName("x")])]) == [])
    // Of whom nobody can know yet in what unit or group the job will be; and other grants are others' rules'.
    #expect(
      try doubts(mine, beside: [other(["deploy.example.com"], [CallerPattern(user: 1000, unit: "a.service")])]) == [])
    #expect(try doubts(mine, beside: [other(["deploy.example.com"], [CallerPattern(byGrant: true)])]) == [])
  }

  @Test func otherHours() throws {
    let morning = try Hours("Mon-Fri 08:00-11:00 UTC")
    let rule = try rule().saying { $0.hours = [morning] }
    let doubt = ["rule \"r\" allows at other hours than those in which the grant lives"]
    #expect(try doubts(rule) == doubt)
    // Up to the minute, on the next day.
    #expect(try doubts(rule, hours: 20) == doubt)
    #expect(try doubts(rule, hours: 21) == [])
  }

  @Test func aRuleThatHasGone() throws {
    let grant = Grant(id: "0", rule: "another", user: 1000)
    #expect(try RuleBook([try rule()]).doubts(of: grant, from: 0, until: 60_000) == [])
  }
}
