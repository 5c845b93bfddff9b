import AuditLog
import Authenticator
import CBOR
import CTAP
import Crypto
import Policy
import TestSupport
import Testing
import WebAuthn

/// A platform that does everything once, goes on whatever fails, and remembers what it was told.
final class CommandScript {
  let harness: Harness
  private let platform: PINPlatform
  /// Credentials that were answered for, and not deleted since.
  private(set) var made: Set<[UInt8]> = []
  /// Credentials whose deletion was not confirmed.
  private(set) var inDoubt: Set<[UInt8]> = []
  /// What a signature was given for: credential and counter, or the challenge of a U2F registration.
  private(set) var signatures: [(credentialID: [UInt8], counter: UInt32?)] = []
  /// Wrong PINs that were told apart from right ones since the last right one.
  private(set) var wrongAttempts = 0
  private(set) var statuses: [UInt8] = []
  private var pin: String?
  private var accounts: [UInt8: [UInt8]] = [:]

  init(_ harness: Harness) {
    self.harness = harness
    platform = PINPlatform(harness)
  }

  /// The PINs that may be in force.
  private(set) var possiblePINs: Set<String?> = [nil]

  func run() async throws {
    try await setPIN()
    try await register()
    try await authenticate()
    try await manage()
    try await configure()
    try await u2f()
    try await guess()
    try await changePIN()
  }

  // MARK: Steps

  private func note(_ status: UInt8) -> Bool {
    statuses.append(status)
    return status == Status.ok
  }

  private func send(_ command: UInt8, _ parameters: CBORMap? = nil) async throws -> CBORMap? {
    let (status, body) = try await harness.send(command, parameters)
    return note(status) ? body : nil
  }

  private func exchange() async throws -> Exchange? {
    guard let body = try await send(6, platform.request(2)) else { return nil }
    let key = try body.map(1)
    return try Exchange(.two, with: try #require(KeyAgreementPoint(x: try key.bytes(-2), y: try key.bytes(-3))))
  }

  private func token(_ permissions: Permissions, _ relyingPartyID: String? = nil) async throws -> Token? {
    guard let pin, let exchange = try await exchange(),
      let body = try await send(6, try platform.asking(pin, permissions, relyingPartyID, exchange))
    else { return nil }
    wrongAttempts = 0
    return try exchange.token(body)
  }

  private func setPIN() async throws {
    guard let exchange = try await exchange() else { return }
    possiblePINs.insert("1234")
    if try await send(6, try platform.setting(padded("1234"), exchange)) != nil {
      possiblePINs = ["1234"]
      pin = "1234"
    }
  }

  private func register() async throws {
    // The second replaces the first.
    for user in [1, 1, 2] as [UInt8] {
      guard let exchange = try await exchange(), let token = try await token(.makeCredential, "example.com") else {
        continue
      }
      let salts = try exchange.saltInput([UInt8](repeating: 1, count: 64))
      let extensions: CBORMap = [
        "credProtect": 2, "hmac-secret": true, "hmac-secret-mc": .map(salts), "credBlob": .bytes([1, 2]),
        "largeBlobKey": true, "minPinLength": true,
      ]
      let request = token.creation(user: [user], [(6, .map(extensions)), (7, .map(["rk": true]))])
      guard let body = try await send(1, request) else { continue }
      if let replaced = accounts[user] { made.remove(replaced) }
      accounts[user] = try keep(body)
    }
    if let body = try await send(1, Harness.creation("example.org")) { _ = try keep(body) }
  }

  private func keep(_ body: CBORMap) throws -> [UInt8] {
    let data = try body.authenticatorData()
    let id = try #require(data.attestedCredential).credentialID
    signatures.append((id, data.signatureCounter))
    made.insert(id)
    return id
  }

  private func authenticate() async throws {
    guard let exchange = try await exchange(), let token = try await token(.getAssertion, "example.com") else {
      return
    }
    let salts = try exchange.saltInput([UInt8](repeating: 1, count: 32))
    let extensions: CBORMap = ["hmac-secret": .map(salts), "credBlob": true, "largeBlobKey": true]
    for (command, request) in [
      (2, token.assertion("example.com", allow: nil, [(4, .map(extensions))])),
      (2, Harness.request(allow: Array(made))),
      (2, Harness.request("example.org", allow: Array(made))),
    ] as [(UInt8, CBORMap)] {
      guard let body = try await send(command, request) else { continue }
      signatures.append((try body.map(1).bytes("id"), try body.authenticatorData().signatureCounter))
    }
  }

  private func manage() async throws {
    guard let token = try await token(.credentialManagement) else { return }
    for subcommand in [1, 2] as [UInt8] { _ = try await send(0x0a, token.management(subcommand)) }
    let hash = SHA256.hash(Array("example.com".utf8))
    guard let body = try await send(0x0a, token.management(4, [1: .bytes(hash)])) else { return }
    let descriptor = try body.map(7)
    let user: CBORMap = ["id": try #require(try body.map(6)["id"]), "name": "another"]
    _ = try await send(0x0a, token.management(7, [2: .map(descriptor), 3: .map(user)]))
    let id = try descriptor.bytes("id")
    if try await send(0x0a, token.management(6, [2: .map(descriptor)])) == nil { inDoubt.insert(id) }
    made.remove(id)
  }

  private func configure() async throws {
    if let token = try await token([.authenticatorConfiguration, .largeBlobWrite]) {
      _ = try await send(0x0d, token.config(2))
      _ = try await send(0x0d, token.config(2))
      _ = try await send(0x0d, token.config(3, [2: .array(["example.com"])]))
      let array = LargeBlobTests.array([0x81, 0x01])
      _ = try await send(0x0c, token.write(array, at: 0, of: array.count))
    }
    _ = try await send(0x0c, [1: 100, 3: 0])
    _ = try await token(.persistentCredentialManagementReadOnly)
    _ = try await send(4)
  }

  private func u2f() async throws {
    let application = SHA256.hash(Array("example.net".utf8))
    let registration = U2FRequest.register(challenge: Harness.clientDataHash, application: application)
    let reply = await harness.engine.respond(toU2F: registration.encoded(), from: Harness.alice)
    guard case .registration(let made)? = try? U2FResponse.decode(reply, to: registration) else { return }
    self.made.insert(made.keyHandle)
    signatures.append((made.keyHandle, nil))
    let request = U2FRequest.authenticate(
      control: .enforceUserPresence, challenge: Harness.clientDataHash, application: application,
      keyHandle: made.keyHandle)
    let answer = await harness.engine.respond(toU2F: request.encoded(), from: Harness.alice)
    guard case .authentication(let authentication)? = try? U2FResponse.decode(answer, to: request) else { return }
    signatures.append((made.keyHandle, authentication.counter))
  }

  private func guess() async throws {
    guard pin != nil, let exchange = try await exchange() else { return }
    let (status, _) = try await platform.send(try platform.asking("0000", .credentialManagement, nil, exchange))
    statuses.append(status)
    if status == Status.pinInvalid { wrongAttempts += 1 }
    #expect(await harness.keys.retries.failures >= UInt8(wrongAttempts))
  }

  private func changePIN() async throws {
    guard let old = pin, let exchange = try await exchange() else { return }
    possiblePINs.insert("5678")
    // Whatever comes of it, the old PIN is right.
    wrongAttempts = 0
    if try await send(6, try platform.changing(old, to: padded("5678"), exchange)) != nil {
      possiblePINs = ["5678"]
      pin = "5678"
    }
  }
}
