import Authenticator
import CBOR
import CTAP
import Crypto
import Policy
import TestSupport
import Testing
import WebAuthn

/// hmac-secret (CTAP 2.1 section 12.5) and hmac-secret-mc (CTAP 2.2).
@Suite struct HMACSecretTests {
  private static let salt1 = [UInt8](repeating: 0x11, count: 32)
  private static let salt2 = [UInt8](repeating: 0x22, count: 32)

  private func harness() throws -> Harness {
    try Harness(rules: [try Harness.anything(verified: true)])
  }

  private func register(_ harness: Harness, _ extensions: CBORMap = ["hmac-secret": true]) async throws -> [UInt8] {
    let (status, body) = try await harness.send(1, Harness.creation().with([(6, .map(extensions))]))
    try #require(status == Status.ok)
    let data = try body.authenticatorData()
    #expect(data.extensions == (extensions["hmac-secret"] == true ? ["hmac-secret": true] : nil))
    return try #require(data.attestedCredential).credentialID
  }

  /// The outputs, as the platform decrypts them.
  private func outputs(
    _ harness: Harness, _ id: [UInt8], _ salts: [UInt8], _ version: PINUVAuthProtocol = .two, verified: Bool = false
  ) async throws -> [UInt8] {
    let exchange = try await PINPlatform(harness, Harness.alice, version).exchange()
    let request = Harness.request(allow: [id]).with([
      (4, .map(["hmac-secret": .map(try exchange.saltInput(salts))])), (5, .map(["uv": .boolean(verified)])),
    ])
    let (status, body) = try await harness.send(2, request)
    try #require(status == Status.ok)
    let sent = try #require(try body.authenticatorData().extensions).bytes("hmac-secret")
    #expect(sent.count == salts.count + (version == .two ? 16 : 0))
    return try exchange.plaintext(sent)
  }

  @Test(arguments: PINUVAuthProtocol.allCases)
  func oneSaltAndTwo(version: PINUVAuthProtocol) async throws {
    let harness = try harness()
    let id = try await register(harness)
    let one = try await outputs(harness, id, Self.salt1, version)
    let other = try await outputs(harness, id, Self.salt2, version)
    #expect(one.count == 32 && one != other)
    #expect(try await outputs(harness, id, Self.salt1 + Self.salt2, version) == one + other)
    #expect(try await outputs(harness, id, Self.salt2 + Self.salt1, version) == other + one)
    #expect(try await outputs(try harness.restarted(), id, Self.salt1, version) == one, "the same for ever")
  }

  @Test func bothProtocolsGiveTheSame() async throws {
    let harness = try harness()
    let id = try await register(harness)
    #expect(try await outputs(harness, id, Self.salt1, .one) == outputs(harness, id, Self.salt1, .two))
  }

  @Test func verifiedUsersAndOthersHaveOtherSecrets() async throws {
    let harness = try harness()
    let id = try await register(harness)
    let verified = try await outputs(harness, id, Self.salt1, verified: true)
    #expect(try await outputs(harness, id, Self.salt1) != verified)
    #expect(try await outputs(harness, id, Self.salt1, verified: true) == verified)
    let second = try await register(harness)
    #expect(try await outputs(harness, second, Self.salt1, verified: true) != verified, "each credential its own")
  }

  @Test func theSecretIsHMACOfTheSalt() async throws {
    let harness = try harness()
    let id = try await register(harness)
    for verified in [true, false] {
      let binding = KeyBinding(credentialID: id, relyingPartyID: "example.com")
      let random = try harness.keys.secret.hmacSecret(binding, verified: verified)
      let expected = HMACSHA256.authenticate(Self.salt1, key: random)
      #expect(try await outputs(harness, id, Self.salt1, verified: verified) == expected)
    }
  }

  @Test func onlyWhoAskedForItHasSecrets() async throws {
    let harness = try harness()
    let id = try await register(harness, [:])
    let declined = try await register(harness, ["hmac-secret": false])
    let exchange = try await PINPlatform(harness).exchange()
    for id in [id, declined] {
      let request = Harness.request(allow: [id]).with([
        (4, .map(["hmac-secret": .map(try exchange.saltInput(Self.salt1))]))
      ])
      let (status, body) = try await harness.send(2, request)
      #expect(status == Status.ok)
      #expect(try body.authenticatorData().extensions == nil)
    }
  }

