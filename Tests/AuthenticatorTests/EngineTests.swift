import AuditLog
import Authenticator
import CBOR
import Policy
import Testing
import TestSupport
import WebAuthn

enum RuleBookFixture {
  static let nothing = RuleBook.empty
}

@Suite struct EngineTests {
  @Test func getInfoStatesWhatIsTrue() async throws {
    let harness = try Harness(algorithms: [.es256, .rs256], capacity: 50)
    try await harness.register(discoverable: true)
    let (status, body) = try await harness.send(4)
    #expect(status == Status.ok)
    #expect(body[1] == .array(["U2F_V2", "FIDO_2_0", "FIDO_2_1"]))
    #expect(
      body[2]
        == .array(["credBlob", "credProtect", "hmac-secret", "hmac-secret-mc", "largeBlobKey", "minPinLength"]))
    #expect(body[3] == .bytes(AuthenticatorIdentity.software.aaguid))
    #expect(
      body[4]
        == .map([
          "plat": true, "rk": true, "up": true, "uv": false, "clientPin": false, "pinUvAuthToken": true,
          "credMgmt": true, "perCredMgmtRO": true, "authnrCfg": true, "setMinPINLength": true, "largeBlobs": true,
          "alwaysUv": false, "makeCredUvNotRqd": true,
        ]))
    #expect(body[5] == 7609)
    #expect(body[6] == .array([2, 1]))
    #expect(body[7] == 64)
    #expect(body[8] == 16)
    #expect(body[9] == .array(["internal"]))
    #expect(
      body[10]
        == .array([.map(["alg": -7, "type": "public-key"]), .map(["alg": -257, "type": "public-key"])]))
    #expect(body[0x0b] == 65536)
    #expect(body[0x0c] == false)
    #expect(body[0x0d] == 4)
    #expect(body[0x0f] == 64)
    #expect(body[0x10] == 16)
    #expect(body[0x14] == 49)
    #expect(body[0x19] == nil && body[0x1e] == nil, "identifiers only for who could read them")
    #expect(body[0x1d] == 63)
    #expect(body[0x1f] == .array([2, 3]))
  }

  @Test func theTwoModelsOfTPMHaveTwoAAGUIDs() {
    #expect(AuthenticatorIdentity.hardware.aaguid != AuthenticatorIdentity.software.aaguid)
    #expect(AuthenticatorIdentity.hardware.aaguid.count == 16)
  }

  @Test func withoutItsStoreGetInfoLeavesTheNumberOut() async throws {
    let harness = try Harness()
    _ = try await harness.send(4)
    harness.store.faults.fail(at: 1)
    let (status, body) = try await harness.send(4)
    #expect(status == Status.ok)
    #expect(body[0x14] == nil)
  }

  @Test func selectionIsForCallersThatARuleKnows() async throws {
    let harness = try Harness()
    #expect(try await harness.send(0x0b).status == Status.ok)
    let stranger = Harness.caller(connection: 2, user: 1001)
    #expect(try await harness.send(0x0b, from: stranger).status == Status.operationDenied)
    #expect(harness.audit.records.map(\.outcome) == [.allowed, .refused])
  }

  @Test func nothingIsAllowedByDefault() async throws {
    let harness = try Harness(rules: [])
    #expect(try await harness.send(1, Harness.creation()).status == Status.operationDenied)
    #expect(try await harness.send(2, Harness.request()).status == Status.operationDenied)
    #expect(try await harness.send(7).status == Status.operationDenied)
    #expect(harness.audit.records.map(\.outcome) == [.refused, .refused, .refused])
    #expect(harness.audit.records.allSatisfy { $0.reason?.isEmpty == false })
  }

  @Test(arguments: [".dummy", "make.me.blink"])
  func browsersProbesCreateNothing(relyingPartyID: String) async throws {
    let rule = Rule(
      name: "any", callers: [CallerPattern(user: 1000)], relyingParties: [try RelyingPartyPattern("*")],
      operations: [.register], userVerification: false, signatureCounter: .global)
    let harness = try Harness(rules: [rule])
    #expect(try await harness.send(1, Harness.creation(relyingPartyID)).status == Status.operationDenied)
    #expect(await harness.store.credentials.isEmpty)
  }

  @Test func resetNeedsItsOwnOperation() async throws {
    let harness = try Harness()
    try await harness.register()
    #expect(try await harness.send(7).status == Status.operationDenied)
    #expect(await harness.store.credentials.count == 1)

    await harness.engine.replaceJudge(try RuleBook([try Harness.everything([.reset, .register, .authenticate])]))
    #expect(try await harness.send(7).status == Status.ok)
    #expect(await harness.store.credentials.isEmpty)
    #expect(await harness.keys.adopted != nil)
    try await harness.register()
  }

  @Test func resetEndsTheWalksOfOthers() async throws {
    let harness = try Harness(rules: [try Harness.everything([.reset, .register, .authenticate])])
    for user in UInt8(1)...2 { try await harness.register(user: [user], discoverable: true) }
    _ = try await harness.send(2, Harness.request())
    #expect(try await harness.send(7, from: Harness.caller(connection: 2)).status == Status.ok)
    #expect(try await harness.send(8).status == Status.notAllowed)
  }

  @Test func resetWaitsForOthersAndKeepsNewOnesOut() async throws {
    let harness = try Harness(rules: [try Harness.everything([.reset, .register, .authenticate])])
    let id = try await harness.register()
    let signing = await harness.heldSignature(with: id)
    let resetting = Task { try await harness.send(7, from: Harness.caller(connection: 2)) }
    // The reset is inside once a new request is kept out.
    while try await harness.send(4, from: Harness.caller(connection: 3)).status != Status.channelBusy {}
    #expect(try await harness.send(7, from: Harness.caller(connection: 3)).status == Status.channelBusy)
    await harness.keys.letGo()
    #expect(try await signing.value == Status.ok)
    #expect(try await resetting.value.status == Status.ok)
    #expect(try await harness.send(2, Harness.request(allow: [id])).status == Status.noCredentials)
  }

  @Test func aStrangersResetKeepsNobodyOut() async throws {
    let harness = try Harness(rules: [try Harness.everything([.reset, .register, .authenticate])])
    let id = try await harness.register()
    let signing = await harness.heldSignature(with: id)
    let stranger = Harness.caller(connection: 2, user: 1001)
    #expect(try await harness.send(7, from: stranger).status == Status.operationDenied)
    #expect(try await harness.send(4, from: Harness.caller(connection: 3)).status == Status.ok)
    await harness.keys.letGo()
    #expect(try await signing.value == Status.ok)
  }

  @Test func aCancelledResetResetsNothingAndLetsOthersIn() async throws {
    let harness = try Harness(rules: [try Harness.everything([.reset, .register, .authenticate])])
    let id = try await harness.register()
    let signing = await harness.heldSignature(with: id)
    let resetting = Task { try await harness.send(7, from: Harness.caller(connection: 2)) }
    while try await harness.send(4, from: Harness.caller(connection: 3)).status != Status.channelBusy {}
    resetting.cancel()
    // Answered while the signature is still held.
    #expect(try await resetting.value.status == Status.keepaliveCancel)
    #expect(try await harness.send(4, from: Harness.caller(connection: 3)).status == Status.ok)
    await harness.keys.letGo()
    #expect(try await signing.value == Status.ok)
    #expect(await harness.store.credentials.count == 1)
  }

  @Test func aUserWhoIsRefusedWithoutEndCannotFillTheLog() async throws {
    let harness = try Harness()
    let stranger = Harness.caller(connection: 2, user: 1001)
    for _ in 0..<150 { _ = try await harness.send(1, Harness.creation(), from: stranger) }
    #expect(harness.audit.records.count == 100)
    await harness.engine.wink(from: stranger)
    #expect(harness.audit.records.count == 100)

    // Others have their own share, and signatures need none.
    let other = Harness.caller(connection: 3, user: 1002)
    #expect(try await harness.send(1, Harness.creation(), from: other).status == Status.operationDenied)
    #expect(harness.audit.records.count == 101)
    try await harness.register()
    #expect(harness.audit.records.count == 102)

    harness.time.advance(by: .seconds(2))
    for _ in 0..<3 { _ = try await harness.send(1, Harness.creation(), from: stranger) }
    #expect(harness.audit.records.count == 104)
    #expect(harness.audit.records[102].suppressed == 51)
    #expect(harness.audit.records[103].suppressed == nil)
  }

  @Test func rpIDsAreBounded() async throws {
    let rule = Rule(
      name: "any", callers: [CallerPattern(user: 1000)], relyingParties: [try RelyingPartyPattern("*")],
      operations: [.register, .authenticate])
    let harness = try Harness(rules: [rule])
    let longest = String(repeating: "a", count: 255)
    #expect(try await harness.send(1, Harness.creation(longest)).status == Status.ok)
    #expect(try await harness.send(1, Harness.creation(longest + "a")).status == Status.invalidLength)
    #expect(try await harness.send(2, Harness.request(longest + "a")).status == Status.invalidLength)
  }

  @Test func malformedMessagesGetTheStandardsStatus() async throws {
    let harness = try Harness()
    func status(_ message: [UInt8]) async -> UInt8 { await harness.engine.respond(to: message, from: Harness.alice)[0] }
    #expect(await status([]) == Status.invalidLength)
    #expect(await status([0x05]) == Status.invalidCommand)
    #expect(await status([0xff]) == Status.invalidCommand)
    #expect(await status([0x01]) == Status.invalidCBOR)
    #expect(await status([0x01, 0xa0]) == Status.missingParameter)
    #expect(await status([0x01, 0x80]) == Status.unexpectedType)
    #expect(await status([0x01, 0xbf, 0xff]) == Status.invalidCBOR)
    #expect(await status([0x04, 0xa0]) == Status.invalidLength)
    #expect(await status([0x01] + [UInt8](repeating: 0, count: 7609)) == Status.requestTooLarge)
    #expect(try await harness.send(4).status == Status.ok)
  }

  @Test func winkIsRecorded() async throws {
    let harness = try Harness()
    await harness.engine.wink(from: Harness.alice)
    #expect(harness.audit.records.map(\.operation) == [.wink])
  }
}
