import Platform
import Testing

@testable import Policy

let runner = CallerPattern(user: 1000)

/// Of a Monday.
let noon = Moment(
  monotonicNanoseconds: 1_000_000_000_000, utc: WallClock(weekday: 0, minute: 720),
  local: WallClock(weekday: 0, minute: 720))

func caller(
  user: UInt32 = 1000, group: UInt32 = 1000, groups: [UInt32] = [], unit: String? = nil
) -> Caller {
  Caller(connection: 1, user: user, group: group, process: 42, supplementaryGroups: groups, unit: unit)
}

func rule(
  _ name: String, _ callers: [CallerPattern] = [runner], _ parties: [String] = ["deploy.example.com"],
  _ operations: Set<Policy.Operation> = [.authenticate], userVerification: Bool = false
) throws -> Rule {
  var terms = Terms()
  terms.userVerification = userVerification
  return Rule(
    name: name, callers: callers, relyingParties: try parties.map { text in try RelyingPartyPattern(text) },
    operations: operations, terms: terms)
}

/// The name of the rule that allows it; nil if it is refused.
func decision(
  _ book: RuleBook, _ caller: Caller, _ operation: Policy.Operation = .authenticate,
  _ party: String? = "deploy.example.com"
) -> String? {
  do throws(Refusal) {
    var ledger = Ledger()
    let verdict = try book.judge(caller, operation, party.map(Scope.relyingParty) ?? .all)
    let presence = try ledger.admit(verdict, at: noon)
    #expect(presence.operation == operation)
    #expect(presence.scope == (operation == .reset ? .all : party.map(Scope.relyingParty) ?? .all))
    return presence.rule
  } catch {
    #expect(!error.reason.isEmpty)
    return nil
  }
}

func reason(
  _ book: RuleBook, _ caller: Caller, _ operation: Policy.Operation = .authenticate,
  _ party: String? = "deploy.example.com"
) -> String? {
  do throws(Refusal) {
    _ = try book.judge(caller, operation, party.map(Scope.relyingParty) ?? .all)
    return nil
  } catch {
    return error.reason
  }
}

struct Decisions {
  @Test func nothingIsAllowedByDefault() throws {
    for book in [RuleBook.empty, try RuleBook([])] {
      for operation in Policy.Operation.allCases {
        #expect(decision(book, caller(user: 0, group: 0), operation) == nil)
      }
      #expect(!book.recognises(caller(user: 0)))
    }
  }

  @Test func callersAreAnyOfAndTheirFieldsAllOf() throws {
    let book = try RuleBook([
      rule("r", [runner, CallerPattern(group: 200, unit: "ci.service")])
    ])
    #expect(decision(book, caller()) == "r")
    #expect(decision(book, caller(user: 1001)) == nil)
    #expect(decision(book, caller(user: 1001, group: 200, unit: "ci.service")) == "r")
    #expect(decision(book, caller(user: 1001, groups: [4, 200], unit: "ci.service")) == "r")
    #expect(decision(book, caller(user: 1001, groups: [4, 200], unit: "other.service")) == nil)
    #expect(decision(book, caller(user: 1001, groups: [4], unit: "ci.service")) == nil)
  }

  @Test func whatCouldNotBeLearntNeverMatches() throws {
    let book = try RuleBook([rule("r", [CallerPattern(unit: "ci.service")])])
    #expect(decision(book, caller(unit: nil)) == nil)
    #expect(decision(book, caller(unit: "ci.service")) == "r")
    #expect(decision(book, caller(unit: "CI.service")) == nil)
  }

  @Test func rootIsACallerLikeAnyOther() throws {
    let book = try RuleBook([rule("r")])
    #expect(decision(book, caller(user: 0, group: 0)) == nil)
  }

  @Test func anOperationIsAllowedOnlyWhereItStands() throws {
    for allowed in Policy.Operation.allCases {
      let book = try RuleBook([rule("r", [runner], ["deploy.example.com"], [allowed])])
      for operation in Policy.Operation.allCases {
        #expect((decision(book, caller(), operation) != nil) == (operation == allowed))
      }
    }
  }

  @Test func resetConcernsNoRelyingParty() throws {
    let book = try RuleBook([rule("r", [runner], [], [.reset])])
    #expect(decision(book, caller(), .reset, nil) == "r")
    #expect(decision(book, caller(user: 1001), .reset, nil) == nil)
  }

  @Test func onlyAllRelyingPartiesCoverNoneInParticular() throws {
    let one = try RuleBook([rule("r", [runner], ["a.example"], [.manage, .authenticate])])
    #expect(decision(one, caller(), .manage, nil) == nil)
    let all = try RuleBook([rule("r", [runner], ["*"], [.manage, .authenticate])])
    #expect(decision(all, caller(), .manage, nil) == "r")
    #expect(decision(all, caller(), .authenticate, nil) == nil)
  }

