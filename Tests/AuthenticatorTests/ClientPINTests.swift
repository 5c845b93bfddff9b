import AuditLog
import Authenticator
import CBOR
import CTAP
import Policy
import TestSupport
import Testing

/// Setting and changing a PIN (CTAP 2.1 sections 6.5.5.1 to 6.5.5.6).
@Suite struct ClientPINTests {
  private func harness() throws -> Harness {
    try Harness(rules: [try Harness.anything()])
  }

  private func option(_ name: CBORValue, _ harness: Harness) async throws -> CBORValue? {
    try await harness.send(4).body.map(4)[name]
  }

  @Test(arguments: PINUVAuthProtocol.allCases)
  func setsAndChanges(version: PINUVAuthProtocol) async throws {
    let harness = try harness()
    let platform = PINPlatform(harness, Harness.alice, version)
    #expect(try await platform.retries() == nil)
    #expect(try await platform.status(platform.request(1)) == Status.pinNotSet)
    #expect(try await option("clientPin", harness) == false)

    let reply = await harness.engine.respond(
      to: [0x06] + CanonicalCBOR.encode(.map(try platform.setting(padded("1234"), try await platform.exchange()))),
      from: Harness.alice)
    #expect(reply == [Status.ok], "nothing follows the status")
    #expect(try await platform.retries() == 8)
    #expect(try await option("clientPin", harness) == true)
    #expect(try await platform.setPIN("5678") == Status.pinAuthInvalid, "it is set already")

    #expect(try await platform.changePIN("1234", "56789") == Status.ok)
    #expect(try await platform.attempt("1234") == Status.pinInvalid)
    #expect(try await platform.attempt("56789") == Status.ok)
    #expect(harness.audit.records.filter { $0.outcome == .allowed }.map(\.detail) == ["pin.set", "pin.change"])
  }

  @Test func withoutAPINNothingAsksForOne() async throws {
    let harness = try harness()
    let platform = PINPlatform(harness)
    #expect(try await platform.attempt("1234") == Status.pinNotSet)
    #expect(try await platform.changePIN("1234", "5678") == Status.pinNotSet)
  }

