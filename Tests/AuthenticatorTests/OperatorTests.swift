import AuditLog
import Authenticator
import CBOR
import CTAP
import Crypto
import Policy
import TestSupport
import Testing
import WebAuthn

/// What comes in by the operator's own socket.
@Suite struct OperatorTests {
  private static let administrator = Caller(
    connection: 9, user: 0, group: 0, process: 1, supplementaryGroups: [], unit: nil, isOperator: true)

  private func u2f(_ harness: Harness) async throws -> [UInt8] {
    let request = U2FRequest.register(
      challenge: Harness.clientDataHash, application: SHA256.hash(Array("example.com".utf8)))
    let reply = await harness.engine.respond(toU2F: request.encoded(), from: Harness.alice)
    guard case .registration(let made) = try U2FResponse.decode(reply, to: request) else {
      throw HarnessError.malformed
    }
    return made.keyHandle
  }

  @Test func seesAllCredentialsInPages() async throws {
    let harness = try Harness()
    var made: [[UInt8]] = []
    for user in UInt8(1)...4 {
      made.append(try await harness.register(user: [user], discoverable: user.isMultiple(of: 2)))
    }
    made.append(try await u2f(harness))
    var seen: [[UInt8]] = []
    var position: Int64?
    repeat {
      let (page, next) = try await harness.engine.credentials(after: position, limit: 2, for: Self.administrator)
      #expect(page.count <= 2)
      seen += page.map(\.id)
      position = next
    } while position != nil
    #expect(seen == made)
    let (all, next) = try await harness.engine.credentials(after: nil, limit: 50, for: Self.administrator)
    #expect(all.count == 5 && next == nil)
    #expect(try await harness.engine.credential(id: made[2], for: Self.administrator)?.id == made[2])
    for id in [[], [1, 2, 3], [UInt8](repeating: 0, count: 16)] as [[UInt8]] {
      #expect(try await harness.engine.credential(id: id, for: Self.administrator) == nil)
      #expect(try await harness.engine.removeCredential(id: id, for: Self.administrator) == nil)
    }
  }

  @Test func removesAnyCredentialAndSaysSoInTheLog() async throws {
    let harness = try Harness()
    for kind in 0..<3 {
      let id =
        switch kind {
        case 0: try await harness.register()
        case 1: try await harness.register(discoverable: true)
        default: try await u2f(harness)
        }
      #expect(try await harness.engine.removeCredential(id: id, for: Self.administrator)?.id == id)
      #expect(await harness.store.credentials.isEmpty)
      #expect(await harness.keys.evicted.last?.credentialID == id)
      let record = try #require(harness.audit.records.last)
      #expect(record.operation == .manage && record.detail == "credential.delete" && record.rule == "(operator)")
      #expect(record.credentialID == id && record.outcome == .allowed)
    }
  }

