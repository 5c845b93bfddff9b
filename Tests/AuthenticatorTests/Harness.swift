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
  let audit = MemoryAudit()
  let time = ManualTime()
  let engine: AuthenticatorEngine
  private let executor: ThreadExecutor

  static let alice = Caller(
    connection: 1, user: 1000, group: 1000, process: 4711, supplementaryGroups: [], unit: "ci.service")

  init(
    rules: [Rule]? = nil, algorithms: [COSEAlgorithm] = COSEAlgorithm.allCases, capacity: Int = 1000
  ) throws {
    keys = MemoryKeyStore(algorithms: algorithms)
    store = MemoryStore(capacity: capacity)
    executor = try ThreadExecutor(name: "engine")
    let environment = AuthenticatorEnvironment(
      keys: keys, store: store, audit: audit, time: time, random: SeededRandom(seed: 7), logger: .silent,
      identity: .software)
    engine = AuthenticatorEngine(
      environment: environment, judge: try RuleBook(rules ?? [try Harness.everything()]), executor: executor)
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

  /// A caller on a connection of its own.
  static func caller(connection: UInt64, user: UInt32 = 1000) -> Caller {
    Caller(connection: connection, user: user, group: user, process: 4711, supplementaryGroups: [], unit: nil)
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

enum HarnessError: Error {
  case malformed
}

/// Status bytes by the standard's numbers, written out here so that a wrong constant in the source is seen.
enum Status {
  static let ok: UInt8 = 0x00
  static let invalidCommand: UInt8 = 0x01
  static let invalidParameter: UInt8 = 0x02
  static let invalidLength: UInt8 = 0x03
  static let channelBusy: UInt8 = 0x06
  static let unexpectedType: UInt8 = 0x11
  static let invalidCBOR: UInt8 = 0x12
  static let missingParameter: UInt8 = 0x14
  static let limitExceeded: UInt8 = 0x15
  static let credentialExcluded: UInt8 = 0x19
  static let unsupportedAlgorithm: UInt8 = 0x26
  static let operationDenied: UInt8 = 0x27
  static let keyStoreFull: UInt8 = 0x28
  static let unsupportedOption: UInt8 = 0x2b
  static let invalidOption: UInt8 = 0x2c
  static let keepaliveCancel: UInt8 = 0x2d
  static let noCredentials: UInt8 = 0x2e
  static let notAllowed: UInt8 = 0x30
  static let requestTooLarge: UInt8 = 0x39
  static let tpmUnavailable: UInt8 = 0xf0
  static let storageUnavailable: UInt8 = 0xf1
  static let auditUnavailable: UInt8 = 0xf2
}
