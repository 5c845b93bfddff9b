import Platform
import Testing

@testable import Policy

private func moment(seconds: Double) -> Moment {
  Moment(monotonicNanoseconds: 1_000_000_000_000 + UInt64(seconds * 1e9), utc: noon.utc, local: noon.local)
}

/// Why it is refused; nil if it is allowed.
private func refusal(
  _ ledger: inout Ledger, _ book: RuleBook, _ caller: Caller, _ moment: Moment,
  _ operation: Policy.Operation = .authenticate
) -> String? {
  do throws(Refusal) {
    let verdict = try book.judge(caller, operation, .relyingParty("deploy.example.com"))
    _ = try ledger.admit(verdict, at: moment)
    return nil
  } catch {
    return error.reason
  }
}

struct Rates {
  private let book: RuleBook

  init() throws {
    book = try RuleBook([
      rule("r", [runner, CallerPattern(user: 7)]).saying { $0.rate = Rate(perMinute: 6, burst: 3) }
    ])
  }

  @Test func aBurstAndThenOneByOne() {
    var ledger = Ledger()
    let allowed = (0..<5).filter { _ in refusal(&ledger, book, caller(), moment(seconds: 0)) == nil }
    #expect(allowed.count == 3)
    #expect(refusal(&ledger, book, caller(), moment(seconds: 9.9))?.contains("again in 100 ms") == true)
    #expect(refusal(&ledger, book, caller(), moment(seconds: 10)) == nil)
    #expect(refusal(&ledger, book, caller(), moment(seconds: 10)) != nil)
    // After a long time the burst is whole again, and no more.
    #expect((0..<5).filter { _ in refusal(&ledger, book, caller(), moment(seconds: 1000)) == nil }.count == 3)
  }

