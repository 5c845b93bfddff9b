import Testing

@testable import Policy

extension Rule {
  /// The same with other terms.
  func saying(_ change: (inout Terms) -> Void) -> Rule {
    var terms = terms
    change(&terms)
    return Rule(
      name: name, callers: callers, relyingParties: relyingParties, operations: operations, accounts: accounts,
      terms: terms)
  }

  func only(_ accounts: [AccountPattern]) -> Rule {
    Rule(
      name: name, callers: callers, relyingParties: relyingParties, operations: operations, accounts: accounts,
      terms: terms)
  }
}

private let id = String(repeating: "0123456789abcdef", count: 4)
private let grant = Grant(id: "9", rule: "x", user: 1000)

/// A caller of whom everything is known.
private let known = Caller(
  connection: 1, user: 1000, group: 1000, process: 42, supplementaryGroups: [7], unit: "ci.service", slice: "ci.slice",
  container: id, executable: "/usr/bin/deploy", executableDigest: [UInt8](repeating: 5, count: 32), socket: "ctap",
  grant: grant)

struct CallerPatterns {
  private static let fields: [(CallerPattern, CallerPattern)] = [
    (CallerPattern(user: 1000), CallerPattern(user: 1001)),
    (CallerPattern(group: 7), CallerPattern(group: 8)),
    (CallerPattern(unit: "ci.service"), CallerPattern(unit: "ci.scope")),
    (CallerPattern(slice: "ci.slice"), CallerPattern(slice: "c.slice")),
    (CallerPattern(container: .id(id)), CallerPattern(container: .id(String(id.reversed())))),
    (CallerPattern(executable: "/usr/bin/deploy"), CallerPattern(executable: "/usr/bin/deplo")),
    (
      CallerPattern(executableDigest: [UInt8](repeating: 5, count: 32)),
      CallerPattern(executableDigest: [UInt8](repeating: 6, count: 32))
    ),
    (CallerPattern(socket: "ctap"), CallerPattern(socket: "ctap-a")),
  ]

  @Test func everyFieldMatchesAndMisses() {
    let nobody = Caller(
      connection: 1, user: 5, group: 5, process: nil, supplementaryGroups: [], unit: nil)
    for (right, wrong) in Self.fields {
      #expect(right.matches(known, ofRule: "x") && !wrong.matches(known, ofRule: "x"), "\(right)")
      // What could not be learnt never matches.
      #expect(!right.matches(nobody, ofRule: "x"), "\(right)")
    }
    #expect(CallerPattern(container: .any).matches(known, ofRule: "x"))
    #expect(!CallerPattern(container: .any).matches(nobody, ofRule: "x"))
    // A grant is for one rule.
    #expect(CallerPattern(byGrant: true).matches(known, ofRule: "x"))
    #expect(!CallerPattern(byGrant: true).matches(known, ofRule: "y"))
    #expect(!CallerPattern(byGrant: true).matches(nobody, ofRule: "x"))
  }

  /// Two patterns are equally specific only if they name the same fields; more fields always win.
  @Test func theOrderIsTotal() {
    let single = Self.fields.map(\.0) + [CallerPattern(container: .any), CallerPattern(byGrant: true)]
    let ranks = single.map(\.specificity)
    #expect(Set(ranks).count == single.count)
    let pair = CallerPattern(group: 7, slice: "ci.slice")
    #expect(ranks.allSatisfy { $0 < pair.specificity })
    // From what tells most to what tells least, as countersign.json(5) has it.
    let order = [
      CallerPattern(byGrant: true), CallerPattern(executableDigest: []), CallerPattern(container: .id(id)),
      CallerPattern(executable: "/a"), CallerPattern(unit: "a"), CallerPattern(user: 1), CallerPattern(socket: "a"),
      CallerPattern(container: .any), CallerPattern(slice: "a"), CallerPattern(group: 1),
    ]
    #expect(order.map(\.specificity) == order.map(\.specificity).sorted(by: >))
  }
}

struct TheMostSpecificRuleWins {
  /// Whatever the order in the configuration.
  private func decides(
    _ expected: String?, _ rules: [Rule], _ caller: Caller = caller(), _ party: String = "deploy.example.com",
    account: Account? = nil, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for rules in [rules, rules.reversed()] {
      let book = try RuleBook(rules)
      let inquiry = Inquiry(caller, .authenticate, .relyingParty(party), account: account)
      #expect(book.deciding(inquiry)?.name == expected, sourceLocation: sourceLocation)
    }
  }

  @Test func byRelyingParty() throws {
    let rules = [
      try rule("any", [runner], ["*"]), try rule("short", [runner], ["*.com"]),
      try rule("long", [runner], ["*.example.com"]), try rule("exact", [runner], ["deploy.example.com"]),
    ]
    try decides("exact", rules)
    try decides("long", rules, caller(), "other.example.com")
    try decides("short", rules, caller(), "example.com")
    try decides("any", rules, caller(), "example.org")
    try decides(nil, rules, caller(user: 5))
  }

