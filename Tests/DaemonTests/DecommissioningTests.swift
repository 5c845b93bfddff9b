import AuditLog
import Authenticator
import Crypto
import Glibc
import Platform
import Policy
import Storage
import TPMKeyStore
import TestSupport
import Testing
import WebAuthn

@testable import Daemon

private struct Interruption: Error {}

/// One runner, through as many lives as its decommissioning takes.
private final class LeavingRunner {
  let tpm: SoftwareTPMFixture
  let folder: TemporaryDirectory
  private let ids = [UInt8](1...3).map { [UInt8](repeating: $0, count: 16) }

  init() async throws {
    tpm = try SoftwareTPMFixture()
    folder = TemporaryDirectory()
    let database = try await openDatabase()
    let (keys, secret) = try await TPMKeyStore.start(
      connection: .tcti(tpm.tcti), records: database, allowSoftware: true, log: .silent)
    try await database.unlock(with: secret)
    for id in ids {
      let credential = Credential(
        relyingPartyID: "example.com", userHandle: id, isDiscoverable: false,
        publicKey: .es256(x: id + id, y: id + id),
        key: CredentialKey(
          algorithm: .es256, binding: KeyBinding(credentialID: id, relyingPartyID: "example.com"), blob: id),
        createdAt: 1)
      _ = try await database.insert(credential)
    }
    await keys.stop()
    await database.close()
  }

  var auditLog: String { folder.path("audit.jsonl") }

  private func openDatabase() async throws -> CredentialDatabase {
    let database = try CredentialDatabase(
      stateDirectory: folder.path("state"), executor: try ThreadExecutor(name: "store"), log: .silent)
    try await database.open()
    return database
  }

  /// One life of the daemon, which ends as by a kill: what is not durable is gone.
  ///
  /// - Parameter observe: told after each step; what it throws interrupts
  /// - Returns: whether the end was reached
  /// - Throws: what interrupted it
  func live(_ observe: @escaping @Sendable (Decommissioning.Step) throws -> Void = { _ in }) async throws -> Bool {
    let database = try await openDatabase()
    let opening: TPMKeyStore.Opening
    do {
      opening = try await TPMKeyStore.open(
        connection: .tcti(tpm.tcti), records: database, allowSoftware: true, log: .silent)
    } catch {
      await database.close()
      throw error
    }
    let result: Result<Bool, any Error>
    switch opening {
    case .open(let keys, let secret):
      try await database.unlock(with: secret)
      result = await Self.leave(keys, database, auditLog, folder.path("state"), observe)
      await keys.stop()
    case .waiting(let waiting, let reason):
      await waiting.stop()
      result = .failure(KeyStoreError.bootState(reason))
    case .former(let former):
      do {
        try await former.finish()
        try observe(.remove)
        result = .success(true)
      } catch {
        result = .failure(error)
      }
      await former.stop()
    }
    await database.close()
    return try result.get()
  }

  private static func leave(
    _ keys: TPMKeyStore, _ database: CredentialDatabase, _ auditLog: String, _ state: String,
    _ observe: @escaping @Sendable (Decommissioning.Step) throws -> Void
  ) async -> Result<Bool, any Error> {
    do {
      let audit = try AuditFile(path: auditLog, log: .silent)
      defer { audit.close() }
      let executor = try ThreadExecutor(name: "engine")
      defer { executor.stop() }
      let engine = AuthenticatorEngine(
        environment: AuthenticatorEnvironment(
          keys: keys, store: database, audit: audit, time: SystemTime(), random: SystemRandom(), logger: .silent,
          identity: .software), judge: try RuleBook([]), executor: executor)
      let notary = AuditNotary(
        file: audit, signer: keys, settings: AuditSettings(), clock: SystemTime(), log: .silent)
      let decommissioning = Decommissioning(
        parts: Decommissioning.Parts(
          keys: keys, database: database, engine: engine, audit: audit, notary: notary, grants: nil,
          identity: .software, stateDirectory: state, log: .silent), finished: {}, observe: observe)
      let caller = Caller(
        connection: 1, user: 0, group: 0, process: nil, supplementaryGroups: [], unit: nil)
      _ = try await decommissioning.run(for: caller.asOperator)
      return .success(false)
    } catch {
      return .failure(error)
    }
  }

