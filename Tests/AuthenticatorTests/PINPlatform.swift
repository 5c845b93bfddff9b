import Authenticator
import CBOR
import CTAP
import Crypto
import Policy
import Secrets
import Testing

/// What a platform does about PINs and tokens on one connection: the other side of CTAP 2.1 section 6.5.
struct PINPlatform: Sendable {
  let harness: Harness
  let caller: Caller
  let version: PINUVAuthProtocol

  init(_ harness: Harness, _ caller: Caller = Harness.alice, _ version: PINUVAuthProtocol = .two) {
    self.harness = harness
    self.caller = caller
    self.version = version
  }

  func send(_ parameters: CBORMap) async throws -> (status: UInt8, body: CBORMap) {
    try await harness.send(0x06, parameters, from: caller)
  }

  func status(_ parameters: CBORMap) async throws -> UInt8 {
    try await send(parameters).status
  }

  /// A subcommand and the protocol.
  func request(_ subcommand: Int64) -> CBORMap {
    [1: .unsigned(version.rawValue), 2: .integer(subcommand)]
  }

  // MARK: Key agreement

  /// The authenticator's point.
  func point() async throws -> KeyAgreementPoint {
    let (status, body) = try await send(request(2))
    try #require(status == Status.ok)
    let key = try body.map(1)
    #expect(key[1] == 2 && key[3] == -25 && key[-1] == 1)
    return try #require(KeyAgreementPoint(x: try key.bytes(-2), y: try key.bytes(-3)))
  }

  func exchange() async throws -> Exchange {
    try Exchange(version, with: try await point())
  }

  // MARK: Requests, for tests to spoil

  /// setPIN of 64 bytes, or of how many there are.
  func setting(_ padded: [UInt8], _ exchange: Exchange) throws -> CBORMap {
    let encrypted = try exchange.encrypt(padded)
    return request(3).with([
      (3, exchange.point), (4, .bytes(exchange.secret.authenticate(encrypted))), (5, .bytes(encrypted)),
    ])
  }

  func changing(_ old: String, to padded: [UInt8], _ exchange: Exchange) throws -> CBORMap {
    let encrypted = try exchange.encrypt(padded)
    let hash = try exchange.pinHash(old)
    return request(4).with([
      (3, exchange.point), (4, .bytes(exchange.secret.authenticate(encrypted + hash))), (5, .bytes(encrypted)),
      (6, .bytes(hash)),
    ])
  }

  /// getPinUvAuthTokenUsingPinWithPermissions.
  func asking(
    _ pin: String, _ permissions: Permissions, _ relyingPartyID: String?, _ exchange: Exchange
  ) throws -> CBORMap {
    request(9).with([
      (3, exchange.point), (6, .bytes(try exchange.pinHash(pin))), (9, .unsigned(permissions.rawValue)),
      (10, relyingPartyID.map(CBORValue.text)),
    ])
  }

  // MARK: Whole exchanges

  @discardableResult
  func setPIN(_ pin: String = PINPlatform.pin) async throws -> UInt8 {
    try await status(try setting(padded(pin), try await exchange()))
  }

  func changePIN(_ old: String, _ new: String) async throws -> UInt8 {
    try await status(try changing(old, to: padded(new), try await exchange()))
  }

  /// What the status of a try with this PIN is.
  func attempt(_ pin: String, _ permissions: Permissions = .authenticatorConfiguration) async throws -> UInt8 {
    try await status(try asking(pin, permissions, nil, try await exchange()))
  }

  /// A token by the PIN.
  func token(
    _ permissions: Permissions, _ relyingPartyID: String? = nil, pin: String = PINPlatform.pin
  ) async throws -> Token {
    let exchange = try await exchange()
    let (status, body) = try await send(try asking(pin, permissions, relyingPartyID, exchange))
    try #require(status == Status.ok)
    return try exchange.token(body)
  }

  /// A token of CTAP 2.0.
  func legacyToken(pin: String = PINPlatform.pin) async throws -> Token {
    let exchange = try await exchange()
    let parameters = request(5).with([(3, exchange.point), (6, .bytes(try exchange.pinHash(pin)))])
    let (status, body) = try await send(parameters)
    try #require(status == Status.ok)
    return try exchange.token(body)
  }

  /// A token for which a rule stands.
  func verifiedToken(
    _ permissions: Permissions, _ relyingPartyID: String? = nil
  ) async throws -> (status: UInt8, token: Token?) {
    let exchange = try await exchange()
    let parameters = request(6).with([
      (3, exchange.point), (9, .unsigned(permissions.rawValue)), (10, relyingPartyID.map(CBORValue.text)),
    ])
    let (status, body) = try await send(parameters)
    return (status, status == Status.ok ? try exchange.token(body) : nil)
  }

  /// pinRetries; nil where it is refused.
  func retries() async throws -> Int64? {
    let (status, body) = try await send(request(1))
    return status == Status.ok ? body[3]?.integer : nil
  }

  static let pin = "1234"
}

/// A PIN as it is encrypted: padded with zeros to 64 bytes.
func padded(_ pin: String) -> [UInt8] {
  let bytes = Array(pin.utf8)
  return bytes + [UInt8](repeating: 0, count: max(0, 64 - bytes.count))
}