  /// The relying party comes first, however much more the other rule says of the caller.
  @Test func thenByCaller() throws {
    let rules = [
      try rule("party", [CallerPattern(group: 1000)], ["deploy.example.com"]),
      try rule("caller", [CallerPattern(user: 1000, group: 1000, unit: "ci.service")], ["*.example.com"]),
    ]
    try decides("party", rules, caller(unit: "ci.service"))
    let same = [
      try rule("user", [CallerPattern(user: 1000)]), try rule("unit", [CallerPattern(unit: "ci.service")]),
      try rule("both", [CallerPattern(user: 1000, unit: "ci.service"), CallerPattern(user: 7)]),
      try rule("group", [CallerPattern(group: 1000)]),
    ]
    try decides("both", same, caller(unit: "ci.service"))
    try decides("user", same, caller(unit: "other.service"))
    try decides("group", same, caller(user: 1, group: 1000))
    try decides("unit", same, caller(user: 1, group: 1, unit: "ci.service"))
    try decides("both", same, caller(user: 7, group: 1, unit: "other.service"))
    try decides("unit", same, caller(user: 7, group: 1, unit: "ci.service"))
  }

  @Test func thenByAccount() throws {
    let rules = [
      try rule("every"), try rule("prefix").only([.userNamePrefix("de")]),
      try rule("longer").only([.userNamePrefix("deploy-")]), try rule("name").only([.userName("deploy-1")]),
      try rule("handle").only([.userHandle([1, 2])]),
    ]
    try decides("every", rules, account: nil)
    try decides("every", rules, account: Account(userHandle: [9], userName: "x"))
    try decides("every", rules, account: Account(userHandle: [9], userName: nil))
    try decides("prefix", rules, account: Account(userHandle: [9], userName: "dep"))
    try decides("longer", rules, account: Account(userHandle: [9], userName: "deploy-2"))
    try decides("name", rules, account: Account(userHandle: [9], userName: "deploy-1"))
    try decides("handle", rules, account: Account(userHandle: [1, 2], userName: "deploy-1"))
  }

  /// An account that is not known, as of U2F, is in no rule that names accounts.
  @Test func unknownAccountsMatchNoName() throws {
    let rules = [try rule("handle").only([.userHandle([1])]), try rule("empty").only([.userNamePrefix("a")])]
    try decides(nil, rules, account: nil)
    try decides(nil, rules, account: Account(userHandle: [], userName: nil))
  }

  /// What the chosen rule refuses, no other allows.
  @Test func itDecidesAlone() throws {
    let book = try RuleBook([
      rule("any", [runner], ["*"]), rule("narrow").saying { $0.requiresGrant = true },
    ])
    #expect(decision(book, caller()) == nil)
    #expect(reason(book, caller())?.contains("requires a grant") == true)
    #expect(decision(book, caller(), .authenticate, "other.example.com") == "any")
  }

