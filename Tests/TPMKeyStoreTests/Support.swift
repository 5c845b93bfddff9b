import Attestation
import Authenticator
import Crypto
import Platform
import Policy
import TPM
import TestSupport
import Testing
import WebAuthn

@testable import TPMKeyStore

/// The device record in memory, whose saves can fail.
final class MemoryRecords: DeviceRecordStore {
  private let record: Lock<[UInt8]?>
  let faults = Lock<Set<Int>>([])
  private let saves = Lock(0)

  init(_ record: [UInt8]? = nil) {
    self.record = Lock(record)
  }

  var current: [UInt8]? { record.withLock { $0 } }

  /// The `saves`-th save from now on fails; 1 is the next.
  func fail(atSave save: Int) {
    let made = saves.withLock { $0 }
    faults.withLock { $0 = [made + save] }
  }

  func deviceRecord() async throws(StoreError) -> [UInt8]? { current }

  func saveDeviceRecord(_ record: [UInt8]) async throws(StoreError) {
    let number = saves.withLock { saves in
      saves += 1
      return saves
    }
    if faults.withLock({ $0.contains(number) }) { throw .full("injected") }
    self.record.withLock { $0 = record }
  }
}

/// What was logged.
final class LogBook: Sendable {
  private let lines = Lock<[String]>([])

  var text: String { lines.withLock { $0.joined(separator: "\n") } }

  var logger: Logger {
    Logger(level: .debug) { level, line in self.lines.withLock { $0.append("\(level): \(line)") } }
  }
}

/// A key store on a software TPM of its own.
struct Bench {
  let fixture: SoftwareTPMFixture
  let records: MemoryRecords
  let store: TPMKeyStore
  let secret: DeviceSecret
  let log: LogBook

  static func start(
    _ fixture: SoftwareTPMFixture? = nil, records: MemoryRecords = MemoryRecords(), boot: BootBinding = .unchanged,
    approvals: [BootApproval] = [], resourceManager: Bool? = nil, limits: TPMKeyStoreLimits = TPMKeyStoreLimits(),
    clock: any Timekeeper = SystemTime()
  ) async throws -> Bench {
    let fixture = try fixture ?? SoftwareTPMFixture()
    let log = LogBook()
    let (store, secret) = try await TPMKeyStore.start(
      connection: .tcti(fixture.tcti), records: records, allowSoftware: true, boot: boot, approvals: approvals,
      resourceManager: resourceManager,
      log: log.logger, limits: limits, clock: clock)
    return Bench(fixture: fixture, records: records, store: store, secret: secret, log: log)
  }

  /// A key for `example.com`, and a second use of it.
  func key(
    _ name: String = "one", _ algorithm: COSEAlgorithm = .es256
  ) async throws -> (key: CredentialKey, publicKey: CredentialPublicKey) {
    try await store.createKey(algorithm, binding: binding(name), caller: caller(1), presence: presence(.register))
  }

  func sign(_ message: [UInt8] = [1, 2, 3], with key: CredentialKey, from connection: UInt64 = 1, user: UInt32 = 1000)
    async throws
    -> [UInt8]
  {
    let digest = key.algorithm == .es384 ? SHA384.hash(message) : SHA256.hash(message)
    return try await store.sign(
      digest: digest, with: key, caller: caller(connection, user: user), presence: presence(.authenticate))
  }
}

func binding(_ name: String, relyingParty: String = "example.com") -> KeyBinding {
  KeyBinding(credentialID: Array(name.utf8), relyingPartyID: relyingParty)
}

func caller(_ connection: UInt64, user: UInt32 = 1000) -> Caller {
  Caller(connection: connection, user: user, group: 1000, process: 1, supplementaryGroups: [], unit: nil)
}

/// A presence as policy gives it.
func presence(
  _ operation: Policy.Operation, relyingParty: String = "example.com", _ terms: Terms = Terms()
) throws -> Presence {
  let rules = try RuleBook([
    Rule(
      name: "test", callers: [CallerPattern(user: 1000)], relyingParties: [.any],
      operations: [.register, .authenticate, .reset], terms: terms)
  ])
  var ledger = Ledger()
  return try ledger.admit(
    try rules.judge(caller(1), operation, operation == .reset ? .all : .relyingParty(relyingParty)),
    at: Moment(monotonicNanoseconds: 0, unixMilliseconds: 0))
}

func isValid(_ signature: [UInt8], _ message: [UInt8], by key: CredentialPublicKey) -> Bool {
  switch key {
  case .es256(let x, let y): SignatureVerifier.isValidES256(x: x, y: y, signature: signature, message: message)
  case .es384(let x, let y): SignatureVerifier.isValidES384(x: x, y: y, signature: signature, message: message)
  case .rs256(let modulus, let exponent):
    SignatureVerifier.isValidRS256(modulus: modulus, exponent: exponent, signature: signature, message: message)
  }
}

/// Command codes (TPM 2.0 Library, part 2, section 6.5.2).
enum Command {
  static let evictControl: UInt32 = 0x120
  static let createPrimary: UInt32 = 0x131
  static let increment: UInt32 = 0x134
  static let defineSpace: UInt32 = 0x12A
  static let undefineSpace: UInt32 = 0x122
  static let nvRead: UInt32 = 0x14E
  static let nvWrite: UInt32 = 0x137
  static let certify: UInt32 = 0x148
  static let create: UInt32 = 0x153
  static let load: UInt32 = 0x157
  static let sign: UInt32 = 0x15D
  static let unseal: UInt32 = 0x15E
  static let flush: UInt32 = 0x165
  static let nvReadPublic: UInt32 = 0x169
  static let policyAuthorize: UInt32 = 0x16A
  static let policyAuthValue: UInt32 = 0x16B
  static let readPublic: UInt32 = 0x173
  static let startSession: UInt32 = 0x176
  static let capability: UInt32 = 0x17A
  static let policyPCR: UInt32 = 0x17F
  static let testParms: UInt32 = 0x18A
}

/// Where each of these commands stands, as `failOnce` wants it: the command, and how many of the same come before.
func places(_ commands: [UInt32]) -> [(command: UInt32, after: Int)] {
  var seen: [UInt32: Int] = [:]
  return commands.map { command in
    defer { seen[command, default: 0] += 1 }
    return (command, seen[command] ?? 0)
  }
}

/// Response codes.
enum Response {
  static let retry: UInt32 = 0x922
  static let yielded: UInt32 = 0x908
  static let testing: UInt32 = 0x90A
  static let nvRate: UInt32 = 0x920
  static let objectMemory: UInt32 = 0x902
  static let sessionMemory: UInt32 = 0x903
  static let referenceH0: UInt32 = 0x910
  static let badAuthorization: UInt32 = 0x9A2
  static let failure: UInt32 = 0x101
  static let initialize: UInt32 = 0x100
  static let lockout: UInt32 = 0x921
}

extension DeviceSecret {
  var copied: [UInt8] { reveal { span in (0..<span.count).map { span[$0] } } }
}

/// Runs one of tpm2-tools' programs.
func execute(_ program: String, _ arguments: [String]) throws {
  let null = try Descriptor(opening: "/dev/null", flags: 2)
  let process = try ChildProcess(program, arguments: arguments, descriptors: [null.raw, null.raw, null.raw])
  process.end(within: 60_000)
}