/// The shared secret of one exchange, and the platform's point.
final class Exchange: Sendable {
  let secret: PINUVSharedSecret
  /// COSE_Key.
  let point: CBORValue

  init(_ version: PINUVAuthProtocol, with authenticator: KeyAgreementPoint) throws {
    let key = try KeyAgreementKey()
    let own = key.publicKey
    point = Exchange.coseKey(own.x, own.y)
    secret = try PINUVSharedSecret(version, own: key, peer: authenticator)
  }

  static func coseKey(_ x: [UInt8], _ y: [UInt8]) -> CBORValue {
    .map([1: 2, 3: -25, -1: 1, -2: .bytes(x), -3: .bytes(y)])
  }

  func encrypt(_ bytes: [UInt8]) throws -> [UInt8] {
    try secret.encrypt(bytes.span, initializationVector: [UInt8](repeating: 0x1f, count: 16))
  }

  func pinHash(_ pin: String) throws -> [UInt8] {
    try encrypt(Array(SHA256.hash(Array(pin.utf8)).prefix(16)))
  }

  /// What a response to a request for a token holds.
  func token(_ body: CBORMap) throws -> Token {
    let bytes = try secret.decrypt(try body.bytes(2))
    #expect(bytes.count == 32)
    return Token(bytes, secret.version)
  }

  /// What was encrypted for the platform.
  func plaintext(_ ciphertext: [UInt8]) throws -> [UInt8] {
    try secret.decrypt(ciphertext).reveal { span in span.indices.map { span[$0] } }
  }

  /// The input of hmac-secret.
  func saltInput(_ salts: [UInt8], named version: CBORValue? = nil) throws -> CBORMap {
    let encrypted = try encrypt(salts)
    var input: CBORMap = [1: point, 2: .bytes(encrypted), 3: .bytes(secret.authenticate(encrypted))]
    input[4] = version ?? .unsigned(secret.version.rawValue)
    return input
  }
}

/// A pinUvAuthToken in the platform's hands.
final class Token: Sendable {
  let bytes: SecretBytes
  let version: PINUVAuthProtocol

  init(_ bytes: consuming SecretBytes, _ version: PINUVAuthProtocol) {
    self.bytes = bytes
    self.version = version
  }

  func code(_ message: [UInt8]) -> CBORValue {
    .bytes(version.authenticate(message, key: bytes))
  }

  func isSame(as other: Token) -> Bool {
    bytes.isEqual(to: other.bytes)
  }

  private var number: CBORValue { .unsigned(version.rawValue) }

  /// A makeCredential with it.
  func creation(
    _ relyingPartyID: String = "example.com", user: [UInt8] = [1], _ members: [(key: CBORValue, value: CBORValue?)] = []
  ) -> CBORMap {
    Harness.creation(relyingPartyID, user: user).with([(8, code(Harness.clientDataHash)), (9, number)]).with(members)
  }

  /// A getAssertion with it.
  func assertion(
    _ relyingPartyID: String = "example.com", allow: [[UInt8]]? = nil,
    _ members: [(key: CBORValue, value: CBORValue?)] = []
  ) -> CBORMap {
    Harness.request(relyingPartyID, allow: allow).with([(6, code(Harness.clientDataHash)), (7, number)]).with(members)
  }

  /// A request to authenticatorCredentialManagement.
  func management(_ subcommand: UInt8, _ parameters: CBORMap? = nil) -> CBORMap {
    let signed = [subcommand] + (parameters.map { CanonicalCBOR.encode(.map($0)) } ?? [])
    return CBORMap().with([
      (1, .unsigned(UInt64(subcommand))), (2, parameters.map(CBORValue.map)), (3, number), (4, code(signed)),
    ])
  }

  /// A request to authenticatorConfig.
  func config(_ subcommand: UInt8, _ parameters: CBORMap? = nil) -> CBORMap {
    let signed =
      [UInt8](repeating: 0xff, count: 32) + [0x0d, subcommand]
      + (parameters.map { CanonicalCBOR.encode(.map($0)) } ?? [])
    return CBORMap().with([
      (1, .unsigned(UInt64(subcommand))), (2, parameters.map(CBORValue.map)), (3, number), (4, code(signed)),
    ])
  }

  /// A fragment for authenticatorLargeBlobs.
  func write(_ fragment: [UInt8], at offset: Int, of length: Int? = nil) -> CBORMap {
    let little = [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: offset >> $0) }
    let signed = [UInt8](repeating: 0xff, count: 32) + [0x0c, 0x00] + little + SHA256.hash(fragment)
    return Harness.blobs(fragment, at: offset, of: length).with([(5, code(signed)), (6, number)])
  }
}

extension Harness {
  /// A fragment without a token.
  static func blobs(_ fragment: [UInt8], at offset: Int, of length: Int? = nil) -> CBORMap {
    CBORMap().with([
      (2, .bytes(fragment)), (3, .unsigned(UInt64(offset))), (4, length.map { .unsigned(UInt64($0)) }),
    ])
  }

  /// A harness whose users may do anything, with a PIN.
  static func withPIN(users: [UInt32] = [1000], isEnterprise: Bool = false) async throws -> Harness {
    let harness = try Harness(rules: [try anything(users: users, enterprise: isEnterprise)])
    try #require(try await PINPlatform(harness).setPIN() == Status.ok)
    return harness
  }
}