  /// What must hold at the end, however it was reached.
  func checkEnd() async throws {
    let database = try await openDatabase()
    let count = try await database.count()
    #expect(count == 0)
    let opening = try await TPMKeyStore.open(
      connection: .tcti("swtpm:path=/nowhere"), records: database, allowSoftware: true, log: .silent)
    guard case .former(let former) = opening else {
      Issue.record("the record is of a device in service")
      return
    }
    // It is known without the TPM.
    let isDone = try await former.isDone()
    #expect(isDone)
    let key = try #require(former.auditKey)
    var verifier = ChainVerifier(
      key: key, expectation: ChainExpectation(end: former.auditEnd, anchor: former.anchor))
    verifier.beginFile()
    let lines = try content(auditLog).split(separator: UInt8(ascii: "\n"))
    for line in lines { verifier.take(Array(line), hasEnd: true) }
    verifier.finish()
    #expect(!verifier.isTampered, "\(verifier.findings)")
    #expect(verifier.end == former.auditEnd)
    #expect(verifier.signedThrough == former.auditEnd.sequence - 1)
    await former.stop()
    await database.close()
    let list = try content(folder.path("state") + "/decommission-list.json")
    guard case .object(let members) = try JSONValue.parse(list), case .array(let entries)? = members["credentials"]
    else {
      Issue.record("no list")
      return
    }
    #expect(entries.count == ids.count)
    // Nothing of it is left in the TPM: the next device has the same places.
    let (next, _) = try await TPMKeyStore.start(
      connection: .tcti(tpm.tcti), records: NoRecords(), allowSoftware: true, log: .silent)
    #expect(next.status.counterIndex == 0x0180_C500)
    #expect(next.status.anchorIndex == 0x0180_C502)
    await next.stop()
  }

  private func content(_ path: String) throws -> [UInt8] {
    let file = try Descriptor(opening: path, flags: O_RDONLY)
    var bytes: [UInt8] = []
    while case let part = try file.read(upTo: 65_536), !part.isEmpty { bytes += part }
    return bytes
  }
}

private final class NoRecords: DeviceRecordStore {
  func deviceRecord() async throws(StoreError) -> [UInt8]? { nil }
  func saveDeviceRecord(_ record: [UInt8]) async throws(StoreError) {}
}

@Suite struct DecommissioningTests {
  @Test func inOneGo() async throws {
    let runner = try await LeavingRunner()
    #expect(try await runner.live() == false)
    #expect(try await runner.live())
    #expect(try await runner.live(), "it can be run again")
    try await runner.checkEnd()
  }

  @Test(arguments: Decommissioning.Step.allCases)
  func interruptedAfter(_ step: Decommissioning.Step) async throws {
    let runner = try await LeavingRunner()
    if step == .remove { #expect(try await runner.live() == false) }
    await #expect(throws: Interruption.self) {
      try await runner.live { if $0 == step { throw Interruption() } }
    }
    // From the device record on: as many starts as it takes.
    var lives = 0
    while try await !runner.live() {
      lives += 1
      #expect(lives < 3)
    }
    try await runner.checkEnd()
  }

  @Test func interruptedAfterEveryStepInTurn() async throws {
    let runner = try await LeavingRunner()
    for step in Decommissioning.Step.allCases {
      _ = try? await runner.live { if $0 == step { throw Interruption() } }
    }
    #expect(try await runner.live())
    try await runner.checkEnd()
  }

  /// The power of the TPM goes after a step, and with it whatever the next one wanted of it.
  @Test(arguments: Decommissioning.Step.allCases.dropLast())
  func withoutTheTPMAfter(_ step: Decommissioning.Step) async throws {
    let runner = try await LeavingRunner()
    let tpm = runner.tpm
    _ = try? await runner.live { if $0 == step { tpm.powerOff() } }
    // Nor at the next start.
    let isOver = try? await runner.live()
    #expect(isOver != true)
    try tpm.powerOn()
    while try await !runner.live() {}
    try await runner.checkEnd()
  }

  @Test func anotherTPMIsNotTakenForTheOldOne() async throws {
    let runner = try await LeavingRunner()
    #expect(try await runner.live() == false)
    try runner.tpm.replace()
    await #expect(throws: KeyStoreError.self) { try await runner.live() }
  }
}
