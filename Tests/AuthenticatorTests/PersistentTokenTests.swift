import Authenticator
import CBOR
import CTAP
import Crypto
import Policy
import Secrets
import TestSupport
import Testing
import WebAuthn

/// The persistent token and what only its holder can read (CTAP 2.2).
@Suite struct PersistentTokenTests {
  private static let permission: Permissions = .persistentCredentialManagementReadOnly

  private func request(_ subcommand: UInt8, _ token: Token, _ id: [UInt8]) -> CBORMap {
    switch subcommand {
    case 4: token.management(4, [1: .bytes(SHA256.hash(Array("example.com".utf8)))])
    case 6: token.management(6, [2: .map(["id": .bytes(id), "type": "public-key"])])
    case 7: token.management(7, [2: .map(["id": .bytes(id), "type": "public-key"]), 3: .map(["id": .bytes([1])])])
    default: token.management(subcommand)
    }
  }

  @Test(arguments: PINUVAuthProtocol.allCases)
  func itReadsOnEveryConnectionAndOverRestarts(version: PINUVAuthProtocol) async throws {
    var harness = try await Harness.withPIN(users: [1000, 1001])
    let id = try await PINPlatform(harness).token(.makeCredential, "example.com").register(harness)
    let token = try await PINPlatform(harness, Harness.alice, version).token(Self.permission)
    for _ in 0..<2 {
      for caller in [Harness.alice, Harness.caller(connection: 2), Harness.caller(connection: 3, user: 1001)] {
        for subcommand in [1, 2, 4] as [UInt8] {
          #expect(try await harness.send(0x0a, request(subcommand, token, id), from: caller).status == Status.ok)
        }
        for subcommand in [6, 7] as [UInt8] {
          #expect(
            try await harness.send(0x0a, request(subcommand, token, id), from: caller).status == Status.pinAuthInvalid)
        }
      }
      harness.time.advance(by: .seconds(3600))
      harness = try harness.restarted()
    }
    #expect(try await harness.send(0x0d, token.config(2)).status == Status.pinAuthInvalid)
    #expect(try await harness.send(2, token.assertion(allow: [id])).status == Status.pinAuthInvalid)
    let again = try await PINPlatform(harness, Harness.caller(connection: 5), version).token(Self.permission)
    #expect(again.isSame(as: token))
  }

  @Test func itLeavesTheChannelsTokenAlone() async throws {
    let harness = try await Harness.withPIN()
    let platform = PINPlatform(harness)
    let token = try await platform.token(.credentialManagement)
    _ = try await platform.token(Self.permission)
    #expect(try await harness.send(0x0a, token.management(1)).status == Status.ok)
  }

  @Test func itEndsWithThePINAndWithAReset() async throws {
    let harness = try await Harness.withPIN()
    var token = try await PINPlatform(harness).token(Self.permission)
    #expect(try await PINPlatform(harness).changePIN("1234", "5678") == Status.ok)
    #expect(try await harness.send(0x0a, token.management(1)).status == Status.pinAuthInvalid)
    let next = try await PINPlatform(harness).token(Self.permission, pin: "5678")
    #expect(!next.isSame(as: token))
    token = next
    #expect(try await harness.send(0x0a, token.management(1)).status == Status.ok)
    #expect(try await harness.send(7).status == Status.ok)
    #expect(try await harness.send(0x0a, token.management(1)).status == Status.pinAuthInvalid)
  }

  @Test func itNeedsARuleAllTheSame() async throws {
    let harness = try await Harness.withPIN()
    let token = try await PINPlatform(harness).token(Self.permission)
    let stranger = Harness.caller(connection: 2, user: 1001)
    #expect(try await harness.send(0x0a, token.management(1), from: stranger).status == Status.operationDenied)
    await harness.engine.replaceJudge(try RuleBook([try Harness.anything(operations: [.register])]))
    #expect(try await harness.send(0x0a, token.management(1)).status == Status.operationDenied)
  }

  /// It would outlive the rule.
  @Test func aRuleCannotStandForThePIN() async throws {
    let harness = try Harness(rules: [try Harness.anything(verified: true)])
    #expect(
      try await PINPlatform(harness).verifiedToken(Self.permission).status == Status.unauthorizedPermission)
  }

  @Test func aTokenThatIsNotStoredIsNotGiven() async throws {
    let harness = try await Harness.withPIN()
    let platform = PINPlatform(harness)
    #expect(try await platform.attempt("1234") == Status.ok)
    harness.store.faults.fail(at: 1)
    #expect(try await platform.attempt("1234", Self.permission) == Status.storageUnavailable)
    harness.store.faults.fail(at: nil)
    let token = try await platform.token(Self.permission)
    #expect(try await harness.restarted().send(0x0a, token.management(1)).status == Status.ok)
  }

  // MARK: encIdentifier and encCredStoreState

  private func decrypted(_ member: CBORValue, _ label: String, _ token: Token, _ harness: Harness) async throws
    -> (sent: [UInt8], plaintext: [UInt8])
  {
    let sent = try await harness.send(4).body.bytes(member)
    let key = try HKDF.derive(
      from: token.bytes, salt: [UInt8](repeating: 0, count: 32), info: Array(label.utf8), count: 16)
    let plaintext = try AESCBC.decrypt(
      Array(sent.dropFirst(16)), key: key, initializationVector: Array(sent.prefix(16)))
    return (sent, plaintext.reveal { span in span.indices.map { span[$0] } })
  }

  private func identifier(_ token: Token, _ harness: Harness) async throws -> (sent: [UInt8], plaintext: [UInt8]) {
    try await decrypted(0x19, "encIdentifier", token, harness)
  }

  private func state(_ token: Token, _ harness: Harness) async throws -> (sent: [UInt8], plaintext: [UInt8]) {
    try await decrypted(0x1e, "encCredStoreState", token, harness)
  }

  @Test func theIdentifierStaysUntilAReset() async throws {
    let harness = try await Harness.withPIN()
    #expect(try await harness.send(4).body[0x19] == nil)
    var token = try await PINPlatform(harness).token(Self.permission)
    let first = try await identifier(token, harness)
    #expect(first.sent.count == 32 && first.plaintext.count == 16)
    let second = try await identifier(token, try harness.restarted())
    #expect(second.plaintext == first.plaintext)
    #expect(try await identifier(token, harness).sent != first.sent, "the same cannot be told from another")

    #expect(try await PINPlatform(harness).changePIN("1234", "5678") == Status.ok)
    #expect(try await harness.send(4).body[0x19] == nil)
    token = try await PINPlatform(harness).token(Self.permission, pin: "5678")
    #expect(try await identifier(token, harness).plaintext == first.plaintext)

    #expect(try await harness.send(7).status == Status.ok)
    #expect(try await PINPlatform(harness).setPIN() == Status.ok)
    token = try await PINPlatform(harness).token(Self.permission)
    #expect(try await identifier(token, harness).plaintext != first.plaintext)
  }

  @Test func theStoreStateChangesWithTheCredentials() async throws {
    let harness = try await Harness.withPIN()
    let persistent = try await PINPlatform(harness).token(Self.permission)
    var states = [try await state(persistent, harness).plaintext]
    func step(_ isChange: Bool) async throws {
      let now = try await state(persistent, harness).plaintext
      #expect(now.count == 16)
      if isChange {
        #expect(!states.contains(now))
        states.append(now)
      } else {
        #expect(now == states.last)
      }
    }
    try await step(false)
    let id = try await PINPlatform(harness).token(.makeCredential, "example.com").register(harness)
    try await step(true)
    let asserting = try await PINPlatform(harness).token(.getAssertion, "example.com")
    #expect(try await harness.send(2, asserting.assertion(allow: [id])).status == Status.ok)
    try await step(false)
    let token = try await PINPlatform(harness).token(.credentialManagement)
    #expect(try await harness.send(0x0a, request(7, token, id)).status == Status.ok)
    try await step(true)
    #expect(try await harness.send(0x0a, request(6, token, id)).status == Status.ok)
    try await step(true)
  }
}

extension Token {
  /// Registers a discoverable credential with it and gives its ID.
  func register(
    _ harness: Harness, _ relyingPartyID: String = "example.com", user: [UInt8] = [1],
    extensions: CBORMap? = nil, from caller: Caller = Harness.alice
  ) async throws -> [UInt8] {
    let request = creation(
      relyingPartyID, user: user, [(6, extensions.map(CBORValue.map)), (7, .map(["rk": true]))])
    let (status, body) = try await harness.send(1, request, from: caller)
    try #require(status == Status.ok)
    return try #require(try body.authenticatorData().attestedCredential).credentialID
  }
}