  @Test func wrongInputs() async throws {
    let harness = try harness()
    let id = try await register(harness)
    let exchange = try await PINPlatform(harness).exchange()
    func status(_ input: CBORMap, _ options: CBORMap = [:]) async throws -> UInt8 {
      let request = Harness.request(allow: [id]).with([(4, .map(["hmac-secret": .map(input)])), (5, .map(options))])
      return try await harness.send(2, request).status
    }
    let right = try exchange.saltInput(Self.salt1)
    var code = try right.bytes(3)
    code[0] ^= 1
    #expect(try await status(right.with([(3, .bytes(code))])) == Status.pinAuthInvalid)
    #expect(try await status(right.with([(3, .bytes([]))])) == Status.pinAuthInvalid)
    for member in [1, 2, 3] as [CBORValue] {
      #expect(try await status(right.with([(member, nil)])) == Status.missingParameter)
    }
    #expect(try await status(right.with([(4, 3)])) == Status.invalidParameter)
    #expect(try await status(right.with([(4, nil)])) == Status.pinAuthInvalid, "absent is protocol one")
    let off = Exchange.coseKey([UInt8](repeating: 1, count: 32), [UInt8](repeating: 1, count: 32))
    #expect(try await status(right.with([(1, off)])) == Status.invalidParameter)
    for count in [16, 48, 80, 96] {
      #expect(
        try await status(try exchange.saltInput([UInt8](repeating: 1, count: count))) == Status.invalidLength)
    }
    #expect(try await status(right, ["up": false]) == Status.unsupportedOption, "the secrets ask for presence")
    #expect(try await status(right) == Status.ok)
  }

  @Test func withoutAProtocolItIsOne() async throws {
    let harness = try harness()
    let id = try await register(harness)
    let exchange = try await PINPlatform(harness, Harness.alice, .one).exchange()
    let input = try exchange.saltInput(Self.salt1).with([(4, nil)])
    let request = Harness.request(allow: [id]).with([(4, .map(["hmac-secret": .map(input)]))])
    let (status, body) = try await harness.send(2, request)
    #expect(status == Status.ok)
    let sent = try #require(try body.authenticatorData().extensions).bytes("hmac-secret")
    #expect(try await exchange.plaintext(sent) == outputs(harness, id, Self.salt1))
  }

  @Test func everyAccountOfAWalkHasItsSecret() async throws {
    let harness = try harness()
    var expected: [[UInt8]] = []
    for user in UInt8(1)...3 {
      let request = Harness.creation(user: [user]).with([
        (6, .map(["hmac-secret": true])), (7, .map(["rk": true, "uv": true])),
      ])
      let data = try await harness.send(1, request).body.authenticatorData()
      let id = try #require(data.attestedCredential).credentialID
      expected.append(try await outputs(harness, id, Self.salt1, verified: true))
    }
    let exchange = try await PINPlatform(harness).exchange()
    let request = Harness.request().with([
      (4, .map(["hmac-secret": .map(try exchange.saltInput(Self.salt1))])), (5, .map(["uv": true])),
    ])
    var (_, body) = try await harness.send(2, request)
    for secret in expected.reversed() {
      let sent = try #require(try body.authenticatorData().extensions).bytes("hmac-secret")
      #expect(try exchange.plaintext(sent) == secret)
      body = try await harness.send(8).body
    }
  }

  @Test(arguments: [false, true])
  func atTheCreation(verified: Bool) async throws {
    let harness = try harness()
    let exchange = try await PINPlatform(harness).exchange()
    let input = try exchange.saltInput(Self.salt1 + Self.salt2)
    func request(_ extensions: CBORMap) -> CBORMap {
      Harness.creation().with([(6, .map(extensions)), (7, .map(["uv": .boolean(verified)]))])
    }
    let (status, body) = try await harness.send(
      1, request(["hmac-secret": true, "hmac-secret-mc": .map(input)]))
    #expect(status == Status.ok)
    let data = try body.authenticatorData()
    #expect(data.extensions?["hmac-secret"] == true)
    let secret = try exchange.plaintext(try #require(data.extensions).bytes("hmac-secret-mc"))
    let id = try #require(data.attestedCredential).credentialID
    #expect(try await secret == outputs(harness, id, Self.salt1 + Self.salt2, verified: verified))

    #expect(try await harness.send(1, request(["hmac-secret-mc": .map(input)])).status == Status.missingParameter)
    #expect(
      try await harness.send(1, request(["hmac-secret": false, "hmac-secret-mc": .map(input)])).status
        == Status.missingParameter)
    let wrong = input.with([(3, .bytes([]))])
    harness.keys.faults.fail(at: nil)
    #expect(
      try await harness.send(1, request(["hmac-secret": true, "hmac-secret-mc": .map(wrong)])).status
        == Status.pinAuthInvalid)
    #expect(harness.keys.faults.calls == 0, "no key is made in vain")
    #expect(await harness.store.credentials.count == 1)
  }
}
