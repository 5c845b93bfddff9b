internal import AuditLog
internal import Authenticator
internal import Glibc
internal import Platform
internal import Policy
internal import Storage
internal import TPMKeyStore
internal import WebAuthn

/// The end of a device. Every step can be done again, each is durable before the next begins, and the device record says
/// from where a start goes on. So it can be interrupted at any point and run again.
actor Decommissioning {
  /// In this order. What frees something else in the TPM that the device record knows of goes before `forget`.
  enum Step: String, CaseIterable, Sendable {
    /// The device record says so: from here on no start signs for a job.
    case mark
    /// Grants end, requests in progress fail, and no more are taken.
    case refuse
    /// Every credential is disabled, each with its record in the audit log.
    case disable
    /// The list of what is to be removed at which relying party.
    case list
    /// The attestation key goes.
    case attestation
    /// The last record of the audit log; the chain is signed and anchored over it.
    case record
    /// The device secret, every credential key and the audit log's key go, in one transaction.
    case forget
    /// What is in the TPM goes. ``RetiredDaemon`` does it, which needs no secret for it.
    case remove
  }

  /// What the steps work with.
  struct Parts: Sendable {
    let keys: TPMKeyStore
    let database: CredentialDatabase
    let engine: AuthenticatorEngine
    let audit: AuditFile
    let notary: AuditNotary
    /// nil in tests that have none.
    let grants: JobGrants?
    let identity: AuthenticatorIdentity
    let stateDirectory: String
    let log: Logger
  }

  private let parts: Parts
  private let finished: @Sendable () -> Void
  /// Told after each step; a test's throws.
  private let observe: @Sendable (Step) throws -> Void
  private var running: Task<DecommissionReport, any Error>?
  private nonisolated let hasEnded = Lock(false)
  private nonisolated let isMarked: Lock<Bool>

  /// - Parameters:
  ///   - parts: of the daemon
  ///   - finished: told when all but the last step have been done
  ///   - observe: told after each step; what it throws interrupts
  init(
    parts: Parts, finished: @escaping @Sendable () -> Void,
    observe: @escaping @Sendable (Step) throws -> Void = { _ in }
  ) {
    self.parts = parts
    self.finished = finished
    self.observe = observe
    isMarked = Lock(parts.keys.isLeaving)
  }

  /// Whether nothing is signed for a job any more, nor after a restart.
  nonisolated var hasBegun: Bool { isMarked.withLock { $0 } }

  /// Whether the audit log has had its last record.
  nonisolated var isOver: Bool { hasEnded.withLock { $0 } }

  /// What would be done.
  func prospect() async throws -> DecommissionReport {
    report(
      hasBegun ? "leaving" : "in service", done: [], count: try await parts.database.count())
  }

  /// Goes on with what an earlier daemon began. What fails is said, and can be run again by the operator.
  func resume() {
    parts.log.notice("decommissioning: it was interrupted, and goes on")
    let caller = Caller(
      connection: 0, user: geteuid(), group: getegid(), process: getpid(), supplementaryGroups: [], unit: nil)
    start(for: caller.asOperator)
  }

  /// All steps but the last. Who asks while it runs waits with the others; it does not end with who asked.
  ///
  /// - Throws: what stopped it
  func run(for caller: Caller) async throws -> DecommissionReport {
    try await start(for: caller).value
  }

  @discardableResult
  private func start(for caller: Caller) -> Task<DecommissionReport, any Error> {
    if let running { return running }
    let task = Task { try await self.perform(for: caller) }
    running = task
    return task
  }

  private func perform(for caller: Caller) async throws -> DecommissionReport {
    do {
      let count = try await parts.database.count()
      var done: [Step] = []
      for step in Step.allCases.dropLast() {
        try await perform(step, for: caller)
        parts.log.notice("decommissioning: \(step.rawValue) is done")
        done.append(step)
        try observe(step)
      }
      finished()
      return report("removing", done: done, count: count)
    } catch {
      // The next try begins with the first step.
      running = nil
      parts.log.error("decommissioning: interrupted, run it again: \(error)")
      throw error
    }
  }

  private func report(_ stage: String, done: [Step], count: Int) -> DecommissionReport {
    DecommissionReport(
      stage: stage, steps: done.map(\.rawValue),
      remaining: Step.allCases.filter { !done.contains($0) }.map(\.rawValue), credentials: count,
      list: DecommissionFiles.list(parts.stateDirectory), key: DecommissionFiles.key(parts.stateDirectory))
  }

  private func perform(_ step: Step, for caller: Caller) async throws {
    switch step {
    case .mark:
      // First of all, so that no reset is in progress that would write over the mark.
      try await parts.engine.retire()
      try await parts.keys.markLeaving(in: parts.database)
      isMarked.withLock { $0 = true }
    case .refuse:
      await parts.grants?.endAll("this runner is being decommissioned")
      parts.keys.retire()
      try await parts.engine.retire()
    case .disable:
      _ = try await parts.engine.disableEverything(for: caller)
      // As long as there is an authorization for it, and the record is there.
      try await parts.keys.freePins()
    case .list: try await writeList(for: caller)
    case .attestation: try DecommissionFiles.remove(parts.stateDirectory + "/attestation.json")
    case .record: try await endLog(for: caller)
    case .forget:
      try await parts.keys.forgetEverything(
        after: parts.audit.end, anchor: try await parts.keys.anchor(), in: parts.database)
    case .remove: preconditionFailure("RetiredDaemon removes")
    }
  }

  /// The list stays when everything else has gone. For root and the daemon's own user, as the store was.
  private func writeList(for caller: Caller) async throws {
    var entries: [JSONValue] = []
    var position: Int64?
    repeat {
      let (page, next) = try await parts.engine.credentials(after: position, limit: 50, for: caller)
      entries += page.map { DecommissionFiles.entry($0, aaguid: parts.identity.aaguid) }
      position = next
    } while position != nil
    let unreadable = max(0, try await parts.database.count() - entries.count)
    try DecommissionFiles.save(
      .object([
        "countersign": .string("decommission list"), "version": .integer(1),
        "made": .string(Timestamp.text(unixMilliseconds: SystemTime().unixMilliseconds)),
        "credentials": .array(entries), "unreadable": .integer(Int64(unreadable)),
      ]), at: DecommissionFiles.list(parts.stateDirectory))
  }

  private func endLog(for caller: Caller) async throws {
    let count = try await parts.database.count()
    let key = parts.keys.auditKey
    try DecommissionFiles.save(
      .object([
        "publicKey": .string(Base64URL.encode(key.publicKey)),
        "firstAnchor": .integer(Int64(clamping: key.firstAnchor)),
      ]), at: DecommissionFiles.key(parts.stateDirectory))
    let ticket = parts.audit.submit(
      AuditRecord(
        time: SystemTime().unixMilliseconds, outcome: .done, operation: .decommission,
        connection: caller.connection, user: caller.user, group: caller.group, process: caller.process,
        unit: caller.unit, reason: "\(counted(count, "credential")) disabled, the keys are removed next"))
    try await ticket.durable()
    guard await parts.notary.sign(anchoring: true) else {
      throw DecommissionProblem("the TPM does not sign the audit log's end: see the log, and run it again")
    }
    hasEnded.withLock { $0 = true }
  }
}

/// Why a step could not be done, for the operator.
struct DecommissionProblem: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}
