import AuditLog
import Authenticator
import CBOR
import Platform
import Policy
import TestSupport
import Testing
import WebAuthn

/// The authenticator over ports in memory, spoken to in bytes as a client does.
final class Harness: Sendable {
  let keys: MemoryKeyStore
  let store: MemoryStore
  let audit: MemoryAudit
  let time: ManualTime
  let engine: AuthenticatorEngine
  private let rules: [Rule]
  private let seed: UInt64
  private let executor: ThreadExecutor

  static let alice = Caller(
    connection: 1, user: 1000, group: 1000, process: 4711, supplementaryGroups: [], unit: "ci.service")

  convenience init(
    rules: [Rule]? = nil, algorithms: [COSEAlgorithm] = COSEAlgorithm.allCases, capacity: Int = 1000
  ) throws {
    try self.init(
      MemoryKeyStore(algorithms: algorithms), MemoryStore(capacity: capacity), MemoryAudit(), ManualTime(),
      rules ?? [try Harness.everything()])
  }

  private init(
    _ keys: MemoryKeyStore, _ store: MemoryStore, _ audit: MemoryAudit, _ time: ManualTime, _ rules: [Rule],
    seed: UInt64 = 7
  ) throws {
    (self.keys, self.store, self.audit, self.time) = (keys, store, audit, time)
    (self.rules, self.seed) = (rules, seed)
    executor = try ThreadExecutor(name: "engine")
    let environment = AuthenticatorEnvironment(
      keys: keys, store: store, audit: audit, time: time, random: SeededRandom(seed: seed), logger: .silent,
      identity: .software)
    engine = AuthenticatorEngine(environment: environment, judge: try RuleBook(rules), executor: executor)
  }

  /// The daemon after a restart: another engine over the same ports.
  func restarted() throws -> Harness {
    try Harness(keys, store, audit, time, rules, seed: seed + 1)
  }

  deinit {
    executor.stop()
  }

  /// Lets uid 1000 do everything but reset for example.com and its neighbours.
  static func everything(
    _ operations: Set<Operation> = [.register, .authenticate, .manage], signatureCounter: SignatureCounter = .global
  ) throws -> Rule {
    Rule(
      name: "all", callers: [CallerPattern(user: 1000)],
      relyingParties: try ["example.com", "*.example.org"].map { pattern in
        try RelyingPartyPattern(pattern)
      },
      operations: operations, userVerification: false, signatureCounter: signatureCounter)
  }

  /// Lets these users do everything for every relying party.
  static func anything(
    users: [UInt32] = [1000], operations: Set<Operation> = Set(Operation.allCases), verified: Bool = false,
    enterprise: Bool = false
  ) throws -> Rule {
    var terms = Terms()
    terms.userVerification = verified
    terms.enterpriseAttestation = enterprise
    return Rule(
      name: verified ? "verified" : "anything", callers: users.map { CallerPattern(user: $0) },
      relyingParties: [try RelyingPartyPattern("*")], operations: operations, terms: terms)
  }

  /// One user's rule for some relying parties.
  static func rule(
    _ name: String, _ relyingParties: [String], _ operations: Set<Operation>, user: UInt32 = 1000,
    verified: Bool = false
  ) throws -> Rule {
    Rule(
      name: name, callers: [CallerPattern(user: user)],
      relyingParties: try relyingParties.map { text in try RelyingPartyPattern(text) }, operations: operations,
      userVerification: verified)
  }

  /// A caller on a connection of its own.
  static func caller(connection: UInt64, user: UInt32 = 1000) -> Caller {
    Caller(connection: connection, user: user, group: user, process: 4711, supplementaryGroups: [], unit: nil)
  }

  /// Sends bytes, and gets bytes.
  func respond(_ message: [UInt8], from caller: Caller = alice) async -> [UInt8] {
    await engine.respond(to: message, from: caller)
  }

  /// Sends a command and its parameters.
  ///
  /// - Returns: the status byte, and the response's map where there is one
  func send(
    _ command: UInt8, _ parameters: CBORMap? = nil, from caller: Caller = alice
  ) async throws -> (status: UInt8, body: CBORMap) {
    let message = [command] + (parameters.map { CanonicalCBOR.encode(.map($0)) } ?? [])
    let reply = await engine.respond(to: message, from: caller)
    guard reply.count > 1 else { return (reply[0], [:]) }
    guard case .map(let body) = try CanonicalCBOR.decode(Array(reply[1...])) else {
      Issue.record("a response is a map")
      return (reply[0], [:])
    }
    return (reply[0], body)
  }

  /// Registers a credential and gives its ID.
  @discardableResult
  func register(
    _ relyingPartyID: String = "example.com", user: [UInt8] = [1], discoverable: Bool = false,
    from caller: Caller = alice
  ) async throws -> [UInt8] {
    var request = Harness.creation(relyingPartyID, user: user)
    if discoverable { request[7] = .map(["rk": true]) }
    let (status, body) = try await send(1, request, from: caller)
    try #require(status == 0)
    guard case .bytes(let data)? = body[2] else { throw HarnessError.malformed }
    return try #require(try AuthenticatorData.decode(data).attestedCredential).credentialID
  }

  /// A signature that waits in the key store until its `letGo()`.
  ///
  /// - Returns: the status byte, once it has been let go
  func heldSignature(with id: [UInt8]) async -> Task<UInt8, any Error> {
    await keys.hold()
    let signing = Task { try await send(2, Harness.request(allow: [id])).status }
    await keys.arrival()
    return signing
  }

  static func creation(_ relyingPartyID: String = "example.com", user: [UInt8] = [1]) -> CBORMap {
    [
      1: .bytes(clientDataHash), 2: .map(["id": .text(relyingPartyID), "name": "Example"]),
      3: .map(["id": .bytes(user), "name": "runner", "displayName": "The runner"]),
      4: .array([.map(["alg": -7, "type": "public-key"])]),
    ]
  }

  static func request(_ relyingPartyID: String = "example.com", allow: [[UInt8]]? = nil) -> CBORMap {
    var map: CBORMap = [1: .text(relyingPartyID), 2: .bytes(clientDataHash)]
    if let allow { map[3] = list(allow) }
    return map
  }

  static func list(_ identifiers: [[UInt8]]) -> CBORValue {
    .array(identifiers.map { .map(["id": .bytes($0), "type": "public-key"]) })
  }

  static let clientDataHash = [UInt8](repeating: 0xcd, count: 32)
}

extension CBORMap {
  /// A byte string among the members; traps in the test where it is none.
  func bytes(_ key: CBORValue) throws -> [UInt8] {
    guard case .bytes(let bytes)? = self[key] else { throw HarnessError.malformed }
    return bytes
  }

  func map(_ key: CBORValue) throws -> CBORMap {
    guard case .map(let map)? = self[key] else { throw HarnessError.malformed }
    return map
  }

  /// Authenticator data, which both makeCredential and getAssertion have as member 2.
  func authenticatorData() throws -> AuthenticatorData {
    try AuthenticatorData.decode(try bytes(2))
  }

  /// With some members changed; nil removes one.
  func with(_ members: [(key: CBORValue, value: CBORValue?)]) -> CBORMap {
    var map = self
    for (key, value) in members { map[key] = value }
    return map
  }
}

enum HarnessError: Error {
  case malformed
}
