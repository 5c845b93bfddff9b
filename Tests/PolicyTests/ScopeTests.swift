import Crypto
import Testing

@testable import Policy

private func isAllowed(_ book: RuleBook, _ caller: Caller, _ operation: Policy.Operation, _ scope: Scope) -> Bool {
  do throws(Refusal) {
    var ledger = Ledger()
    let judged = try ledger.admit(try book.judge(caller, operation, scope), at: noon).scope
    #expect(judged == scope)
    return true
  } catch {
    return false
  }
}

private let administrator = Caller(
  connection: 1, user: 0, group: 0, process: 42, supplementaryGroups: [], unit: nil, isOperator: true)

/// Relying parties of which only a hash is known, as in U2F.
struct ApplicationTests {
  private let hash = SHA256.hash(Array("deploy.example.com".utf8))

  @Test(arguments: [
    ("deploy.example.com", true), ("*", true), ("*.example.com", false), ("*.com", false), ("example.com", false),
  ])
  func onlyRulesThatSurelyMatch(pattern: String, expected: Bool) throws {
    let book = try RuleBook([rule("r", [runner], [pattern], [.authenticate, .register])])
    for operation in [.authenticate, .register] as [Policy.Operation] {
      #expect(isAllowed(book, caller(), operation, .application(hash)) == expected)
    }
    #expect(!isAllowed(book, caller(user: 1001), .authenticate, .application(hash)))
    #expect(!isAllowed(book, caller(), .manage, .application(hash)))
  }

  @Test func openSSHApplicationsMatchByTheirHash() throws {
    let book = try RuleBook([rule("r", [runner], ["ssh:"])])
    #expect(isAllowed(book, caller(), .authenticate, .application(SHA256.hash(Array("ssh:".utf8)))))
    #expect(!isAllowed(book, caller(), .authenticate, .application(SHA256.hash(Array("ssh:a".utf8)))))
  }

  @Test(arguments: [[], [UInt8](repeating: 0, count: 32), [UInt8](repeating: 0, count: 31)])
  func anyOtherBytesMatchNoName(hash: [UInt8]) throws {
    let book = try RuleBook([rule("r", [runner], ["deploy.example.com", "*.example.com"])])
    #expect(!isAllowed(book, caller(), .authenticate, .application(hash)))
  }

  @Test func theRefusalNamesTheHash() throws {
    let book = try RuleBook([rule("r", [runner], ["*.example.com"])])
    do throws(Refusal) {
      _ = try book.judge(caller(), .authenticate, .application([0x0a, 0xff]))
      Issue.record("it is allowed")
    } catch {
      #expect(error.reason.contains("U2F application 0aff"), "\(error.reason)")
    }
  }

  @Test func theHashOfAScope() {
    #expect(Scope.relyingParty("deploy.example.com").hash == hash)
    #expect(Scope.application([1]).hash == [1])
    #expect(Scope.all.hash == nil)
    #expect(Scope.relyingParty("a").relyingPartyID == "a")
    #expect(Scope.application(hash).relyingPartyID == nil && Scope.all.relyingPartyID == nil)
  }
}

struct RecognitionTests {
  @Test func operationsOfAnyRule() throws {
    let book = try RuleBook([
      rule("r", [runner], ["a.example"], [.manage]), rule("s", [CallerPattern(group: 7)], ["b.example"], [.register]),
    ])
    #expect(book.recognises(caller(), .manage))
    #expect(!book.recognises(caller(), .register))
    #expect(book.recognises(caller(groups: [7]), .register))
    #expect(!book.recognises(caller(user: 5, groups: [7]), .manage))
    #expect(!RuleBook.empty.recognises(caller(), .manage))
  }

  @Test func verifyingIsOneRulesSay() throws {
    let book = try RuleBook([
      rule("r"), rule("s", [CallerPattern(user: 7)], ["b.example"], [.authenticate], userVerification: true),
    ])
    #expect(!book.verifies(caller()))
    #expect(book.verifies(caller(user: 7)))
    #expect(!RuleBook.empty.verifies(caller(user: 7)))
  }
}

struct OperatorTests {
  @Test func managesEverythingWithoutARule() throws {
    for book in [RuleBook.empty, try RuleBook([rule("r", [runner], ["a.example"], [.manage], userVerification: true)])]
    {
      for scope in [.all, .relyingParty("b.example"), .application([UInt8](repeating: 1, count: 32))] as [Scope] {
        #expect(isAllowed(book, administrator, .manage, scope))
        let presence = try book.judge(administrator, .manage, scope)
        let (rule, isVerified) = (presence.rule, presence.userVerification)
        #expect(rule == "(operator)" && !isVerified)
      }
      #expect(book.recognises(administrator))
      #expect(book.recognises(administrator, .manage))
    }
  }

  @Test func signsAndResetsNothingWhateverTheRulesSay() throws {
    let everything = try rule(
      "all", [CallerPattern(user: 0)], ["*"], Set(Policy.Operation.allCases), userVerification: true)
    let book = try RuleBook([everything])
    for operation in Policy.Operation.allCases where operation != .manage {
      for scope in [.all, .relyingParty("a.example"), .application([UInt8](repeating: 1, count: 32))] as [Scope] {
        #expect(!isAllowed(book, administrator, operation, scope))
      }
      #expect(!book.recognises(administrator, operation))
    }
    #expect(!book.verifies(administrator))
    #expect(isAllowed(book, caller(user: 0, group: 0), .authenticate, .relyingParty("a.example")))
  }
}
