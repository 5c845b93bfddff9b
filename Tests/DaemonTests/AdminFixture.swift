import AuditLog
import Authenticator
import CBOR
import CTAPHID
import Crypto
import Glibc
import Platform
import Policy
import TestSupport
import Transports
import WebAuthn

@testable import Daemon

/// The admin socket's service over an authenticator in memory.
final class AdminFixture: Sendable {
  let store = MemoryStore()
  let audit = MemoryAudit()
  let keys = MemoryKeyStore()
  /// Of the engine and of the grants' timers: no grant ends while a slow machine still asks.
  let time = ManualTime()
  private let folder = TemporaryDirectory()
  private let executor: ThreadExecutor
  let loop: EventLoop
  let grants: JobGrants
  private let digests: MachineReader
  private let service: AdminService

  init(rules: [Rule] = [], group: UInt32? = nil, attestation: AttestationKeeper? = nil) throws {
    executor = try ThreadExecutor(name: "engine")
    let environment = AuthenticatorEnvironment(
      keys: keys, store: store, audit: audit, time: time, random: SeededRandom(seed: 7), logger: .silent,
      identity: .software)
    let report = StatusReport(
      version: "1", startedAt: "t", socket: "/s", configuration: "/c", rules: 1, connections: 2, credentials: nil,
      tpm: StatusReport.TPM(
        kind: "software", connection: "", manufacturer: "", vendor: "", firmware: "", state: "ready", loadedKeys: 0,
        queue: 0, waiting: StatusReport.Waiting(limit: 25_000, expected: 0, refused: 0, expired: 0), reconnections: 0),
      auditLog: StatusReport.AuditLog(
        path: "/a", state: "ready", sequence: 1, records: 1, synchronizations: 1, unsigned: 1, lostCopies: 0))
    let audit = AuditReport(path: "/a", sequence: 7, hash: "00", anchor: 3, publicKey: "AA", firstAnchor: 2)
    let engine = AuthenticatorEngine(environment: environment, judge: try RuleBook(rules), executor: executor)
    loop = try EventLoop(name: "sockets", time: time)
    digests = try MachineReader(wanted: false)
    grants = JobGrants(
      loop: loop, engine: engine, folder: folder.path("jobs"), settings: ServerSettings(), issuers: [],
      executables: digests, log: .silent)
    service = AdminService(
      owner: 7, group: group, engine: engine, grants: grants, executables: digests,
      attestation: attestation, status: { report },
      auditLog: { audit },
      metrics: { "\($0.counts.count)" })
  }

  deinit {
    digests.stop()
    loop.stop()
    executor.stop()
  }

  /// One frame and its answer, on a connection of its own; nil for an error of the transport.
  func ask(
    _ payload: [UInt8], _ command: FrameCommand, user: UInt32 = 7, groups: [UInt32] = [0], container: String? = nil
  ) async -> [UInt8]? {
    let session = await service.open(
      Caller(
        connection: 1, user: user, group: groups[0], process: nil, supplementaryGroups: Array(groups.dropFirst()),
        unit: nil, container: container))
    defer { withExtendedLifetime(self) {} }
    let reply = await service.answer(command, payload, in: session)
    await service.close(session)
    switch reply {
    case .data(let bytes): return bytes
    case .error: return nil
    }
  }

  func ask(_ text: String, user: UInt32 = 7) async -> String? {
    await ask(Array(text.utf8), .administration, user: user).map { String(decoding: $0, as: UTF8.self) }
  }

  /// A credential with everything, or one as U2F makes them.
  func insert(_ number: UInt8, isWhole: Bool) async throws -> [UInt8] {
    let hash = SHA256.hash(Array("example.com".utf8))
    let id = [UInt8](repeating: number, count: 16)
    let publicKey = CredentialPublicKey.es256(x: .init(repeating: 1, count: 32), y: .init(repeating: 2, count: 32))
    var credential = Credential(
      relyingPartyID: isWhole ? "example.com" : nil, userHandle: isWhole ? [1] : [], isDiscoverable: isWhole,
      publicKey: publicKey,
      key: CredentialKey(
        algorithm: .es256, binding: KeyBinding(credentialID: id, relyingPartyIDHash: hash), blob: [1]),
      createdAt: 1_700_000_000_123)
    if isWhole {
      credential.relyingPartyName = "Example"
      credential.userName = "runner"
      credential.userDisplayName = "The runner"
      credential.protection = .userVerificationRequired
      credential.hasHMACSecret = true
      credential.hasLargeBlobKey = true
      credential.blob = [9]
    }
    _ = try await store.insert(credential)
    return id
  }
}
