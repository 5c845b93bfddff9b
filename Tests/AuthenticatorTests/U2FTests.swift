import AuditLog
import Authenticator
import CBOR
import CTAP
import Crypto
import Policy
import TestSupport
import Testing
import WebAuthn

/// CTAP1/U2F (CTAP 2.1 section 7; FIDO U2F Raw Message Formats), and how it goes together with CTAP2.
@Suite struct U2FTests {
  private static let challenge = [UInt8](repeating: 0xc1, count: 32)
  private static let application = SHA256.hash(Array("example.com".utf8))
  private static let wrongData: [UInt8] = [0x6a, 0x80]
  private static let noError: [UInt8] = [0x90, 0x00]

  private func send(_ request: U2FRequest, _ harness: Harness, from caller: Caller = Harness.alice) async -> [UInt8] {
    await harness.engine.respond(toU2F: request.encoded(), from: caller)
  }

  private func register(
    _ harness: Harness, application: [UInt8] = application
  ) async throws -> U2FRegistration {
    let request = U2FRequest.register(challenge: Self.challenge, application: application)
    guard case .registration(let registration) = try U2FResponse.decode(await send(request, harness), to: request)
    else { throw HarnessError.malformed }
    return registration
  }

  private func authentication(
    _ keyHandle: [UInt8], _ control: U2FControl = .enforceUserPresence, application: [UInt8] = application
  ) -> U2FRequest {
    .authenticate(control: control, challenge: Self.challenge, application: application, keyHandle: keyHandle)
  }

  private func authenticate(_ harness: Harness, _ request: U2FRequest) async throws -> U2FAuthentication {
    guard case .authentication(let authentication) = try U2FResponse.decode(await send(request, harness), to: request)
    else { throw HarnessError.malformed }
    return authentication
  }

  @Test func version() async throws {
    let harness = try Harness()
    #expect(await send(.version, harness) == Array("U2F_V2".utf8) + Self.noError)
    #expect(try await harness.send(4).body[1] == .array(["U2F_V2", "FIDO_2_0", "FIDO_2_1"]))
  }

  @Test(arguments: [
    ("00010000", "6700"), ("000100000000400000", "6700"), ("01030000", "6e00"), ("00040000", "6d00"), ("0003", "6700"),
    ("", "6700"), ("00020000", "6700"), ("0003000000", "5532465f56329000"), ("00030000000000", "5532465f56329000"),
  ])
  func malformed(request: String, reply: String) async throws {
    let harness = try Harness()
    #expect(await harness.engine.respond(toU2F: [UInt8](hex: request), from: Harness.alice).hex == reply)
  }

  @Test func registers() async throws {
    let harness = try Harness()
    let made = try await register(harness)
    #expect(made.x == [UInt8](repeating: 1, count: 32) && made.y == [UInt8](repeating: 0xee, count: 32))
    #expect(made.keyHandle.count == 16)
    let message: [UInt8] = [0] + Self.application + Self.challenge + made.keyHandle + [4] + made.x + made.y
    #expect(made.signature == MemoryKeyStore.signature(digest: SHA256.hash(message), key: 1))

    // The certificate is the key's own: it holds the key and signs itself.
    let tbs = U2FSelfCertificate.tbs(x: made.x, y: made.y, credentialID: made.keyHandle)
    let signature = MemoryKeyStore.signature(digest: SHA256.hash(tbs), key: 1)
    #expect(made.certificate == U2FSelfCertificate.assemble(tbs: tbs, signature: signature))
    let outer = try #require(DER.first(of: made.certificate[...]))
    #expect(outer.tag == 0x30 && outer.rest.isEmpty)
    let spki = SubjectPublicKeyInfo.encodeP256(x: made.x, y: made.y)
    #expect(made.certificate.indices.contains { made.certificate.dropFirst($0).starts(with: spki) })

    let credential = try #require(await harness.store.credentials.first)
    #expect(credential.id == made.keyHandle && credential.key.binding.relyingPartyIDHash == Self.application)
    #expect(credential.relyingPartyID == nil && credential.userHandle.isEmpty && !credential.isDiscoverable)
    #expect(harness.audit.records.map(\.detail) == ["u2f certificate", "u2f"])
    #expect(harness.audit.records.allSatisfy { $0.outcome == .allowed && $0.credentialID == made.keyHandle })
  }

