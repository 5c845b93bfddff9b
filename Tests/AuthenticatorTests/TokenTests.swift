import AuditLog
import Authenticator
import CBOR
import CTAP
import Crypto
import Policy
import Secrets
import TestSupport
import Testing
import WebAuthn

/// What tokens are good for, and for how long (CTAP 2.1 sections 6.5.2.1 and 6.5.5.7).
@Suite struct TokenTests {
  private static let served: Permissions = [
    .makeCredential, .getAssertion, .credentialManagement, .largeBlobWrite, .authenticatorConfiguration,
  ]

  @Test(
    arguments: [
      (0x00, Status.invalidParameter), (0x08, Status.unauthorizedPermission), (0x80, Status.unauthorizedPermission),
      (0x24 | 0x08, Status.unauthorizedPermission), (1 << 40, Status.unauthorizedPermission),
      (0x41, Status.invalidParameter), (0x60, Status.invalidParameter), (0x40, Status.ok), (0x37, Status.ok),
      (0x01, Status.ok), (0x02, Status.ok), (0x04, Status.ok), (0x10, Status.ok), (0x20, Status.ok),
    ] as [(UInt64, UInt8)])
  func permissions(number: UInt64, expected: UInt8) async throws {
    let harness = try await Harness.withPIN()
    let platform = PINPlatform(harness)
    let permissions = Permissions(rawValue: number)
    let request = try platform.asking("1234", permissions, "example.com", try await platform.exchange())
    #expect(try await platform.status(request) == expected)
    #expect(try await platform.retries() == 8, "nothing of it is an attempt")
  }