  @Test func everyMandatoryParameter() async throws {
    let harness = try harness()
    let platform = PINPlatform(harness)
    let exchange = try await platform.exchange()
    #expect(try await platform.status([1: 2]) == Status.missingParameter)
    let setting = try platform.setting(padded("1234"), exchange)
    for member in [1, 3, 4, 5] as [CBORValue] {
      #expect(try await platform.status(setting.with([(member, nil)])) == Status.missingParameter, "setPIN, \(member)")
    }
    #expect(try await platform.setPIN() == Status.ok)

    let changing = try platform.changing("1234", to: padded("5678"), exchange)
    for member in [1, 3, 4, 5, 6] as [CBORValue] {
      #expect(
        try await platform.status(changing.with([(member, nil)])) == Status.missingParameter, "changePIN, \(member)")
    }
    let asking = try platform.asking("1234", .makeCredential, "example.com", exchange)
    for member in [1, 3, 6, 9, 10] as [CBORValue] {
      #expect(
        try await platform.status(asking.with([(member, nil)])) == Status.missingParameter, "token, \(member)")
    }
    let legacy = asking.with([(2, 5), (9, nil), (10, nil)])
    for member in [1, 3, 6] as [CBORValue] {
      #expect(
        try await platform.status(legacy.with([(member, nil)])) == Status.missingParameter, "getPinToken, \(member)")
    }
    #expect(try await platform.status([2: 2]) == Status.missingParameter, "getKeyAgreement without a protocol")
    #expect(try await platform.retries() == 8, "none of these is an attempt")
  }

  @Test func aLegacyTokenNamesNoPermissions() async throws {
    let harness = try await Harness.withPIN()
    let platform = PINPlatform(harness)
    let asking = try platform.asking("1234", .makeCredential, nil, try await platform.exchange()).with([(2, 5)])
    #expect(try await platform.status(asking) == Status.invalidParameter)
    #expect(try await platform.status(asking.with([(9, nil), (10, "example.com")])) == Status.invalidParameter)
    #expect(try await platform.status(asking.with([(9, nil)])) == Status.ok)
  }

  @Test(arguments: [0, 3, 0xff] as [CBORValue])
  func unsupportedProtocols(number: CBORValue) async throws {
    let harness = try harness()
    let platform = PINPlatform(harness)
    let exchange = try await platform.exchange()
    let requests = [
      platform.request(2), try platform.setting(padded("1234"), exchange),
      try platform.changing("1234", to: padded("5678"), exchange),
      try platform.asking("1234", .authenticatorConfiguration, nil, exchange),
    ]
    for request in requests {
      #expect(try await platform.status(request.with([(1, number)])) == Status.invalidParameter)
    }
  }

  @Test(arguments: [0x08, 0x0a, 0x00, 0xff] as [CBORValue])
  func unknownSubcommands(number: CBORValue) async throws {
    let harness = try harness()
    #expect(try await PINPlatform(harness).status([1: 2, 2: number]) == Status.invalidSubcommand)
  }

  @Test func pointsOffTheCurve() async throws {
    let harness = try await Harness.withPIN()
    let platform = PINPlatform(harness)
    let exchange = try await platform.exchange()
    let off = Exchange.coseKey([UInt8](repeating: 1, count: 32), [UInt8](repeating: 1, count: 32))
    let changing = try platform.changing("1234", to: padded("5678"), exchange).with([(3, off)])
    #expect(try await platform.status(changing) == Status.invalidParameter)
    let asking = try platform.asking("1234", .authenticatorConfiguration, nil, exchange).with([(3, off)])
    #expect(try await platform.status(asking) == Status.invalidParameter)
    #expect(try await platform.retries() == 8)

    let without = try self.harness()
    let first = PINPlatform(without)
    let setting = try first.setting(padded("1234"), try await first.exchange()).with([(3, off)])
    #expect(try await first.status(setting) == Status.invalidParameter)
  }

  @Test(arguments: PINUVAuthProtocol.allCases)
  func wrongCodes(version: PINUVAuthProtocol) async throws {
    let harness = try harness()
    let platform = PINPlatform(harness, Harness.alice, version)
    let exchange = try await platform.exchange()
    func spoilt(_ request: CBORMap) throws -> [CBORMap] {
      var code = try request.bytes(4)
      code[0] ^= 1
      return [code, Array(code.dropLast()), [], code + [0]].map { request.with([(4, .bytes($0))]) }
    }
    for request in try spoilt(try platform.setting(padded("1234"), exchange)) {
      #expect(try await platform.status(request) == Status.pinAuthInvalid)
    }
    #expect(try await platform.setPIN() == Status.ok)
    for request in try spoilt(try platform.changing("1234", to: padded("5678"), exchange)) {
      #expect(try await platform.status(request) == Status.pinAuthInvalid)
    }
    #expect(try await platform.retries() == 8, "the PIN was not looked at")
  }

  @Test(arguments: [
    // Code points count, not bytes and not characters: these are 3, 4, 4 and 4 of them.
    ("éüö", Status.pinPolicyViolation), ("éüöä", Status.ok), ("e\u{301}e\u{301}", Status.ok),
    ("😀😀😀😀", Status.ok), ("😀😀😀", Status.pinPolicyViolation), ("123", Status.pinPolicyViolation),
    ("", Status.pinPolicyViolation), (String(repeating: "9", count: 63), Status.ok),
    (String(repeating: "9", count: 64), Status.pinPolicyViolation),
    (String(repeating: "é", count: 31) + "9", Status.ok),
  ])
  func lengths(pin: String, expected: UInt8) async throws {
    let harness = try harness()
    let platform = PINPlatform(harness)
    #expect(try await platform.setPIN(pin) == expected)
    if expected == Status.ok { #expect(try await platform.attempt(pin) == Status.ok) }

    let second = try await Harness.withPIN()
    let other = PINPlatform(second)
    #expect(try await other.changePIN("1234", pin) == expected)
    #expect(try await other.attempt(expected == Status.ok ? pin : "1234") == Status.ok)
  }

  @Test(arguments: [
    "31003233 34", "ff313233 34", "c3283132 33", "c0b03132 33", "eda08031 3233", "f4908080 313233", "31323334 c3",
    "80313233 34", "e0808031 3233", "f0808080 313233", "f5313233 34",
  ])
  func whatIsNoUTF8OrHasZerosInside(text: String) async throws {
    let harness = try harness()
    let platform = PINPlatform(harness)
    let bytes = [UInt8](hex: text)
    let request = try platform.setting(
      bytes + [UInt8](repeating: 0, count: 64 - bytes.count), try await platform.exchange())
    #expect(try await platform.status(request) == Status.pinPolicyViolation)
  }

  @Test(arguments: [16, 48, 80, 128])
  func paddingIsSixtyFourBytes(count: Int) async throws {
    let harness = try harness()
    let platform = PINPlatform(harness)
    let bytes = Array("12345678".utf8) + [UInt8](repeating: 0, count: count - 8)
    let exchange = try await platform.exchange()
    #expect(try await platform.status(try platform.setting(bytes, exchange)) == Status.invalidParameter)
    #expect(try await platform.setPIN() == Status.ok)
    #expect(try await platform.status(try platform.changing("1234", to: bytes, exchange)) == Status.invalidParameter)
    #expect(try await platform.attempt("1234") == Status.ok)
  }

  @Test(
    arguments: [(.one, 0), (.one, 63), (.two, 0), (.two, 15), (.two, 16), (.two, 79)] as [(PINUVAuthProtocol, Int)])
  func whatIsNoCiphertext(version: PINUVAuthProtocol, count: Int) async throws {
    let harness = try harness()
    let platform = PINPlatform(harness, Harness.alice, version)
    let exchange = try await platform.exchange()
    let bytes = [UInt8](repeating: 0x11, count: count)
    let request = platform.request(3).with([
      (3, exchange.point), (4, .bytes(exchange.secret.authenticate(bytes))), (5, .bytes(bytes)),
    ])
    #expect(try await platform.status(request) == Status.pinAuthInvalid)
    #expect(try await platform.retries() == nil)
  }

  @Test func onlyWhoMayManageEverythingSetsPINs() async throws {
    let harness = try Harness()  // manages two relying parties only
    let platform = PINPlatform(harness)
    #expect(try await platform.setPIN() == Status.operationDenied)
    #expect(harness.audit.records.last?.outcome == .refused)
    #expect(harness.audit.records.last?.detail == "pin.set")

    let stranger = PINPlatform(harness, Harness.caller(connection: 2, user: 1001))
    for subcommand in [1, 2, 3, 4, 5, 6, 7, 9] as [Int64] {
      #expect(try await stranger.status(stranger.request(subcommand)) == Status.operationDenied)
    }
  }

  @Test func theKeyAgreementKeyIsOneChannels() async throws {
    let harness = try await Harness.withPIN(users: [1000, 1001])
    let one = PINPlatform(harness)
    let other = PINPlatform(harness, Harness.caller(connection: 2))
    let point = try await one.point()
    #expect(try await one.point() == point)
    #expect(try await other.point() != point)
    #expect(try await PINPlatform(harness, Harness.alice, .one).point() != point)

    let exchange = try await one.exchange()
    let others = try await other.point()
    #expect(try await one.attempt("0000") == Status.pinInvalid)
    #expect(try await one.point() != point, "a wrong PIN ends it")
    #expect(try await other.point() == others, "but not another channel's")
    #expect(
      try await one.status(try one.changing("1234", to: padded("5678"), exchange)) == Status.pinAuthInvalid,
      "the secret of the old key is of no use")
  }

  @Test func aChangeThatIsForced() async throws {
    let harness = try await Harness.withPIN()
    let platform = PINPlatform(harness)
    let token = try await platform.token(.authenticatorConfiguration)
    #expect(try await harness.send(0x0d, token.config(3, [3: true])).status == Status.ok)
    #expect(try await harness.send(4).body[0x0c] == true)
    #expect(try await platform.attempt("1234") == Status.pinInvalid, "no token before the change")
    #expect(try await platform.retries() == 8, "the PIN was right")
    #expect(try await platform.changePIN("1234", "1234") == Status.pinPolicyViolation)
    #expect(try await platform.changePIN("1234", "4321") == Status.ok)
    #expect(try await harness.send(4).body[0x0c] == false)
    #expect(try await platform.attempt("4321") == Status.ok)
    #expect(try await platform.changePIN("4321", "4321") == Status.ok, "unforced, it may stay")
  }

  @Test func tokensDieWithThePIN() async throws {
    let harness = try await Harness.withPIN()
    let id = try await harness.register()
    let other = Harness.caller(connection: 2)
    let token = try await PINPlatform(harness, other).token(.getAssertion, "example.com")
    #expect(try await PINPlatform(harness).changePIN("1234", "5678") == Status.ok)
    #expect(try await harness.send(2, token.assertion(allow: [id]), from: other).status == Status.pinAuthInvalid)
  }
}