  @Test func failingPortsLeaveTheCredential() async throws {
    let harness = try Harness()
    let id = try await harness.register()
    for (plan, n) in [(harness.audit.faults, 1), (harness.store.faults, 1), (harness.store.faults, 2)] {
      plan.fail(at: n)
      await #expect(throws: OperatorRefusal.self) {
        _ = try await harness.engine.removeCredential(id: id, for: Self.administrator)
      }
      plan.fail(at: nil)
      #expect(await harness.store.credentials.count == 1)
    }
    harness.store.faults.fail(at: 1)
    await #expect(throws: OperatorRefusal.self) {
      _ = try await harness.engine.credentials(after: nil, limit: 5, for: Self.administrator)
    }
    harness.store.faults.fail(at: nil)
    #expect(try await harness.engine.removeCredential(id: id, for: Self.administrator) != nil)
  }

  @Test func othersNeedARuleForAll() async throws {
    let harness = try Harness()
    let id = try await harness.register()
    await #expect(throws: OperatorRefusal.self) {
      _ = try await harness.engine.credentials(after: nil, limit: 5, for: Harness.alice)
    }
    await #expect(throws: OperatorRefusal.self) {
      _ = try await harness.engine.credential(id: id, for: Harness.alice)
    }
    await #expect(throws: OperatorRefusal.self) {
      _ = try await harness.engine.removeCredential(id: id, for: Harness.alice)
    }
    #expect(await harness.store.credentials.count == 1)
  }

  @Test func signsNothingAndResetsNothing() async throws {
    let everything = Rule(
      name: "root", callers: [CallerPattern(user: 0), CallerPattern(user: 1000)],
      relyingParties: [try RelyingPartyPattern("*")], operations: Set(Operation.allCases), userVerification: true)
    let harness = try Harness(rules: [everything])
    let id = try await harness.register()
    let before = harness.audit.records.count
    func status(_ command: UInt8, _ parameters: CBORMap? = nil) async throws -> UInt8 {
      try await harness.send(command, parameters, from: Self.administrator).status
    }
    #expect(try await status(1, Harness.creation()) == Status.operationDenied)
    #expect(try await status(1, Harness.creation().with([(7, .map(["uv": true]))])) == Status.invalidOption)
    #expect(try await status(2, Harness.request(allow: [id])) == Status.operationDenied)
    #expect(try await status(8) == Status.notAllowed)
    #expect(try await status(7) == Status.operationDenied)
    let application = SHA256.hash(Array("example.com".utf8))
    for request in [
      .register(challenge: Harness.clientDataHash, application: application),
      .authenticate(
        control: .enforceUserPresence, challenge: Harness.clientDataHash, application: application, keyHandle: id),
    ] as [U2FRequest] {
      #expect(
        await harness.engine.respond(toU2F: request.encoded(), from: Self.administrator) == [0x6a, 0x80])
    }
    #expect(harness.audit.records.dropFirst(before).allSatisfy { $0.outcome == .refused })
    #expect(await harness.store.credentials.count == 1)
    #expect(try await harness.send(4, from: Self.administrator).body.map(4)["uv"] == false)
  }

  @Test func managesEverythingWithoutARule() async throws {
    let harness = try Harness(rules: [try Harness.rule("jobs", ["*"], [.register, .authenticate])])
    let id = try await harness.register(discoverable: true)
    let platform = PINPlatform(harness, Self.administrator)
    #expect(try await platform.setPIN() == Status.ok)
    #expect(try await platform.verifiedToken(.credentialManagement).status == Status.notAllowed, "the PIN it is")
    let token = try await platform.token([.credentialManagement, .authenticatorConfiguration, .largeBlobWrite])
    #expect(try await harness.send(0x0a, token.management(1), from: Self.administrator).body[1] == 1)
    let array = LargeBlobTests.array([0x81, 0x01])
    #expect(
      try await harness.send(0x0c, token.write(array, at: 0, of: array.count), from: Self.administrator).status
        == Status.ok)
    #expect(try await harness.send(0x0d, token.config(3, [1: 4]), from: Self.administrator).status == Status.ok)
    let deletion = token.management(6, [2: .map(["id": .bytes(id), "type": "public-key"])])
    #expect(try await harness.send(0x0a, deletion, from: Self.administrator).status == Status.ok)
    #expect(harness.audit.records.last?.rule == "(operator)")
    #expect(try await platform.changePIN("1234", "5678") == Status.ok)
    #expect(try await platform.setPIN("9999") == Status.pinAuthInvalid, "no way around the PIN that is set")
  }

  private func signatures(in records: [AuditRecord]) -> Int {
    records.count { $0.operation == .authenticate && $0.outcome == .allowed }
  }

  @Test func aDisabledCredentialSignsNothingByAnyPath() async throws {
    let harness = try Harness()
    let old = try await harness.register(user: [1], discoverable: true)
    let middle = try await harness.register(user: [2], discoverable: true)
    let new = try await harness.register(user: [3], discoverable: true)
    let server = try await harness.register(user: [4])
    let key = try await u2f(harness)
    for id in [middle, server, key] {
      #expect(try await harness.engine.setState(.disabled, of: id, for: Self.administrator)?.state == .disabled)
      let record = try #require(harness.audit.records.last)
      #expect(record.operation == .manage && record.detail == "credential.disable" && record.credentialID == id)
      #expect(await harness.keys.evicted.last?.credentialID == id)
    }
    for harness in [harness, try harness.restarted()] {
      let signed = signatures(in: harness.audit.records)
      for id in [middle, server, key] {
        #expect(try await harness.send(2, Harness.request(allow: [id])).status == Status.noCredentials)
        let record = try #require(harness.audit.records.last)
        #expect(record.outcome == .failed && record.reason == "credential disabled" && record.credentialID == id)
        for control in [U2FControl.checkOnly, .enforceUserPresence, .dontEnforceUserPresence] {
          let request = U2FRequest.authenticate(
            control: control, challenge: Harness.clientDataHash,
            application: SHA256.hash(Array("example.com".utf8)), keyHandle: id)
          #expect(await harness.engine.respond(toU2F: request.encoded(), from: Harness.alice) == [0x6a, 0x80])
          #expect(harness.audit.records.last?.reason == "credential disabled")
        }
      }
      #expect(signatures(in: harness.audit.records) == signed)
      let both = try await harness.send(2, Harness.request(allow: [server, old]))
      #expect(try both.body.map(1).bytes("id") == old, "the list goes on behind it")
      let first = try await harness.send(2, Harness.request())
      #expect(first.body[5] == 2, "of three accounts one is disabled")
      #expect(try first.body.map(1).bytes("id") == new)
      #expect(try await harness.send(8).body.map(1).bytes("id") == old)
      #expect(try await harness.send(8).status == Status.notAllowed)
    }
    #expect(try await harness.engine.credentials(after: nil, limit: 9, for: Self.administrator).page.count == 5)
    for id in [middle, server, key] {
      _ = try await harness.engine.setState(.enabled, of: id, for: Self.administrator)
      #expect(try await harness.send(2, Harness.request(allow: [id])).status == Status.ok)
    }
  }

  @Test func aWalkThatHasBegunPassesWhatIsDisabledMeanwhile() async throws {
    let harness = try Harness()
    let old = try await harness.register(user: [1], discoverable: true)
    _ = try await harness.register(user: [2], discoverable: true)
    #expect(try await harness.send(2, Harness.request()).body[5] == 2)
    _ = try await harness.engine.setState(.disabled, of: old, for: Self.administrator)
    #expect(try await harness.send(8).status == Status.notAllowed)
  }

  @Test func registeringAnewIsNoWayAroundIt() async throws {
    let harness = try Harness()
    let id = try await harness.register(discoverable: true)
    _ = try await harness.engine.setState(.disabled, of: id, for: Self.administrator)
    var request = Harness.creation()
    request[5] = Harness.list([id])
    #expect(try await harness.send(1, request).status == Status.credentialExcluded)
    let other = try await harness.register(discoverable: true)
    #expect(await harness.store.credentials.map(\.id) == [id, other], "nobody but the operator removes it")
    await #expect(throws: OperatorRefusal.self) {
      _ = try await harness.engine.setState(.enabled, of: id, for: Self.administrator)
    }
    _ = try await harness.engine.setState(.disabled, of: other, for: Self.administrator)
    #expect(try await harness.engine.setState(.enabled, of: id, for: Self.administrator)?.state == .enabled)
  }

  @Test func anOutgoingCredentialStaysBesideTheNewOne() async throws {
    let harness = try Harness()
    let old = try await harness.register(discoverable: true)
    _ = try await harness.engine.setState(.outgoing, of: old, for: Self.administrator)
    let new = try await harness.register(discoverable: true)
    for id in [old, new] {
      #expect(try await harness.send(2, Harness.request(allow: [id])).status == Status.ok)
    }
    #expect(try await harness.send(2, Harness.request()).body[5] == 2)
    _ = try await harness.engine.setState(.disabled, of: old, for: Self.administrator)
    #expect(try await harness.send(2, Harness.request(allow: [old])).status == Status.noCredentials)
  }

  @Test func aLabelIsTheOperators() async throws {
    let harness = try Harness()
    let id = try await harness.register(discoverable: true)
    #expect(try await harness.engine.setLabel("old runner", of: id, for: Self.administrator)?.label == "old runner")
    #expect(harness.audit.records.last?.detail == "credential.rename")
    let count = harness.audit.records.count
    #expect(try await harness.engine.setLabel("old runner", of: id, for: Self.administrator)?.label == "old runner")
    #expect(harness.audit.records.count == count, "nothing has changed")
    #expect(await harness.store.credentials.first?.userName == "runner")
    #expect(try await harness.engine.setLabel("", of: id, for: Self.administrator)?.label == nil)
    let long = String(repeating: "x", count: 65)
    await #expect(throws: OperatorRefusal.self) {
      _ = try await harness.engine.setLabel(long, of: id, for: Self.administrator)
    }
    #expect(try await harness.engine.setLabel("a", of: [1], for: Self.administrator) == nil)
  }

  @Test func failingPortsLeaveTheState() async throws {
    let harness = try Harness()
    let id = try await harness.register()
    for (plan, n) in [(harness.audit.faults, 1), (harness.store.faults, 1), (harness.store.faults, 2)] {
      plan.fail(at: n)
      await #expect(throws: OperatorRefusal.self) {
        _ = try await harness.engine.setState(.disabled, of: id, for: Self.administrator)
      }
      plan.fail(at: nil)
      #expect(await harness.store.credentials.first?.state == .enabled)
    }
    await #expect(throws: OperatorRefusal.self) {
      _ = try await harness.engine.setState(.disabled, of: id, for: Harness.alice)
    }
  }

  @Test func isKeptOutByAReset() async throws {
    let harness = try Harness(rules: [try Harness.everything([.reset, .register, .authenticate])])
    let id = try await harness.register()
    let signing = await harness.heldSignature(with: id)
    let resetting = Task { try await harness.send(7, from: Harness.caller(connection: 2)) }
    while try await harness.send(4, from: Harness.caller(connection: 3)).status != Status.channelBusy {}
    await #expect(throws: OperatorRefusal.self) {
      _ = try await harness.engine.removeCredential(id: id, for: Self.administrator)
    }
    await harness.keys.letGo()
    #expect(try await signing.value == Status.ok)
    #expect(try await resetting.value.status == Status.ok)
  }
}