  @Test func permissionsForARelyingPartyNameIt() async throws {
    let harness = try await Harness.withPIN()
    let platform = PINPlatform(harness)
    let exchange = try await platform.exchange()
    for permissions in [.makeCredential, .getAssertion, [.getAssertion, .largeBlobWrite]] as [Permissions] {
      #expect(
        try await platform.status(try platform.asking("1234", permissions, nil, exchange)) == Status.missingParameter)
    }
  }

  @Test(arguments: PINUVAuthProtocol.allCases)
  func aTokenVerifies(version: PINUVAuthProtocol) async throws {
    let harness = try await Harness.withPIN()
    let platform = PINPlatform(harness, Harness.alice, version)
    let token = try await platform.token([.makeCredential, .getAssertion], "example.com")
    let (status, body) = try await harness.send(1, token.creation())
    #expect(status == Status.ok)
    let data = try body.authenticatorData()
    #expect(data.flags == [.up, .uv, .at])
    let id = try #require(data.attestedCredential).credentialID
    let again = try await platform.token([.makeCredential, .getAssertion], "example.com")
    #expect(try await harness.send(2, again.assertion(allow: [id])).body.authenticatorData().flags == [.up, .uv])
    #expect(harness.audit.records.last?.flags == 0x05)
  }

  @Test func aTokenIsForItsPermissionsAndRelyingPartyOnly() async throws {
    let harness = try await Harness.withPIN()
    let platform = PINPlatform(harness)
    let id = try await harness.register()
    let creating = try await platform.token(.makeCredential, "example.com")
    #expect(try await harness.send(2, creating.assertion(allow: [id])).status == Status.pinAuthInvalid)
    #expect(try await harness.send(0x0a, creating.management(1)).status == Status.pinAuthInvalid)
    #expect(try await harness.send(0x0d, creating.config(2)).status == Status.pinAuthInvalid)
    #expect(
      try await harness.send(0x0c, creating.write(LargeBlobTests.empty, at: 0, of: 17)).status
        == Status.pinAuthInvalid)
    #expect(try await harness.send(1, creating.creation("example.org")).status == Status.pinAuthInvalid)
    #expect(try await harness.send(1, creating.creation()).status == Status.ok)
    let asserting = try await platform.token(.getAssertion, "example.com")
    #expect(try await harness.send(1, asserting.creation()).status == Status.pinAuthInvalid)
    #expect(try await harness.send(2, asserting.assertion("example.org", allow: [id])).status == Status.pinAuthInvalid)
  }

  @Test func wrongCodesAndProtocols() async throws {
    let harness = try await Harness.withPIN()
    let platform = PINPlatform(harness)
    let id = try await harness.register()
    let token = try await platform.token(.getAssertion, "example.com")
    let right = token.assertion(allow: [id])
    var code = try right.bytes(6)
    code[31] ^= 1
    #expect(try await harness.send(2, right.with([(6, .bytes(code))])).status == Status.pinAuthInvalid)
    #expect(try await harness.send(2, right.with([(7, nil)])).status == Status.missingParameter)
    #expect(try await harness.send(2, right.with([(7, 3)])).status == Status.invalidParameter)
    let cut: CBORValue = .bytes(Array(try right.bytes(6).prefix(16)))
    #expect(
      try await harness.send(2, right.with([(6, cut), (7, 1)])).status == Status.pinAuthInvalid,
      "a token of one protocol is none of the other")
    #expect(try await harness.send(1, Harness.creation().with([(8, cut)])).status == Status.missingParameter)
    #expect(try await harness.send(1, Harness.creation().with([(8, cut), (9, 3)])).status == Status.invalidParameter)
    #expect(try await harness.send(2, right).status == Status.ok)
  }

  @Test func withoutATokenOrAPIN() async throws {
    let harness = try Harness(rules: [try Harness.anything()])
    let bytes = try SecretBytes.random(count: 32)
    let token = Token(bytes, .two)
    #expect(try await harness.send(1, token.creation()).status == Status.pinNotSet)
    #expect(try await PINPlatform(harness).setPIN() == Status.ok)
    #expect(try await harness.send(1, token.creation()).status == Status.pinAuthInvalid)
    #expect(await harness.store.credentials.isEmpty)
  }

  @Test(arguments: [(1, false), (1, true), (2, false), (2, true)] as [(UInt8, Bool)])
  func zeroLengthParameters(command: UInt8, hasPIN: Bool) async throws {
    let harness = try Harness(rules: [try Harness.anything()])
    if hasPIN { #expect(try await PINPlatform(harness).setPIN() == Status.ok) }
    let expected = hasPIN ? Status.pinInvalid : Status.pinNotSet
    let request =
      command == 1 ? Harness.creation().with([(8, .bytes([]))]) : Harness.request().with([(6, .bytes([]))])
    #expect(try await harness.send(command, request).status == expected)
    let stranger = Harness.caller(connection: 2, user: 1001)
    #expect(try await harness.send(command, request, from: stranger).status == Status.operationDenied)
    #expect(await harness.store.credentials.isEmpty)
  }

  // MARK: Binding and use

  @Test func theFirstUseBindsATokenThatNamesNoRelyingParty() async throws {
    let harness = try await Harness.withPIN()
    let platform = PINPlatform(harness)
    let id = try await harness.register()
    let other = try await harness.register("example.org")
    let token = try await platform.legacyToken()
    let lookUp = token.assertion(allow: [id], [(5, .map(["up": false]))])
    #expect(try await harness.send(2, lookUp).body.authenticatorData().flags == [.uv])
    #expect(try await harness.send(2, token.assertion("example.org", allow: [other])).status == Status.pinAuthInvalid)
    #expect(try await harness.send(1, token.creation("example.org")).status == Status.pinAuthInvalid)
    #expect(try await harness.send(1, token.creation()).status == Status.ok)
  }

  @Test func aTokenIsSpentByOneCeremony() async throws {
    let harness = try await Harness.withPIN()
    let platform = PINPlatform(harness)
    let id = try await harness.register()
    var token = try await platform.token(Self.served, "example.com")
    #expect(try await harness.send(1, token.creation()).status == Status.ok)
    #expect(try await harness.send(1, token.creation()).status == Status.pinAuthInvalid)
    #expect(try await harness.send(2, token.assertion(allow: [id])).status == Status.pinAuthInvalid)
    #expect(try await harness.send(0x0a, token.management(1)).status == Status.pinAuthInvalid)
    #expect(try await harness.send(0x0d, token.config(2)).status == Status.pinAuthInvalid)
    let write = token.write(LargeBlobTests.empty, at: 0, of: 17)
    #expect(try await harness.send(0x0c, write).status == Status.ok, "large blobs are written after it")

    token = try await platform.token(Self.served, "example.com")
    #expect(try await harness.send(2, token.assertion(allow: [id])).status == Status.ok)
    #expect(try await harness.send(2, token.assertion(allow: [id])).status == Status.pinAuthInvalid)
    #expect(try await harness.send(0x0c, token.write(LargeBlobTests.empty, at: 0, of: 17)).status == Status.ok)
  }

  @Test func lookingUpSpendsNothing() async throws {
    let harness = try await Harness.withPIN()
    let id = try await harness.register()
    let token = try await PINPlatform(harness).token(.getAssertion, "example.com")
    let lookUp = token.assertion(allow: [id], [(5, .map(["up": false]))])
    for _ in 0..<3 { #expect(try await harness.send(2, lookUp).status == Status.ok) }
    #expect(try await harness.send(2, token.assertion(allow: [[9]])).status == Status.noCredentials)
    #expect(try await harness.send(2, token.assertion(allow: [id])).status == Status.ok)
  }

  @Test func aTokenWaitsThirtySecondsForItsFirstUse() async throws {
    let harness = try await Harness.withPIN()
    let id = try await harness.register()
    let platform = PINPlatform(harness)
    var token = try await platform.token(.getAssertion, "example.com")
    harness.time.advance(by: .milliseconds(30_001))
    #expect(try await harness.send(2, token.assertion(allow: [id])).status == Status.pinAuthInvalid)
    token = try await platform.token(.getAssertion, "example.com")
    harness.time.advance(by: .seconds(30))
    #expect(try await harness.send(2, token.assertion(allow: [id])).status == Status.ok)
  }

  @Test func aTokenInUseLivesTenMinutes() async throws {
    let harness = try await Harness.withPIN()
    let token = try await PINPlatform(harness).token(.credentialManagement)
    for _ in 0..<10 {
      #expect(try await harness.send(0x0a, token.management(1)).status == Status.ok)
      harness.time.advance(by: .seconds(60))
    }
    #expect(try await harness.send(0x0a, token.management(1)).status == Status.ok)
    harness.time.advance(by: .milliseconds(1))
    #expect(try await harness.send(0x0a, token.management(1)).status == Status.pinAuthInvalid)
  }

  @Test func aTokenBelongsToOneChannelAndIsOneAtATime() async throws {
    let harness = try await Harness.withPIN()
    let id = try await harness.register()
    let other = Harness.caller(connection: 2)
    let token = try await PINPlatform(harness).token(.getAssertion, "example.com")
    let request = token.assertion(allow: [id])
    #expect(try await harness.send(2, request, from: other).status == Status.pinAuthInvalid)
    let next = try await PINPlatform(harness).token(.getAssertion, "example.com")
    #expect(try await harness.send(2, request).status == Status.pinAuthInvalid, "a new one ends the old one")
    await harness.engine.close(Harness.alice)
    #expect(try await harness.send(2, next.assertion(allow: [id])).status == Status.pinAuthInvalid)
    #expect(try await harness.restarted().send(2, next.assertion(allow: [id])).status == Status.pinAuthInvalid)
  }
}
