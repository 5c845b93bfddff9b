import AuditLog
import Authenticator
import CBOR
import Crypto
import Policy
import Testing
import TestSupport
import WebAuthn

@Suite struct RegistrationTests {
  @Test func answersWithPackedSelfAttestation() async throws {
    let harness = try Harness()
    let (status, body) = try await harness.send(1, Harness.creation())
    #expect(status == Status.ok)
    #expect(body[1] == "packed")
    guard case .bytes(let bytes)? = body[2], case .map(let statement)? = body[3] else { throw HarnessError.malformed }
    let data = try AuthenticatorData.decode(bytes)
    #expect(data.relyingPartyIDHash == SHA256.hash(Array("example.com".utf8)))
    #expect(data.flags == [.up, .at])
    #expect(data.signatureCounter == 1)
    #expect(data.attestedCredential?.aaguid == AuthenticatorIdentity.software.aaguid)
    #expect(data.attestedCredential?.credentialID.count == 16)
    #expect(statement["alg"] == -7)
    #expect(statement["x5c"] == nil)
    let digest = SHA256.hash(bytes + Harness.clientDataHash)
    #expect(statement["sig"] == .bytes(MemoryKeyStore.signature(digest: digest, key: 1)))
    #expect(body.count == 3)
  }

  @Test func takesTheFirstAlgorithmThatTheTPMCanDo() async throws {
    let harness = try Harness(algorithms: [.es256, .es384])
    var request = Harness.creation()
    request[4] = .array([
      .map(["alg": -8, "type": "public-key"]), .map(["alg": -257, "type": "public-key"]),
      .map(["alg": -7, "type": "other"]), .map(["alg": -35, "type": "public-key"]),
      .map(["alg": -7, "type": "public-key"]),
    ])
    let (status, body) = try await harness.send(1, request)
    #expect(status == Status.ok)
    guard case .map(let statement)? = body[3], case .bytes(let signature)? = statement["sig"] else {
      throw HarnessError.malformed
    }
    #expect(statement["alg"] == -35)
    #expect(signature.count == 3 + 48, "ES384 signs a SHA-384 digest")

    request[4] = .array([.map(["alg": -8, "type": "public-key"])])
    #expect(try await harness.send(1, request).status == Status.unsupportedAlgorithm)
    request[4] = .array([])
    #expect(try await harness.send(1, request).status == Status.unsupportedAlgorithm)
  }

  @Test(arguments: [
    ("rk", true, Status.ok), ("rk", false, Status.ok), ("up", true, Status.ok), ("up", false, Status.invalidOption),
    ("uv", false, Status.ok), ("uv", true, Status.invalidOption), ("unknown", true, Status.ok),
  ])
  func option(name: String, value: Bool, expected: UInt8) async throws {
    let harness = try Harness()
    var request = Harness.creation()
    request[7] = .map([.text(name): .boolean(value)])
    #expect(try await harness.send(1, request).status == expected)
    #expect(await harness.store.credentials.count == (expected == Status.ok ? 1 : 0))
  }

  @Test func refusesEnterpriseAttestation() async throws {
    let harness = try Harness()
    var request = Harness.creation()
    request[10] = 1
    #expect(try await harness.send(1, request).status == Status.invalidParameter)
  }

  @Test func excludesWhatIsHereForThisRelyingPartyOnly() async throws {
    let harness = try Harness()
    let id = try await harness.register()
    var request = Harness.creation()
    request[5] = Harness.list([[9, 9], id])
    #expect(try await harness.send(1, request).status == Status.credentialExcluded)
    #expect(harness.audit.records.last?.outcome == .failed)

    var elsewhere = Harness.creation("a.example.org")
    elsewhere[5] = Harness.list([id])
    #expect(try await harness.send(1, elsewhere).status == Status.ok)

    request[5] = .array([.map(["id": .bytes(id), "type": "other"])])
    #expect(try await harness.send(1, request).status == Status.ok, "another type denotes another thing")
  }

  @Test func boundsTheExcludeList() async throws {
    let harness = try Harness()
    var request = Harness.creation()
    request[5] = Harness.list((0..<64).map { [UInt8($0)] })
    #expect(try await harness.send(1, request).status == Status.ok)
    request[5] = Harness.list((0..<65).map { [UInt8($0)] })
    #expect(try await harness.send(1, request).status == Status.limitExceeded)
  }

  @Test func aSecondRegistrationOfADiscoverableUserReplacesTheFirst() async throws {
    let harness = try Harness()
    let first = try await harness.register(user: [1], discoverable: true)
    let second = try await harness.register(user: [1], discoverable: true)
    let other = try await harness.register(user: [2], discoverable: true)
    #expect(await harness.store.credentials.map(\.id) == [second, other])
    #expect(await harness.keys.evicted.map(\.credentialID) == [first])
  }

  @Test func aSecondRegistrationThatIsNotDiscoverableReplacesNothing() async throws {
    let harness = try Harness()
    try await harness.register(user: [1], discoverable: true)
    try await harness.register(user: [1])
    try await harness.register(user: [1])
    #expect(await harness.store.credentials.count == 3)
  }

  @Test func tellsWhenTheStoreIsFull() async throws {
    let harness = try Harness(capacity: 1)
    try await harness.register(discoverable: true)
    harness.keys.faults.fail(at: nil)
    #expect(try await harness.send(1, Harness.creation()).status == Status.keyStoreFull)
    #expect(harness.keys.faults.calls == 0, "no key is made in vain")
    try await harness.register(discoverable: true)
    #expect(await harness.store.credentials.count == 1, "there is room for a replacement")
  }

  @Test func keepsNamesUpTo64Bytes() async throws {
    let harness = try Harness()
    var request = Harness.creation()
    // 63 bytes and a character of two that does not fit any more.
    let name = String(repeating: "n", count: 63) + "é"
    request[3] = .map(["id": .bytes([1]), "name": .text(name), "displayName": .text(String(repeating: "d", count: 64))])
    #expect(try await harness.send(1, request).status == Status.ok)
    let credential = try #require(await harness.store.credentials.first)
    #expect(credential.userName == String(repeating: "n", count: 63))
    #expect(credential.userDisplayName?.utf8.count == 64)
  }

  @Test func aCallerWhoIsGoneReplacesNothingAndSpendsNoCounter() async throws {
    let harness = try Harness()
    let kept = try await harness.register(user: [1], discoverable: true)
    await harness.keys.hold()
    var request = Harness.creation()
    request[7] = .map(["rk": true])
    let replacing = request
    let task = Task { try await harness.send(1, replacing).status }
    await harness.keys.arrival()
    task.cancel()
    await harness.keys.letGo()
    #expect(try await task.value == Status.keepaliveCancel)
    #expect(await harness.store.credentials.map(\.id) == [kept])

    harness.keys.faults.fail(at: nil)
    let cancelled = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await harness.send(2, Harness.request(allow: [kept])).status
    }
    #expect(try await cancelled.value == Status.keepaliveCancel)
    #expect(harness.keys.faults.calls == 0)
  }

  @Test func theCounterCanBeAConstantZero() async throws {
    let harness = try Harness(rules: [try Harness.everything(signatureCounter: .zero)])
    let id = try await harness.register()
    for _ in 0..<2 {
      let (_, body) = try await harness.send(2, Harness.request(allow: [id]))
      guard case .bytes(let bytes)? = body[2] else { throw HarnessError.malformed }
      #expect(try AuthenticatorData.decode(bytes).signatureCounter == 0)
    }
  }
}