  @Test func authenticates() async throws {
    let harness = try Harness()
    let made = try await register(harness)
    for (control, presence) in [(.enforceUserPresence, 1), (.dontEnforceUserPresence, 0)] as [(U2FControl, UInt8)] {
      let response = try await authenticate(harness, authentication(made.keyHandle, control))
      #expect(response.userPresence == presence)
      let message = U2FAuthentication.message(
        challenge: Self.challenge, application: Self.application, userPresence: presence, counter: response.counter)
      #expect(response.signature == MemoryKeyStore.signature(digest: SHA256.hash(message), key: 1))
      let record = try #require(harness.audit.records.last)
      #expect(record.detail == "u2f" && record.signatureCounter == response.counter && record.flags == presence)
    }
    harness.keys.faults.fail(at: nil)
    #expect(await send(authentication(made.keyHandle, .checkOnly), harness) == [0x69, 0x85], "it is known")
    #expect(harness.keys.faults.calls == 0, "and nothing is signed")
  }

  @Test(arguments: U2FControl.allCases)
  func keyHandlesThatAreNotOurs(control: U2FControl) async throws {
    let harness = try Harness(rules: [try Harness.anything()])
    let made = try await register(harness)
    var other = made.keyHandle
    other[0] ^= 1
    for handle in [other, [], Array(made.keyHandle.dropLast()), made.keyHandle + [0]] {
      #expect(await send(authentication(handle, control), harness) == Self.wrongData)
    }
    let elsewhere = SHA256.hash(Array("example.org".utf8))
    #expect(
      await send(authentication(made.keyHandle, control, application: elsewhere), harness) == Self.wrongData)
  }

  @Test func countersOfBothWaysAreOne() async throws {
    let harness = try Harness()
    let made = try await register(harness)
    let first = try await authenticate(harness, authentication(made.keyHandle)).counter
    let (_, body) = try await harness.send(2, Harness.request(allow: [made.keyHandle]))
    let second = try body.authenticatorData().signatureCounter
    let third = try await authenticate(harness, authentication(made.keyHandle)).counter
    #expect(first < second && second < third)
  }

  // MARK: Interchange with CTAP2 (sections 7.2.1 and 7.3.1)

  @Test func aU2FCredentialIsUsedByCTAP2() async throws {
    let harness = try Harness()
    let made = try await register(harness)
    let (status, body) = try await harness.send(2, Harness.request(allow: [made.keyHandle]))
    #expect(status == Status.ok)
    let data = try body.authenticatorData()
    #expect(data.relyingPartyIDHash == Self.application && data.flags == [.up])
    #expect(try body.map(1)["id"] == .bytes(made.keyHandle))
    #expect(body[4] == nil, "U2F has no users")
    #expect(try await harness.send(2, Harness.request()).status == Status.noCredentials)
    let excluding = Harness.creation().with([(5, Harness.list([made.keyHandle]))])
    #expect(try await harness.send(1, excluding).status == Status.credentialExcluded)
  }

  @Test(arguments: [false, true])
  func aCTAP2CredentialIsUsedByU2F(discoverable: Bool) async throws {
    let harness = try Harness()
    let id = try await harness.register(discoverable: discoverable)
    #expect(try await authenticate(harness, authentication(id)).userPresence == 1)
    #expect(harness.audit.records.last?.relyingPartyID == "example.com")
    #expect(await send(authentication(id, .checkOnly), harness) == [0x69, 0x85])
  }

  @Test func otherAlgorithmsAreNothingForU2F() async throws {
    let harness = try Harness()
    let request = Harness.creation().with([(4, .array([.map(["alg": -257, "type": "public-key"])]))])
    let data = try await harness.send(1, request).body.authenticatorData()
    let id = try #require(data.attestedCredential).credentialID
    #expect(await send(authentication(id), harness) == Self.wrongData)
    let without = try Harness(algorithms: [.es384])
    #expect(
      await send(.register(challenge: Self.challenge, application: Self.application), without) == [0x6f, 0x00])
  }

  // MARK: Policy

  @Test func aHashMatchesNamesInFullAndNothingElse() async throws {
    // By the pattern "*.example.org".
    let harness = try Harness()
    let below = SHA256.hash(Array("a.example.org".utf8))
    let registration = U2FRequest.register(challenge: Self.challenge, application: below)
    #expect(await send(registration, harness) == Self.wrongData)
    #expect(harness.audit.records.last?.outcome == .refused)
    let id = try await harness.register("a.example.org")
    #expect(try await authenticate(harness, authentication(id, application: below)).userPresence == 1, "it is named")
    #expect(await harness.store.credentials.count == 1)

    await harness.engine.replaceJudge(try RuleBook([try Harness.anything()]))
    #expect(await send(registration, harness).suffix(2) == Self.noError)
    #expect(try await authenticate(harness, authentication(id, application: below)).userPresence == 1)

    await harness.engine.replaceJudge(try RuleBook([try Harness.rule("reads", ["*"], [.authenticate])]))
    #expect(await send(registration, harness) == Self.wrongData)
    let stranger = Harness.caller(connection: 2, user: 1001)
    #expect(await send(authentication(id, application: below), harness, from: stranger) == Self.wrongData)
  }

  /// What a rule for names below a domain refuses, U2F does not get by a rule for everything.
  @Test(arguments: U2FControl.allCases)
  func noWayRoundTheMostSpecificRule(control: U2FControl) async throws {
    let harness = try Harness(rules: [try Harness.anything()])
    let below = SHA256.hash(Array("a.example.org".utf8))
    let id = try await harness.register("a.example.org")
    let elsewhere = try await harness.register("example.com")
    let nameless = try await register(harness, application: below)
    var terms = Terms()
    terms.bindsClaims = true
    let bound = Rule(
      name: "bound", callers: [CallerPattern(user: 1000)], relyingParties: [try RelyingPartyPattern("*.example.org")],
      operations: [.authenticate], terms: terms)
    await harness.engine.replaceJudge(try RuleBook([try Harness.anything(), bound]))
    let plain = Harness.request("a.example.org", allow: [id])
    #expect(try await harness.send(2, plain).status == Status.operationDenied)
    for handle in [id, nameless.keyHandle] {
      #expect(await send(authentication(handle, control, application: below), harness) == Self.wrongData)
      #expect(harness.audit.records.last?.outcome == .refused)
    }
    // A name that is known is judged by the rule for it, and a rule that names it in full is certain.
    let known = await send(authentication(elsewhere, control), harness)
    #expect(known.suffix(2) == (control == .checkOnly ? [0x69, 0x85] : Self.noError))
    let exact = try Harness.rule("exact", ["a.example.org"], [.authenticate])
    await harness.engine.replaceJudge(try RuleBook([try Harness.anything(), bound, exact]))
    let certain = await send(authentication(nameless.keyHandle, control, application: below), harness)
    #expect(certain.suffix(2) == (control == .checkOnly ? [0x69, 0x85] : Self.noError))
  }

  @Test func nobodyIsVerifiedSoItEndsWhereThatIsWanted() async throws {
    let harness = try Harness(rules: [try Harness.anything(verified: true)])
    let made = try await register(harness)
    let token = try #require(try await PINPlatform(harness).verifiedToken(.authenticatorConfiguration).token)
    #expect(try await harness.send(0x0d, token.config(2)).status == Status.ok)
    let registration = U2FRequest.register(challenge: Self.challenge, application: Self.application)
    for request in [registration, authentication(made.keyHandle), authentication(made.keyHandle, .checkOnly)] {
      #expect(await send(request, harness) == [0x69, 0x86])
    }
    #expect(await send(.version, harness).suffix(2) == Self.noError)
    #expect(await harness.store.credentials.count == 1)
  }

  @Test func aPINDoesNotStandInItsWay() async throws {
    let harness = try await Harness.withPIN()
    let made = try await register(harness)
    #expect(try await authenticate(harness, authentication(made.keyHandle)).userPresence == 1)
  }

  @Test func aFullStoreAndFailingPorts() async throws {
    let harness = try Harness(capacity: 1)
    let request = U2FRequest.register(challenge: Self.challenge, application: Self.application)
    for plan in [harness.keys.faults, harness.store.faults, harness.audit.faults] {
      for n in 1... {
        plan.fail(at: n)
        let reply = await send(request, harness)
        let isReached = plan.calls >= n
        plan.fail(at: nil)
        if !isReached { break }
        #expect(reply == [0x6f, 0x00])
        #expect(await harness.store.credentials.isEmpty)
      }
      let id = try #require(await harness.store.credentials.first).id
      #expect(await send(request, harness) == [0x6f, 0x00], "full")
      _ = try await harness.store.remove(id: id)
    }
  }
}