  @Test(arguments: [".dummy", "make.me.blink"])
  func probesAreNeverRegistered(_ probe: String) throws {
    let book = try RuleBook([rule("r", [runner], ["*"], [.register, .authenticate])])
    #expect(decision(book, caller(), .register, probe) == nil)
    #expect(decision(book, caller(), .register, "example.com") == "r")
  }

  @Test func recognisesCallersOfAnyRule() throws {
    let book = try RuleBook([rule("r"), rule("s", [CallerPattern(group: 7)])])
    #expect(book.recognises(caller()))
    #expect(book.recognises(caller(user: 5, groups: [7])))
    #expect(!book.recognises(caller(user: 5)))
  }

  @Test func refusalsNameTheNearestMiss() throws {
    let book = try RuleBook([
      rule("deploy", [runner], ["deploy.example.com"], [.authenticate]),
      rule("mail", [runner], ["mail.example.com"], [.register]),
    ])
    #expect(reason(.empty, caller()) == "the configuration has no rules, so nothing is allowed")
    #expect(
      reason(book, caller(user: 5, group: 6, groups: [7], unit: "a.service"))
        == #"no rule names this caller (uid 5, gids 6, 7, unit "a.service")"#)
    #expect(
      reason(book, caller(), .authenticate, "other.example")
        == #"rules "deploy", "mail" match the caller (uid 1000, gids 1000, unit unknown) but not RP ID "other.example""#
    )
    #expect(
      reason(book, caller(), .register)
        == #"rule "deploy" matches the caller (uid 1000, gids 1000, unit unknown) and RP ID "deploy.example.com" "#
        + "but does not allow operation register")
    #expect(
      reason(book, caller(), .reset, nil)
        == #"rules "deploy", "mail" match the caller (uid 1000, gids 1000, unit unknown) "#
        + "but do not allow operation reset")
  }

  @Test func refusalsKeepStrangersOnOneBoundedLine() throws {
    let book = try RuleBook((0..<50).map { try rule("rule \($0)", [runner], ["\($0)a.example"]) })
    let text = try #require(
      reason(
        book, caller(groups: Array(0..<60_000), unit: "x\n"), .authenticate,
        "evil\n\u{202e}" + String(repeating: "x", count: 60_000)))
    #expect(text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f || $0 >= 0x80 })
    #expect(text.utf8.count < 1200)
    #expect(text.contains(#"evil\n\u{202E}"#))
  }
}

struct WrongRules {
  private func error(_ rules: Rule...) -> RuleError? {
    do throws(RuleError) {
      _ = try RuleBook(rules)
      return nil
    } catch {
      return error
    }
  }

  @Test func aRuleMustNameCallers() throws {
    #expect(try error(rule("a"), rule("r", []))?.keyPath == "callers")
    #expect(try error(rule("a"), rule("r", []))?.rule == 1)
    #expect(try error(rule("r", [runner, CallerPattern()]))?.keyPath == "callers[1]")
    #expect(try error(rule("r", [runner, runner]))?.keyPath == "callers[1]")
  }

  @Test func aPatternWithoutFieldsMatchesNobody() {
    #expect(!CallerPattern().matches(caller(), ofRule: "r"))
  }

  @Test func aRuleMustNameOperationsAndRelyingParties() throws {
    #expect(try error(rule("r", [runner], ["a.example"], []))?.keyPath == "operations")
    #expect(try error(rule("r", [runner], []))?.keyPath == "relyingParties")
    #expect(try error(rule("r", [runner], [], [.reset, .manage]))?.keyPath == "relyingParties")
    #expect(try error(rule("r", [runner], ["a.example", "a.example"]))?.keyPath == "relyingParties[1]")
  }

  @Test(arguments: ["", "a\nb", "a\u{202e}b", "\u{7f}"])
  func aNameMustPrint(_ name: String) throws {
    #expect(try error(rule(name))?.keyPath == "name")
  }

  @Test func namesAreUnique() throws {
    let found = try #require(try error(rule("r"), rule("r", [CallerPattern(user: 7)])))
    #expect(found.rule == 1 && found.keyPath == "name" && found.earlier == [0])
  }

  @Test(arguments: ["actions.runner", "ci*.service", ".service", "a b.service", "", "ci.timer"])
  func aUnitIsNamedInFull(_ unit: String) throws {
    #expect(try error(rule("r", [CallerPattern(unit: unit)]))?.keyPath == "callers[0].unit")
  }

  @Test func unitsOfEveryShape() throws {
    for unit in ["actions.runner.a-b.c.service", "user@1000.service", #"a\x2db.scope"#, "user-1000.slice"] {
      #expect(try error(rule("r", [CallerPattern(unit: unit)])) == nil)
    }
  }
}