  /// A clock that goes back (there is none) gives nothing away and does not trap.
  @Test func aClockThatGoesBack() {
    var ledger = Ledger()
    for _ in 0..<3 { #expect(refusal(&ledger, book, caller(), moment(seconds: 500)) == nil) }
    #expect(refusal(&ledger, book, caller(), moment(seconds: 0)) != nil)
  }

  @Test func everyUserHasAShareOfItsOwn() {
    var ledger = Ledger()
    for _ in 0..<3 { #expect(refusal(&ledger, book, caller(), moment(seconds: 0)) == nil) }
    #expect(refusal(&ledger, book, caller(), moment(seconds: 0)) != nil)
    #expect(refusal(&ledger, book, caller(user: 7), moment(seconds: 0)) == nil)
  }

  @Test func whatIsRefusedCostsNothing() throws {
    var ledger = Ledger()
    for _ in 0..<100 { _ = refusal(&ledger, book, caller(), moment(seconds: 0)) }
    #expect(refusal(&ledger, book, caller(), moment(seconds: 10)) == nil)
  }

  @Test func sharesOfRulesThatStayGoOn() {
    var ledger = Ledger()
    for _ in 0..<3 { _ = refusal(&ledger, book, caller(), moment(seconds: 0)) }
    ledger.keep(rules: ["r", "s"])
    #expect(refusal(&ledger, book, caller(), moment(seconds: 0)) != nil)
    ledger.keep(rules: ["s"])
    #expect(refusal(&ledger, book, caller(), moment(seconds: 0)) == nil)
  }

  /// Many users at once; whoever has the whole burst again is forgotten.
  @Test func manyUsers() throws {
    let group = CallerPattern(group: 5)
    let book = try RuleBook([rule("r", [group]).saying { $0.rate = Rate(perMinute: 60_000, burst: 1) }])
    var ledger = Ledger()
    for user in 0..<20_000 as Range<UInt32> {
      #expect(refusal(&ledger, book, caller(user: user, group: 5), moment(seconds: Double(user))) == nil)
    }
  }
}

struct HoursTests {
  private struct Case: Sendable {
    let hours: String
    let inside: [WallClock]
    let outside: [WallClock]
  }

  private static func at(_ weekday: Int, _ minute: Int) -> WallClock { WallClock(weekday: weekday, minute: minute) }

  private static let cases: [Case] = [
    Case(
      hours: "Mon-Fri 08:00-18:00", inside: [at(0, 480), at(4, 1079)], outside: [at(0, 479), at(4, 1080), at(5, 600)]),
    Case(hours: "Sat,Sun 00:00-24:00", inside: [at(5, 0), at(6, 1439)], outside: [at(0, 0), at(4, 1439)]),
    // Over midnight: it belongs to the day on which it begins.
    Case(
      hours: "Fri 22:00-06:00", inside: [at(4, 1320), at(5, 359)],
      outside: [at(4, 1319), at(5, 360), at(5, 1400), at(4, 0)]),
    Case(hours: "Sun 22:00-06:00", inside: [at(6, 1400), at(0, 100)], outside: [at(1, 100)]),
    Case(hours: "22:00-06:00", inside: [at(3, 0), at(3, 1400)], outside: [at(3, 700)]),
    Case(
      hours: "Fri-Mon 10:00-11:00", inside: [at(4, 600), at(5, 600), at(6, 600), at(0, 600)], outside: [at(1, 600)]),
    Case(hours: "Wed,Mon-Tue 10:00-11:00", inside: [at(0, 600), at(1, 600), at(2, 600)], outside: [at(3, 600)]),
  ]

  @Test(arguments: cases.indices)
  func contains(_ index: Int) throws {
    let test = Self.cases[index]
    let (utc, local) = (try Hours(test.hours + " UTC"), try Hours(test.hours + " local"))
    for (clocks, expected) in [(test.inside, true), (test.outside, false)] {
      for clock in clocks {
        let other = Self.at((clock.weekday + 3) % 7, (clock.minute + 700) % 1440)
        #expect(utc.contains(Moment(monotonicNanoseconds: 0, utc: clock, local: other)) == expected, "\(clock)")
        #expect(local.contains(Moment(monotonicNanoseconds: 0, utc: other, local: clock)) == expected, "\(clock)")
      }
    }
  }

  @Test(arguments: [
    "", "UTC", "08:00-18:00", "Mon 08:00-18:00", "Mon-Fri 8:00-18:00 UTC", "Mon 08:00-08:00 UTC", "Mon 24:00-25:00 UTC",
    "Mon 24:00-06:00 UTC", "Mon 08:60-09:00 UTC", "mon 08:00-09:00 UTC", "Mon- 08:00-09:00 UTC",
    "Mon,, 08:00-09:00 UTC",
    "Mon-Tue-Wed 08:00-09:00 UTC", "Mon 08:00-09:00 CET", "Mon 08:00-09:00  UTC", " Mon 08:00-09:00 UTC",
    "Mon 08:00-09:00 UTC ", "Mon 08:00/09:00 UTC", "Mon Tue 08:00-09:00 UTC", "Mon 0８:00-09:00 UTC",
    "Mon 08:00-00:00 UTC",
  ])
  func isNone(_ text: String) {
    #expect(throws: PatternError.self) { try Hours(text) }
  }

  @Test func aRuleKeepsItsHours() throws {
    let book = try RuleBook([
      try rule("r").saying { $0.hours = [try Hours("Sat 10:00-11:00 UTC"), try Hours("Mon 12:00-12:01 UTC")] }
    ])
    var ledger = Ledger()
    #expect(refusal(&ledger, book, caller(), noon) == nil)
    let later = Moment(monotonicNanoseconds: 0, utc: WallClock(weekday: 0, minute: 721), local: noon.local)
    #expect(refusal(&ledger, book, caller(), later) == #"rule "r" allows it at other hours"#)
  }
}

extension Rule {
  fileprivate func saying(_ change: (inout Terms) throws -> Void) throws -> Rule {
    var terms = terms
    try change(&terms)
    return saying { $0 = terms }
  }
}

struct ClaimPatterns {
  private static let matching: [(String, String)] = [
    ("org/*", "org/a"), ("org/*", "org/"), ("org/**", "org/a/b"), ("**", ""), ("*", ""), ("", ""),
    ("refs/heads/*", "refs/heads/main"), ("a*b*c", "aXbYc"), ("a*b*c", "abc"), ("*a", "aaa"), ("a***", "a/b"),
    ("org/a", "org/a"),
  ]
  private static let other: [(String, String)] = [
    ("org/*", "org/a/b"), ("org/*", "xorg/a"), ("*", "a/b"), ("", "a"), ("refs/heads/*", "refs/tags/main"),
    ("a*b*c", "ac"), ("org/a", "org/A"), ("org/a", "org/a "), ("é", "e\u{301}"),
  ]

  @Test func matches() {
    for (pattern, value) in Self.matching { #expect(ClaimPattern(pattern).matches(value), "\(pattern) \(value)") }
    for (pattern, value) in Self.other { #expect(!ClaimPattern(pattern).matches(value), "\(pattern) \(value)") }
  }

  /// Patterns that take some matchers for ever.
  @Test func badOnesEndSoon() {
    let pattern = ClaimPattern(String(repeating: "*a", count: 256))
    #expect(!pattern.matches(String(repeating: "a", count: 1024) + "b"))
  }
}

struct Grants {
  private func by(_ grant: Grant, user: UInt32 = 1000) -> Caller {
    Caller(
      connection: 1, user: user, group: user, process: 1, supplementaryGroups: [], unit: nil, socket: "ctap",
      grant: grant)
  }

  private func grant(_ rule: String = "r", claims: [String: String] = [:], parties: [String] = []) throws -> Grant {
    Grant(
      id: "1", rule: rule, user: 1000, relyingParties: try parties.map { text in try RelyingPartyPattern(text) },
      claims: Claims(claims))
  }

  @Test func aRuleThatRequiresOne() throws {
    let book = try RuleBook([rule("r").saying { $0.requiresGrant = true }])
    #expect(decisionByGrant(book, caller()) == nil)
    #expect(decisionByGrant(book, by(try grant())) == "r")
    #expect(!book.recognises(caller()))
    #expect(book.recognises(by(try grant())))
  }

  @Test func itNarrowsAndNeverWidens() throws {
    let book = try RuleBook([rule("r", [runner], ["*"]), rule("s", [runner], ["deploy.example.com"])])
    // The rule that decides must be the grant's, and the caller one that the rule names.
    #expect(decisionByGrant(book, by(try grant("r"))) == nil)
    #expect(decisionByGrant(book, by(try grant("s"))) == "s")
    #expect(decisionByGrant(book, by(try grant("s"), user: 7)) == nil)
    let parties = try grant("r", parties: ["*.example.org"])
    #expect(decisionByGrant(book, by(parties), "a.example.org") == "r")
    #expect(decisionByGrant(book, by(parties), "example.net") == nil)
    #expect(decisionByGrant(book, by(try grant("r")), "example.net") == "r")
    // Whoever can open its socket: only its user.
    let users = try RuleBook([rule("r", [CallerPattern(user: 7)])])
    #expect(decisionByGrant(users, by(try grant("r"), user: 7)) == nil)
    // No grant lets anybody reset.
    let reset = try RuleBook([rule("r", [runner], [], [.reset])])
    #expect(throws: Refusal.self) { try reset.foresee(Inquiry(by(try grant("r", parties: ["*"])), .reset, .all)) }
  }

  @Test func claimsThatARuleRequires() throws {
    let book = try RuleBook([
      rule("r").saying {
        $0.requiredClaims = [
          "repository": [ClaimPattern("org/*"), ClaimPattern("other/x")], "ref": [ClaimPattern("refs/heads/main")],
        ]
      }
    ])
    #expect(decisionByGrant(book, caller()) == nil)
    let right: [[String: String]] = [
      ["repository": "org/a", "ref": "refs/heads/main"], ["repository": "other/x", "ref": "refs/heads/main"],
    ]
    let wrong: [[String: String]] = [
      ["repository": "org/a"], ["repository": "evil/a", "ref": "refs/heads/main"],
      ["repository": "org/a", "ref": "refs/heads/main2"], [:],
    ]
    for claims in right { #expect(decisionByGrant(book, by(try grant(claims: claims))) == "r", "\(claims)") }
    for claims in wrong { #expect(decisionByGrant(book, by(try grant(claims: claims))) == nil, "\(claims)") }
  }

  @Test func boundClaimsAreAskedForOtherwise() throws {
    let book = try RuleBook([rule("r").saying { $0.bindsClaims = true }, rule("s", [runner], ["other.example"])])
    let caller = by(try grant())
    func answer(_ caller: Caller, _ party: String, _ binds: Bool?) -> String? {
      var ledger = Ledger()
      if let grant = caller.grant { ledger.begin(grant, until: .max, operations: nil) }
      let inquiry = Inquiry(caller, .authenticate, .relyingParty(party), bindsClaims: binds)
      guard let verdict = try? book.judge(inquiry) else { return nil }
      return (try? ledger.admit(verdict, at: noon))?.rule
    }
    #expect(answer(caller, "deploy.example.com", true) == "r")
    #expect(answer(caller, "deploy.example.com", false) == nil)
    // A path that forgets to say which is refused.
    #expect(answer(caller, "deploy.example.com", nil) == nil)
    #expect(answer(PolicyTests.caller(), "deploy.example.com", true) == nil)
    #expect(answer(PolicyTests.caller(), "other.example", true) == nil)
    #expect(answer(PolicyTests.caller(), "other.example", false) == "s")
    #expect(book.bindsClaims(caller) && !book.bindsClaims(PolicyTests.caller()))
  }

  @Test func itEndsByTimeByCountAndByHand() throws {
    let book = try RuleBook([rule("r", [runner], ["deploy.example.com"], [.authenticate, .register, .manage])])
    let grant = try grant()
    var ledger = Ledger()
    #expect(refusal(&ledger, book, by(grant), moment(seconds: 0)) == "grant 1 has ended")
    ledger.begin(grant, until: moment(seconds: 10).monotonicNanoseconds, operations: 2)
    #expect(refusal(&ledger, book, by(grant), moment(seconds: 0)) == nil)
    // Management signs nothing.
    #expect(refusal(&ledger, book, by(grant), moment(seconds: 0), .manage) == nil)
    #expect(refusal(&ledger, book, by(grant), moment(seconds: 9.9), .register) == nil)
    #expect(ledger.operationsLeft(ofGrant: "1") == 0)
    #expect(refusal(&ledger, book, by(grant), moment(seconds: 9.9)) == "grant 1 is used up")
    // The last signature may still be on its way.
    #expect(ledger.isAlive(grant, at: moment(seconds: 9.9).monotonicNanoseconds))
    #expect(!ledger.isAlive(grant, at: moment(seconds: 10).monotonicNanoseconds))
    ledger.begin(grant, until: .max, operations: nil)
    #expect(refusal(&ledger, book, by(grant), moment(seconds: 1e6)) == nil)
    ledger.end(grant: "1")
    #expect(refusal(&ledger, book, by(grant), moment(seconds: 1e6)) == "grant 1 has ended")
    #expect(!ledger.isAlive(grant, at: 0))
  }

  @Test func everyGrantHasAShareOfItsOwn() throws {
    let book = try RuleBook([rule("r").saying { $0.rate = Rate(perMinute: 1, burst: 2) }])
    let (one, two) = (Grant(id: "1", rule: "r", user: 1000), Grant(id: "2", rule: "r", user: 1000))
    var ledger = Ledger()
    for grant in [one, two] { ledger.begin(grant, until: .max, operations: nil) }
    for _ in 0..<10 { _ = refusal(&ledger, book, by(one), noon) }
    #expect(refusal(&ledger, book, by(one), noon) != nil)
    #expect(refusal(&ledger, book, by(two), noon) == nil)
    #expect(refusal(&ledger, book, caller(), noon) == nil)
  }

  private func decisionByGrant(
    _ book: RuleBook, _ caller: Caller, _ party: String = "deploy.example.com"
  ) -> String? {
    var ledger = Ledger()
    if let grant = caller.grant { ledger.begin(grant, until: .max, operations: nil) }
    guard let verdict = try? book.judge(caller, .authenticate, .relyingParty(party)) else { return nil }
    return (try? ledger.admit(verdict, at: noon))?.rule
  }
}

struct WrongTerms {
  private func keyPath(_ rule: Rule) -> String? {
    do throws(RuleError) {
      _ = try RuleBook([rule])
      return nil
    } catch {
      return error.keyPath
    }
  }

  @Test func whatHasNoEffectIsAnError() throws {
    #expect(keyPath(try rule("r").saying { $0.maximumRegistrations = 1 }) == "maxRegistrations")
    #expect(
      keyPath(try rule("r", [runner], ["a.example"], [.register]).saying { $0.bindsClaims = true }) == "bindClaims")
    #expect(keyPath(try rule("r", [runner], ["a.example"], [.manage]).only([.userName("a")])) == "accounts")
    #expect(keyPath(try rule("r").only([.userName("a"), .userName("a")])) == "accounts[1]")
    #expect(keyPath(try rule("r").saying { $0.requiredClaims = ["a": []] }) == "requireClaims.a")
    #expect(
      keyPath(try rule("r").saying { $0.requiredClaims = ["a": [ClaimPattern(String(repeating: "a", count: 513))]] })
        == "requireClaims.a")
    let wrong: [(CallerPattern, String)] = [
      (CallerPattern(slice: "ci"), "slice"), (CallerPattern(container: .id("abc")), "container"),
      (CallerPattern(executable: "deploy"), "executable"), (CallerPattern(executableDigest: [1]), "executableSHA256"),
      (CallerPattern(socket: "admin"), "socket"), (CallerPattern(socket: "ctap-"), "socket"),
    ]
    for (pattern, key) in wrong {
      #expect(keyPath(try rule("r", [pattern])) == "callers[0].\(key)")
    }
  }
}

struct Explanations {
  private func text(_ explanation: Explanation) -> [String] {
    explanation.findings.map { "\($0.rule)\($0.decides ? "!" : ""): \($0.text)" }
  }

  @Test func saysWhatKeepsEachRuleFromIt() throws {
    let book = try RuleBook([
      rule("other user", [CallerPattern(user: 7), CallerPattern(user: 1000, unit: "a.service")]),
      rule("other party", [runner], ["a.example"]), rule("other operation", [runner], ["*"], [.register]),
      rule("any", [runner], ["*"]), rule("account").only([.userName("x")]),
      rule("it", [runner], ["*.example.com"]).saying { $0.rate = Rate(perMinute: 5, burst: 1) },
    ])
    let inquiry = Inquiry(caller(), .authenticate, .relyingParty("deploy.example.com"))
    let found = book.explain(inquiry, at: noon)
    #expect(found.isAllowed && found.rule == "it")
    #expect(
      text(found) == [
        #"other user: callers[0].user: the caller's is "1000"; callers[1].unit: the caller's is unknown"#,
        "other party: relyingParties: a.example", "other operation: operations: register",
        #"any: matches too, but rule "it" names a closer RP ID"#, "account: accounts: the account is not known",
        "it!: decides: rate 5 per minute, burst 1",
      ])
    var named = inquiry
    named.account = Account(userHandle: [1], userName: "x")
    #expect(book.explain(named, at: noon).rule == "account")
  }

  @Test func saysWhyTheRuleThatDecidesRefuses() throws {
    let book = try RuleBook([
      rule("any", [runner], ["*"]), rule("it").saying { $0.hours = [try Hours("Tue 10:00-11:00 UTC")] },
      rule("grant", [runner], ["g.example"]).saying { $0.bindsClaims = true },
    ])
    let late = book.explain(Inquiry(caller(), .authenticate, .relyingParty("deploy.example.com")), at: noon)
    #expect(late.rule == "it" && late.refusal == #"rule "it" allows it at other hours"#)
    let without = book.explain(Inquiry(caller(), .authenticate, .relyingParty("g.example")), at: noon)
    #expect(without.rule == "grant" && without.refusal?.contains("requires a grant") == true)
    let nobody = book.explain(Inquiry(caller(user: 5), .reset, .all), at: noon)
    #expect(nobody.rule == nil && nobody.refusal?.contains("no rule names this caller") == true)
  }
}
