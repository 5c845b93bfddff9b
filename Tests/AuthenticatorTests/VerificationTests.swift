import AuditLog
import Authenticator
import CBOR
import CTAP
import Policy
import TestSupport
import Testing
import WebAuthn

/// User verification for which a rule stands, and what asks for any (CTAP 2.1 sections 6.1.2, 6.2.2 and 7.2).
@Suite struct VerificationTests {
  /// Verified for one relying party, and only that.
  private func partly() throws -> [Rule] {
    [
      try Harness.rule("verified", ["v.example.com"], [.register, .authenticate, .manage], verified: true),
      try Harness.rule("plain", ["*"], [.register, .authenticate, .manage]),
    ]
  }

  private func creation(_ relyingPartyID: String = "v.example.com", _ options: CBORMap) -> CBORMap {
    Harness.creation(relyingPartyID).with([(7, .map(options))])
  }

  private func assertion(
    _ id: [UInt8], _ relyingPartyID: String = "v.example.com", _ options: CBORMap = ["uv": true]
  ) -> CBORMap {
    Harness.request(relyingPartyID, allow: [id]).with([(5, .map(options))])
  }

  private func options(_ harness: Harness) async throws -> CBORMap {
    try await harness.send(4).body.map(4)
  }

  @Test func aRuleVerifiesWhereItSaysSo() async throws {
    let harness = try Harness(rules: try partly())
    #expect(try await options(harness)["uv"] == true)
    let (status, body) = try await harness.send(1, creation("v.example.com", ["uv": true]))
    #expect(status == Status.ok)
    let data = try body.authenticatorData()
    #expect(data.flags == [.up, .uv, .at])
    #expect(harness.audit.records.last?.flags == 0x45)
    let id = try #require(data.attestedCredential).credentialID
    #expect(try await harness.send(2, assertion(id)).body.authenticatorData().flags == [.up, .uv])
    #expect(
      try await harness.send(2, Harness.request("v.example.com", allow: [id])).body.authenticatorData().flags == [.up],
      "only where it is asked for")
    let lookUp = assertion(id, "v.example.com", ["uv": true, "up": false])
    #expect(try await harness.send(2, lookUp).body.authenticatorData().flags == [.uv])
  }

  @Test(arguments: [(false, Status.operationDenied), (true, Status.puatRequired)])
  func whereTheRuleDoesNotVerify(hasPIN: Bool, expected: UInt8) async throws {
    let harness = try Harness(rules: try partly())
    if hasPIN { #expect(try await PINPlatform(harness).setPIN() == Status.ok) }
    #expect(try await harness.send(1, creation("example.com", ["uv": true])).status == expected)
    #expect(harness.audit.records.last?.outcome == .failed)
    let id = try await harness.register("example.com")
    #expect(try await harness.send(2, assertion(id, "example.com")).status == expected)
    #expect(await harness.store.credentials.count == 1)
  }

  @Test func whereNoRuleVerifies() async throws {
    let harness = try await Harness.withPIN()
    let platform = PINPlatform(harness)
    #expect(try await options(harness)["uv"] == false)
    #expect(try await harness.send(1, creation("example.com", ["uv": true])).status == Status.invalidOption)
    let id = try await harness.register("v.example.com")
    #expect(try await harness.send(2, assertion(id)).status == Status.invalidOption)
    #expect(try await platform.status(platform.request(7)) == Status.invalidSubcommand)
    #expect(try await platform.verifiedToken(.makeCredential, "example.com").status == Status.notAllowed)
  }

  @Test func aTokenByRule() async throws {
    let harness = try Harness(rules: try partly())
    let platform = PINPlatform(harness)
    let (status, body) = try await platform.send(platform.request(7))
    #expect(status == Status.ok && body == [5: 3])
    let (granted, token) = try await platform.verifiedToken([.makeCredential, .getAssertion], "v.example.com")
    #expect(granted == Status.ok)
    let (made, response) = try await harness.send(1, try #require(token).creation("v.example.com"))
    #expect(made == Status.ok)
    #expect(try response.authenticatorData().flags == [.up, .uv, .at])
    #expect(await harness.keys.retryWrites == 0)

    for request in [
      (.makeCredential, "example.com"), ([.getAssertion, .largeBlobWrite], "v.example.com"),
      (.credentialManagement, nil), (.authenticatorConfiguration, nil), (.credentialManagement, "example.com"),
      (.largeBlobWrite, nil),
    ] as [(Permissions, String?)] {
      #expect(try await platform.verifiedToken(request.0, request.1).status == Status.uvBlocked, "\(request)")
    }
    #expect(try await platform.verifiedToken(.credentialManagement, "v.example.com").status == Status.ok)
    #expect(try await platform.verifiedToken([], "v.example.com").status == Status.invalidParameter)
    #expect(try await platform.verifiedToken(.getAssertion, nil).status == Status.missingParameter)
    #expect(try await platform.verifiedToken(.bioEnrollment, nil).status == Status.unauthorizedPermission)
  }

  @Test func mandatoryParametersOfATokenByRule() async throws {
    let harness = try Harness(rules: try partly())
    let platform = PINPlatform(harness)
    let exchange = try await platform.exchange()
    let request = platform.request(6).with([(3, exchange.point), (9, 2), (10, "v.example.com")])
    for member in [1, 3, 9, 10] as [CBORValue] {
      #expect(try await platform.status(request.with([(member, nil)])) == Status.missingParameter, "\(member)")
    }
    #expect(try await platform.status(request.with([(1, 3)])) == Status.invalidParameter)
    let off = Exchange.coseKey([UInt8](repeating: 1, count: 32), [UInt8](repeating: 1, count: 32))
    #expect(try await platform.status(request.with([(3, off)])) == Status.invalidParameter)
    #expect(try await platform.status(request) == Status.ok)
  }

  @Test func theRulesChangeBetweenTokenAndUse() async throws {
    let harness = try Harness(rules: [try Harness.anything(verified: true)])
    let platform = PINPlatform(harness)
    let id = try await harness.register()
    func token(_ permissions: Permissions, _ relyingPartyID: String? = nil) async throws -> Token {
      await harness.engine.replaceJudge(try RuleBook([try Harness.anything(verified: true)]))
      let token = try #require(try await platform.verifiedToken(permissions, relyingPartyID).token)
      await harness.engine.replaceJudge(try RuleBook([try Harness.anything()]))
      return token
    }
    let creating = try await token(.makeCredential, "example.com")
    #expect(try await harness.send(1, creating.creation()).status == Status.pinAuthInvalid)
    let asserting = try await token(.getAssertion, "example.com")
    #expect(try await harness.send(2, asserting.assertion(allow: [id])).status == Status.pinAuthInvalid)
    let managing = try await token(.credentialManagement)
    #expect(try await harness.send(0x0a, managing.management(1)).status == Status.pinAuthInvalid)
    let configuring = try await token(.authenticatorConfiguration)
    #expect(try await harness.send(0x0d, configuring.config(2)).status == Status.pinAuthInvalid)
    let writing = try await token(.largeBlobWrite)
    #expect(
      try await harness.send(0x0c, writing.write(LargeBlobTests.empty, at: 0, of: 17)).status
        == Status.pinAuthInvalid)
    #expect(await harness.store.credentials.count == 1)
  }

  @Test func aTokenByPINOutlivesTheRuleThatVerifies() async throws {
    let harness = try Harness(rules: [try Harness.anything(verified: true)])
    #expect(try await PINPlatform(harness).setPIN() == Status.ok)
    let token = try await PINPlatform(harness).token(.makeCredential, "example.com")
    await harness.engine.replaceJudge(try RuleBook([try Harness.anything()]))
    #expect(try await harness.send(1, token.creation()).status == Status.ok)
  }

  @Test(arguments: [true, false])
  func theRuleIsAskedAgainInAWalk(byToken: Bool) async throws {
    let harness = try Harness(rules: [try Harness.anything()])
    for user in UInt8(1)...3 { try await harness.register(user: [user], discoverable: true) }
    await harness.engine.replaceJudge(try RuleBook([try Harness.anything(verified: true)]))
    let first: CBORMap
    if byToken {
      let token = try #require(try await PINPlatform(harness).verifiedToken(.getAssertion, "example.com").token)
      first = token.assertion()
    } else {
      first = Harness.request().with([(5, .map(["uv": true]))])
    }
    #expect(try await harness.send(2, first).body.authenticatorData().flags == [.up, .uv])
    #expect(try await harness.send(8).body.authenticatorData().flags == [.up, .uv])
    await harness.engine.replaceJudge(try RuleBook([try Harness.anything()]))
    #expect(try await harness.send(8).status != Status.ok, "nobody verifies any longer")
  }

  // MARK: makeCredUvNotRqd and alwaysUv

  @Test(arguments: [
    (false, false, Status.ok), (true, false, Status.puatRequired), (false, true, Status.puatRequired),
    (true, true, Status.puatRequired),
  ])
  func discoverableCredentialsAskForWhatThereIs(hasPIN: Bool, isVerified: Bool, expected: UInt8) async throws {
    let harness = try Harness(rules: [try Harness.anything(verified: isVerified)])
    if hasPIN { #expect(try await PINPlatform(harness).setPIN() == Status.ok) }
    #expect(try await options(harness)["makeCredUvNotRqd"] == true)
    #expect(try await harness.send(1, creation("example.com", ["rk": true])).status == expected)
    let (status, body) = try await harness.send(1, creation("example.com", ["rk": false]))
    #expect(status == Status.ok, "others do not")
    #expect(try body.authenticatorData().flags == [.up, .at])
  }

  @Test func verifiedAlwaysByPIN() async throws {
    let harness = try await Harness.withPIN()
    let id = try await harness.register()
    let configuring = try await PINPlatform(harness).token(.authenticatorConfiguration)
    #expect(try await harness.send(0x0d, configuring.config(2)).status == Status.ok)
    let now = try await options(harness)
    #expect(now["alwaysUv"] == true && now["makeCredUvNotRqd"] == false)
    #expect(try await harness.send(4).body[1] == .array(["FIDO_2_0", "FIDO_2_1"]), "no U2F")

    #expect(try await harness.send(1, Harness.creation()).status == Status.puatRequired)
    #expect(try await harness.send(2, Harness.request(allow: [id])).status == Status.puatRequired)
    let lookUp = Harness.request(allow: [id]).with([(5, .map(["up": false]))])
    #expect(try await harness.send(2, lookUp).body.authenticatorData().flags == [])
    let token = try await PINPlatform(harness).token([.makeCredential, .getAssertion], "example.com")
    #expect(try await harness.send(2, token.assertion(allow: [id])).body.authenticatorData().flags == [.up, .uv])
    let second = try await PINPlatform(harness).token(.authenticatorConfiguration)
    #expect(try await harness.send(0x0d, second.config(2)).status == Status.ok, "and back")
    #expect(try await harness.send(2, Harness.request(allow: [id])).status == Status.ok)
  }

  /// The rule that verifies for one relying party bars the way to no other.
  @Test func discoverableCredentialsWhereNothingVerifies() async throws {
    let harness = try Harness(rules: try partly())
    let wanted = Harness.creation("example.com").with([(7, .map(["rk": true]))])
    let (status, body) = try await harness.send(1, wanted)
    #expect(status == Status.ok)
    #expect(try body.authenticatorData().flags == [.up, .at])
    let elsewhere = Harness.creation("v.example.com").with([(7, .map(["rk": true]))])
    #expect(try await harness.send(1, elsewhere).status == Status.puatRequired)
  }

  @Test func verifiedAlwaysByRule() async throws {
    let harness = try Harness(rules: try partly())
    let elsewhere = try await harness.register("example.com")
    #expect(try await harness.send(0x0d, [1: 2]).status == Status.ok, "the rule verifies elsewhere only")
    let (status, body) = try await harness.send(1, Harness.creation("v.example.com"))
    #expect(status == Status.ok, "verified without being asked to")
    #expect(try body.authenticatorData().flags == [.up, .uv, .at])
    #expect(try await harness.send(1, Harness.creation("example.com")).status == Status.operationDenied)
    #expect(
      try await harness.send(2, Harness.request("example.com", allow: [elsewhere])).status == Status.operationDenied)
  }

  @Test func verifiedAlwaysByNobody() async throws {
    let harness = try Harness(rules: [try Harness.anything()])
    #expect(try await harness.send(0x0d, [1: 2]).status == Status.ok)
    #expect(try await harness.send(1, Harness.creation()).status == Status.puatRequired)
    #expect(try await PINPlatform(harness).setPIN() == Status.ok, "which is the way out")
    let token = try await PINPlatform(harness).token(.makeCredential, "example.com")
    #expect(try await harness.send(1, token.creation()).status == Status.ok)
  }

  @Test func theTokenGoesBeforeTheOption() async throws {
    let harness = try await Harness.withPIN()
    let token = try await PINPlatform(harness).token(.makeCredential, "example.com")
    let request = token.creation("example.com", user: [1], [(7, .map(["uv": true]))])
    #expect(try await harness.send(1, request).body.authenticatorData().flags == [.up, .uv, .at])
  }
}
