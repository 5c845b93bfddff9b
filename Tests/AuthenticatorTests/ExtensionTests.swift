import Authenticator
import CBOR
import CTAP
import Policy
import TestSupport
import Testing
import WebAuthn

/// credBlob, largeBlobKey and what extensions have in common (CTAP 2.1 section 12).
@Suite struct ExtensionTests {
  private func creation(_ extensions: CBORMap, discoverable: Bool = false, user: [UInt8] = [1]) -> CBORMap {
    Harness.creation(user: user).with([(6, .map(extensions)), (7, .map(["rk": .boolean(discoverable)]))])
  }

  private func made(_ body: CBORMap) throws -> (id: [UInt8], outputs: CBORMap?) {
    let data = try body.authenticatorData()
    #expect(data.flags.contains(.ed) == (data.extensions != nil))
    return (try #require(data.attestedCredential).credentialID, data.extensions)
  }

  @Test func unknownExtensionsAndEmptyMaps() async throws {
    let harness = try Harness()
    for extensions in [[:], ["unknown": true], ["uvm": true, "thirdPartyPayment": true]] as [CBORMap] {
      let (status, body) = try await harness.send(1, creation(extensions))
      #expect(status == Status.ok)
      let (id, outputs) = try made(body)
      #expect(outputs == nil)
      let request = Harness.request(allow: [id]).with([(4, .map(extensions))])
      #expect(try await harness.send(2, request).body.authenticatorData().extensions == nil)
    }
  }

  private static let wrongInputs: [CBORMap] = [
    ["credProtect": "x"], ["hmac-secret": 1], ["hmac-secret-mc": true], ["credBlob": "text"], ["largeBlobKey": 1],
    ["minPinLength": 1],
  ]

  @Test(arguments: wrongInputs)
  func inputsOfTheWrongType(extensions: CBORMap) async throws {
    let harness = try Harness()
    #expect(try await harness.send(1, creation(extensions)).status == Status.unexpectedType)
    #expect(await harness.store.credentials.isEmpty)
  }

  // MARK: credBlob

  @Test(arguments: [(0, true), (1, true), (64, true), (65, false), (1000, false)])
  func blobs(count: Int, isStored: Bool) async throws {
    let harness = try Harness()
    let blob = [UInt8](repeating: 7, count: count)
    let (status, body) = try await harness.send(1, creation(["credBlob": .bytes(blob)], discoverable: true))
    #expect(status == Status.ok)
    let (id, outputs) = try made(body)
    #expect(outputs == ["credBlob": .boolean(isStored)])
    #expect(await harness.store.credentials.first?.blob == (isStored ? blob : nil))
    let request = Harness.request(allow: [id]).with([(4, .map(["credBlob": true]))])
    #expect(
      try await harness.send(2, request).body.authenticatorData().extensions
        == ["credBlob": .bytes(isStored ? blob : [])])
    let without = Harness.request(allow: [id]).with([(4, .map(["credBlob": false]))])
    #expect(try await harness.send(2, without).body.authenticatorData().extensions == nil)
  }

  @Test func onlyDiscoverableCredentialsHaveBlobs() async throws {
    let harness = try Harness()
    let (id, outputs) = try made(try await harness.send(1, creation(["credBlob": .bytes([1])])).body)
    #expect(outputs == ["credBlob": false])
    let request = Harness.request(allow: [id]).with([(4, .map(["credBlob": true]))])
    #expect(try await harness.send(2, request).body.authenticatorData().extensions == ["credBlob": .bytes([])])
  }

  @Test func everyAccountHasItsOwnBlobAndKey() async throws {
    let harness = try Harness()
    var keys: [[UInt8]] = []
    for user in UInt8(1)...3 {
      let extensions: CBORMap = ["credBlob": .bytes([user]), "largeBlobKey": true]
      let (_, body) = try await harness.send(1, creation(extensions, discoverable: true, user: [user]))
      keys.append(try body.bytes(5))
    }
    #expect(Set(keys).count == 3 && keys.allSatisfy { $0.count == 32 })
    let request = Harness.request().with([(4, .map(["credBlob": true, "largeBlobKey": true]))])
    var (_, body) = try await harness.send(2, request)
    for user in (UInt8(1)...3).reversed() {
      #expect(try body.authenticatorData().extensions == ["credBlob": .bytes([user])])
      #expect(try body.bytes(7) == keys[Int(user) - 1])
      if user > 1 { body = try await harness.send(8).body }
    }
  }

  // MARK: largeBlobKey

  @Test func largeBlobKeysAreForDiscoverableCredentials() async throws {
    let harness = try Harness()
    #expect(try await harness.send(1, creation(["largeBlobKey": true])).status == Status.invalidOption)
    #expect(
      try await harness.send(1, creation(["largeBlobKey": false], discoverable: true)).status == Status.invalidOption)
    #expect(await harness.store.credentials.isEmpty)
    let (status, body) = try await harness.send(1, creation(["largeBlobKey": true], discoverable: true))
    #expect(status == Status.ok)
    let (id, outputs) = try made(body)
    #expect(outputs == nil, "the key is not signed over")
    let key = try body.bytes(5)
    #expect(key.count == 32)

