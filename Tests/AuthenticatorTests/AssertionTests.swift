import AuditLog
import Authenticator
import CBOR
import Crypto
import TestSupport
import Testing
import WebAuthn

@Suite struct AssertionTests {
  private func data(_ body: CBORMap) throws -> AuthenticatorData {
    guard case .bytes(let bytes)? = body[2] else { throw HarnessError.malformed }
    return try AuthenticatorData.decode(bytes)
  }

  private func identifier(_ body: CBORMap) -> CBORValue? {
    guard case .map(let descriptor)? = body[1] else { return nil }
    return descriptor["id"]
  }

  @Test func signsForACredentialInTheAllowList() async throws {
    let harness = try Harness()
    let id = try await harness.register()
    let (status, body) = try await harness.send(2, Harness.request(allow: [[1, 2, 3], id]))
    #expect(status == Status.ok)
    #expect(identifier(body) == .bytes(id))
    let data = try data(body)
    #expect(data.flags == [.up])
    #expect(data.signatureCounter == 2)
    #expect(data.attestedCredential == nil)
    let digest = SHA256.hash(data.encoded() + Harness.clientDataHash)
    #expect(body[3] == .bytes(MemoryKeyStore.signature(digest: digest, key: 1)))
    #expect(body[4] == nil, "a credential that is not discoverable gives no user")
    #expect(body[5] == nil)
  }

  @Test func aCredentialOfAnotherRelyingPartyIsUnknown() async throws {
    let harness = try Harness()
    let id = try await harness.register("a.example.org")
    #expect(try await harness.send(2, Harness.request(allow: [id])).status == Status.noCredentials)
    #expect(try await harness.send(2, Harness.request("b.example.org", allow: [id])).status == Status.noCredentials)
    #expect(try await harness.send(2, Harness.request("a.example.org", allow: [id])).status == Status.ok)
  }

  @Test func withoutAnAllowListOnlyDiscoverableCredentialsCount() async throws {
    let harness = try Harness()
    try await harness.register()
    #expect(try await harness.send(2, Harness.request()).status == Status.noCredentials)
    #expect(try await harness.send(2, Harness.request(allow: [])).status == Status.noCredentials)
    let id = try await harness.register(user: [7], discoverable: true)
    let (status, body) = try await harness.send(2, Harness.request())
    #expect(status == Status.ok)
    #expect(identifier(body) == .bytes(id))
    #expect(body[4] == .map(["id": .bytes([7])]), "no name without user verification")
    #expect(body[5] == nil)
  }

  @Test func walksOverTheAccountsNewestFirst() async throws {
    let harness = try Harness()
    var identifiers: [[UInt8]] = []
    for user in UInt8(1)...10 { identifiers.append(try await harness.register(user: [user], discoverable: true)) }
    let (_, first) = try await harness.send(2, Harness.request())
    #expect(first[5] == 10)
    #expect(identifier(first) == .bytes(identifiers[9]))
    var counters = [try data(first).signatureCounter]
    for expected in identifiers.dropLast().reversed() {
      let (status, body) = try await harness.send(8)
      #expect(status == Status.ok)
      #expect(identifier(body) == .bytes(expected))
      #expect(body[5] == nil)
      counters.append(try data(body).signatureCounter)
    }
    #expect(counters == counters.sorted() && Set(counters).count == 10)
    #expect(try await harness.send(8).status == Status.notAllowed)
  }

  @Test func theWalkEndsAfterThirtySecondsAndWithEveryOtherCommand() async throws {
    let harness = try Harness()
    for user in UInt8(1)...4 { try await harness.register(user: [user], discoverable: true) }
    #expect(try await harness.send(8).status == Status.notAllowed)

    _ = try await harness.send(2, Harness.request())
    harness.time.advance(by: .seconds(30))
    #expect(try await harness.send(8).status == Status.ok)
    harness.time.advance(by: .seconds(30))
    #expect(try await harness.send(8).status == Status.ok, "each command starts the thirty seconds anew")
    harness.time.advance(by: .milliseconds(30_001))
    #expect(try await harness.send(8).status == Status.notAllowed)

    _ = try await harness.send(2, Harness.request())
    _ = try await harness.send(4)
    #expect(try await harness.send(8).status == Status.notAllowed)

    _ = try await harness.send(2, Harness.request())
    _ = await harness.engine.respond(to: [0x99], from: Harness.alice)
    #expect(try await harness.send(8).status == Status.notAllowed)
  }