  @Test func tiesThatSayDifferentThingsAreErrors() throws {
    func tie(_ a: Rule, _ b: Rule) -> RuleError? {
      do throws(RuleError) {
        _ = try RuleBook([a, b])
        return nil
      } catch {
        return error
      }
    }
    let verified = try rule("b", userVerification: true)
    let found = try #require(tie(try rule("a"), verified))
    #expect(found.rule == 1 && found.earlier == [0])
    #expect(found.problem.contains(#"rules "a" and "b""#) && found.problem.contains("deploy.example.com"))
    // A caller can be in both groups.
    let groups = try #require(
      tie(
        try rule("a", [CallerPattern(group: 1)]), try rule("b", [CallerPattern(group: 2)], userVerification: true)))
    #expect(groups.problem.contains("groups 1 and 2"))
    #expect(
      tie(try rule("a").only([.userName("x")]), verified.only([.userName("y"), .userName("x")])) != nil)
    #expect(
      tie(try rule("a", [runner], [], [.reset]), try rule("b", [runner], [], [.reset], userVerification: true)) != nil)
    // None of these can tie.
    #expect(tie(try rule("a"), try rule("b", [runner], ["other.example.com"], userVerification: true)) == nil)
    #expect(tie(try rule("a"), try rule("b", [CallerPattern(user: 7)], userVerification: true)) == nil)
    #expect(tie(try rule("a"), try rule("b", [CallerPattern(group: 7)], userVerification: true)) == nil)
    #expect(
      tie(try rule("a"), try rule("b", [runner], ["deploy.example.com"], [.register], userVerification: true)) == nil)
    #expect(tie(try rule("a"), verified.only([.userName("x")])) == nil)
    #expect(tie(try rule("a").only([.userName("x")]), verified.only([.userName("y")])) == nil)
    let byGrant = [CallerPattern(byGrant: true)]
    #expect(tie(try rule("a", byGrant), try rule("b", byGrant, userVerification: true)) == nil)
  }

  /// Whenever two rules match a request equally, they say the same: the error above misses none.
  @Test func noTieIsLeft() throws {
    let seed = UInt64.random(in: 0 ... .max)
    var random = Generator(state: seed)
    let users: [CallerPattern] = [
      CallerPattern(user: 1), CallerPattern(group: 1), CallerPattern(group: 2), CallerPattern(user: 1, group: 2),
      CallerPattern(user: 1, unit: "a.service"), CallerPattern(unit: "a.service"),
      CallerPattern(group: 1, unit: "a.service"),
    ]
    let parties = ["*", "*.b", "a.b", "*.a.b"]
    let accounts: [[AccountPattern]] = [[], [.userName("x")], [.userNamePrefix("x"), .userHandle([1])]]
    var accepted = 0
    for _ in 0..<4000 {
      let rules = try (0..<3).map { index in
        try rule(
          "\(index)", [users.randomElement(using: &random) ?? runner], [parties.randomElement(using: &random) ?? "*"],
          userVerification: .random(using: &random)
        ).only(accounts.randomElement(using: &random) ?? [])
      }
      guard let book = try? RuleBook(rules) else { continue }
      accepted += 1
      for user: UInt32 in [1, 2] {
        for party in ["a.b", "c.a.b", "c.b", "d"] {
          for account in [nil, Account(userHandle: [1], userName: "x"), Account(userHandle: [2], userName: "xy")] {
            let inquiry = Inquiry(
              caller(user: user, group: 1, groups: [2], unit: "a.service"), .authenticate, .relyingParty(party),
              account: account)
            let ranked = rules.compactMap { rule in rule.specificity(inquiry).map { (rule, $0) } }
            let best = ranked.map(\.1).max()
            let winners = ranked.filter { $0.1 == best }.map(\.0.terms)
            #expect(Set(winners).count <= 1, "seed \(seed)")
            #expect(book.deciding(inquiry)?.terms == winners.first, "seed \(seed)")
            if let expected = book.deciding(inquiry) {
              // What is foreseen contains what comes.
              #expect(try book.foresee(inquiry).rules.contains(expected.name), "seed \(seed)")
            }
          }
        }
      }
    }
    #expect(accepted > 500)
  }

  @Test func whatSaysTheSameAndMoreIsNoError() throws {
    let book = try RuleBook([rule("a"), rule("b", [runner, CallerPattern(user: 7)])])
    #expect(decision(book, caller()) == "a" && decision(book, caller(user: 7)) == "b")
  }

  @Test func whatCanNeverDecideIsAnError() throws {
    let rules = [
      try rule("a", [runner, CallerPattern(user: 7)]), try rule("b", [runner], ["b.example"]),
      try rule("c", [runner], ["b.example", "deploy.example.com"]),
    ]
    do throws(RuleError) {
      _ = try RuleBook(rules)
      Issue.record("it is taken")
    } catch {
      #expect(error.rule == 2 && error.earlier == [0, 1] && error.problem.contains("can never decide"))
    }
  }
}

struct Generator: RandomNumberGenerator {
  var state: UInt64

  /// SplitMix64.
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

struct Foresight {
  @Test func namesWhatMayDecide() throws {
    let book = try RuleBook([
      rule("any", [runner], ["*"], userVerification: true),
      rule("every"), rule("some", userVerification: true).only([.userName("x")]),
      rule("low", [CallerPattern(group: 1000)]).only([.userName("y")]),
    ])
    let prospect = try book.foresee(Inquiry(caller(), .authenticate, .relyingParty("deploy.example.com")))
    #expect(prospect == Prospect(rules: ["every", "some"], dependsOnAccount: true, userVerification: true))
    #expect(prospect.rule == nil)
    let other = try book.foresee(Inquiry(caller(), .authenticate, .relyingParty("other.example.com")))
    #expect(other == Prospect(rules: ["any"], dependsOnAccount: false, userVerification: true))
    #expect(other.rule == "any")
  }

  @Test func refusesWhatNoAccountAllows() throws {
    let book = try RuleBook([
      rule("every").saying { $0.requiresGrant = true },
      rule("some").only([.userName("x")]).saying { $0.bindsClaims = true },
    ])
    #expect(throws: Refusal.self) {
      try book.foresee(Inquiry(caller(), .authenticate, .relyingParty("deploy.example.com")))
    }
    #expect(throws: Refusal.self) {
      try book.foresee(Inquiry(caller(user: 5), .authenticate, .relyingParty("deploy.example.com")))
    }
  }
}