    let request = Harness.request(allow: [id])
    #expect(try await harness.send(2, request).body[7] == nil)
    let asking = request.with([(4, .map(["largeBlobKey": true]))])
    #expect(try await harness.send(2, asking).body[7] == .bytes(key))
    #expect(try await harness.restarted().send(2, asking).body[7] == .bytes(key))
    #expect(
      try await harness.send(2, request.with([(4, .map(["largeBlobKey": false]))])).status == Status.invalidOption)

    let plain = try await harness.register(user: [2], discoverable: true)
    let others = Harness.request(allow: [plain]).with([(4, .map(["largeBlobKey": true]))])
    #expect(try await harness.send(2, others).body[7] == nil, "only who asked for it has one")
  }

  @Test func credentialManagementGivesTheKey() async throws {
    let harness = try await Harness.withPIN()
    let creating = try await PINPlatform(harness).token(.makeCredential, "example.com")
    let request = creating.creation(
      "example.com", user: [1], [(6, .map(["largeBlobKey": true, "credProtect": 3])), (7, .map(["rk": true]))])
    let key = try await harness.send(1, request).body[5]
    let token = try await PINPlatform(harness).token(.credentialManagement)
    let hash = try #require(await harness.store.credentials.first).key.binding.relyingPartyIDHash
    let (_, body) = try await harness.send(0x0a, token.management(4, [1: .bytes(hash)]))
    #expect(key != nil && body[11] == key)
    #expect(body[10] == 3)
  }
}

/// credProtect (section 12.1) against every way to a credential.
@Suite struct ProtectionTests {
  private func harness() throws -> Harness {
    try Harness(rules: [try Harness.anything(verified: true)])
  }

  /// By rule, as discoverable credentials ask for it.
  private func register(_ harness: Harness, _ level: Int64, user: [UInt8] = [1]) async throws -> [UInt8] {
    let request = Harness.creation(user: user).with([
      (6, .map(["credProtect": .integer(level)])), (7, .map(["rk": true, "uv": true])),
    ])
    let (status, body) = try await harness.send(1, request)
    try #require(status == Status.ok)
    let data = try body.authenticatorData()
    #expect(data.extensions == ["credProtect": .integer(level)])
    return try #require(data.attestedCredential).credentialID
  }

  private func assertion(_ allow: [[UInt8]]?, verified: Bool) -> CBORMap {
    Harness.request(allow: allow).with([(5, .map(["uv": .boolean(verified)]))])
  }

  @Test(arguments: [0, 4, 255, 256, 1000] as [Int64])
  func levelsThatAreNone(level: Int64) async throws {
    let harness = try harness()
    let request = Harness.creation().with([(6, .map(["credProtect": .integer(level)]))])
    #expect(try await harness.send(1, request).status == Status.invalidOption)
    #expect(await harness.store.credentials.isEmpty)
  }

  @Test(
    arguments: [
      (1, Status.ok, Status.ok, Status.credentialExcluded),
      (2, Status.ok, Status.noCredentials, Status.credentialExcluded),
      (3, Status.noCredentials, Status.noCredentials, Status.ok),
    ] as [(Int64, UInt8, UInt8, UInt8)])
  func levels(level: Int64, named: UInt8, discovered: UInt8, excluded: UInt8) async throws {
    let harness = try harness()
    let id = try await register(harness, level)
    #expect(try await harness.send(2, assertion([id], verified: false)).status == named)
    #expect(try await harness.send(2, assertion(nil, verified: false)).status == discovered)
    #expect(try await harness.send(2, assertion([id], verified: true)).status == Status.ok)
    #expect(try await harness.send(2, assertion(nil, verified: true)).status == Status.ok)
    let lookUp = assertion([id], verified: false).with([(5, .map(["up": false]))])
    #expect(try await harness.send(2, lookUp).status == named)

    let excluding = Harness.creation(user: [2]).with([(5, Harness.list([id]))])
    #expect(try await harness.send(1, excluding.with([(7, .map(["uv": true]))])).status == Status.credentialExcluded)
    #expect(try await harness.send(1, excluding).status == excluded)
  }

  @Test func aListGoesOnAfterWhatIsHidden() async throws {
    let harness = try harness()
    let hidden = try await register(harness, 3)
    let open = try await register(harness, 2, user: [2])
    let (status, body) = try await harness.send(2, assertion([hidden, open], verified: false))
    #expect(status == Status.ok)
    #expect(try body.map(1)["id"] == .bytes(open))
  }

  @Test func aWalkCountsWhatItShows() async throws {
    let harness = try harness()
    var shown: [[UInt8]] = []
    for (user, level) in [(1, 1), (2, 3), (3, 1), (4, 2), (5, 1)] as [(UInt8, Int64)] {
      let id = try await register(harness, level, user: [user])
      if level == 1 { shown.insert(id, at: 0) }
    }
    var (_, body) = try await harness.send(2, assertion(nil, verified: false))
    #expect(body[5] == 3)
    for (index, id) in shown.enumerated() {
      #expect(try body.map(1)["id"] == .bytes(id))
      #expect(try body.map(4)["name"] == nil, "no names without verification")
      body = try await harness.send(8).body
      if index == shown.count - 1 { #expect(body.isEmpty) }
    }
    (_, body) = try await harness.send(2, assertion(nil, verified: true))
    #expect(body[5] == 5)
    #expect(try body.map(4)["name"] == "runner")
    for _ in 0..<4 { #expect(try await harness.send(8).body.map(4)["name"] == "runner") }
    #expect(try await harness.send(8).status == Status.notAllowed)
  }

  @Test(arguments: [(1, true), (2, true), (3, false)] as [(Int64, Bool)])
  func u2f(level: Int64, isUsable: Bool) async throws {
    let harness = try harness()
    let id = try await register(harness, level)
    let hash = try #require(await harness.store.credentials.first).key.binding.relyingPartyIDHash
    let request = U2FRequest.authenticate(
      control: .enforceUserPresence, challenge: Harness.clientDataHash, application: hash, keyHandle: id)
    let reply = await harness.engine.respond(toU2F: request.encoded(), from: Harness.alice)
    #expect(Array(reply.suffix(2)) == (isUsable ? [0x90, 0x00] : [0x6a, 0x80]))
  }
}