  @Test func theWalkBelongsToOneConnection() async throws {
    let harness = try Harness()
    for user in UInt8(1)...2 { try await harness.register(user: [user], discoverable: true) }
    _ = try await harness.send(2, Harness.request())
    let stranger = Harness.caller(connection: 2)
    #expect(try await harness.send(8, from: stranger).status == Status.notAllowed)
    #expect(try await harness.send(8).status == Status.ok)

    _ = try await harness.send(2, Harness.request())
    await harness.engine.close(Harness.alice)
    #expect(try await harness.send(8).status == Status.notAllowed)
  }

  @Test func everyAssertionOfAWalkIsJudged() async throws {
    let harness = try Harness()
    for user in UInt8(1)...3 { try await harness.register(user: [user], discoverable: true) }
    _ = try await harness.send(2, Harness.request())
    #expect(try await harness.send(8).status == Status.ok)
    await harness.engine.replaceJudge(RuleBookFixture.nothing)
    #expect(try await harness.send(8).status == Status.operationDenied)
  }

  @Test(arguments: [
    ("up", true, Status.ok), ("up", false, Status.ok), ("uv", false, Status.ok), ("uv", true, Status.invalidOption),
    ("rk", true, Status.unsupportedOption), ("rk", false, Status.unsupportedOption), ("unknown", true, Status.ok),
  ])
  func option(name: String, value: Bool, expected: UInt8) async throws {
    let harness = try Harness()
    let id = try await harness.register()
    var request = Harness.request(allow: [id])
    request[5] = .map([.text(name): .boolean(value)])
    let (status, body) = try await harness.send(2, request)
    #expect(status == expected)
    if status == Status.ok { #expect(try data(body).flags == (name == "up" && !value ? [] : [.up])) }
  }

  @Test func aLookUpWithoutPresenceStillNeedsARule() async throws {
    let harness = try Harness()
    let id = try await harness.register()
    var request = Harness.request(allow: [id])
    request[5] = .map(["up": false])
    let stranger = Harness.caller(connection: 2, user: 1001)
    #expect(try await harness.send(2, request, from: stranger).status == Status.operationDenied)
  }

  @Test func aCancelledAssertionSaysSo() async throws {
    let harness = try Harness()
    let id = try await harness.register()
    await harness.keys.hold()
    let task = Task { try await harness.send(2, Harness.request(allow: [id])) }
    await harness.keys.arrival()
    task.cancel()
    await harness.keys.letGo()
    #expect(try await task.value.status == Status.keepaliveCancel)
    #expect(harness.audit.records.last?.outcome == .failed)
    #expect(try await harness.send(2, Harness.request(allow: [id])).status == Status.ok)
  }

  /// The record of one that waits for the TPM beside others can wait as well, until the TPM begins with it.
  @Test func recordsBesideOthersWaitForTheTPM() async throws {
    let harness = try Harness()
    let id = try await harness.register()
    let before = harness.audit.records.count
    await harness.keys.hold()
    let tasks = (1...3).map { connection in
      Task { try await harness.send(2, Harness.request(allow: [id]), from: Harness.caller(connection: connection)) }
    }
    while await harness.keys.waiting < 3 || harness.audit.records.count < before + 3, !Task.isCancelled {
      await Task.yield()
    }
    #expect(harness.audit.waiting == 2, "the first waits for nobody")
    await harness.keys.letGo(intoWork: true)
    while await harness.keys.waiting < 3, !Task.isCancelled { await Task.yield() }
    #expect(harness.audit.waiting == 0)
    await harness.keys.letGo()
    for task in tasks { #expect(try await task.value.status == Status.ok) }
  }
}
