internal import Attestation
internal import AuditLog
internal import Authenticator
internal import CTAP
internal import CTAPHID
internal import Configuration
internal import Platform
internal import Policy
internal import Storage
internal import TPMKeyStore
internal import Transports

/// The daemon on a machine that has not booted as approved: it stays up, says why to the operator, refuses everybody
/// else, and waits for the operator's approval.
struct WaitingDaemon {
  /// What is unlocked, once.
  typealias Unlocked = (store: TPMKeyStore, secret: DeviceSecret)

  private let logger: Logger
  private let reason: String
  private let unlocker: Unlocker
  private let sockets: RefusingSockets

  init(
    configuration: String, _ settings: Settings, _ logger: Logger, _ database: CredentialDatabase, _ audit: AuditFile,
    _ keys: WaitingKeyStore, reason: String, _ keeper: BootStateKeeper,
    _ events: AsyncStream<DaemonEvent>.Continuation
  ) throws {
    self.logger = logger
    self.reason = reason
    let unlocker = Unlocker(keys, keeper, events)
    self.unlocker = unlocker
    let boot = BootDesk(report: { try await keys.bootReport() }, approve: { try await unlocker.approve($0) })
    let desk = WaitingDesk(reason: reason, boot: boot, audit: audit)
    sockets = try RefusingSockets(
      .tpmUnavailable, reason: reason, configuration: configuration, settings, logger, database, audit, keys, boot,
      answer: desk.answer)
  }

  /// Serves until the boot is approved, or the daemon is to end.
  ///
  /// - Parameters:
  ///   - passed: sockets from the service manager, which stay open
  ///   - events: signals, and the end of the waiting
  /// - Returns: the key store; nil where the daemon is to end
  /// - Throws: `ListenerError`, `SystemError`
  func serve(_ passed: [PassedDescriptor], until events: AsyncStream<DaemonEvent>) async throws -> Unlocked? {
    logger.error("TPM: \(reason)")
    try await sockets.open(passed, saying: "waiting for an approval of the boot")
    var unlocked: Unlocked?
    loop: for await event in events {
      switch event {
      case .unlocked:
        unlocked = await unlocker.take()
        break loop
      case .decommissioned: break
      case .signal(.hangup): logger.warning("the configuration is read once the boot has been approved")
      case .signal: break loop
      }
    }
    await sockets.close(isLast: unlocked == nil)
    if unlocked == nil {
      await unlocker.end()
    } else {
      logger.notice("TPM: the boot has been approved, going on")
    }
    return unlocked
  }
}

/// Unlocks once, whoever asks and however often at a time.
private actor Unlocker {
  private let keys: WaitingKeyStore
  private let keeper: BootStateKeeper
  private let events: AsyncStream<DaemonEvent>.Continuation
  private var isBusy = false
  private var unlocked: WaitingDaemon.Unlocked?

  init(_ keys: WaitingKeyStore, _ keeper: BootStateKeeper, _ events: AsyncStream<DaemonEvent>.Continuation) {
    self.keys = keys
    self.keeper = keeper
    self.events = events
  }

  /// - Throws: ``EnrolmentRefusal``, `KeyStoreError`
  func approve(_ approval: BootApproval) async throws {
    guard !isBusy, unlocked == nil else { throw EnrolmentRefusal("another approval is being looked at: try again") }
    isBusy = true
    defer { isBusy = false }
    try keys.take(approval)
    try await keeper.keep(approval)
    do {
      unlocked = try await keys.unlock()
      events.yield(.unlocked)
    } catch KeyStoreError.bootState(_) {
      // It is the approval of another boot, which may come yet.
    }
  }

  func take() -> WaitingDaemon.Unlocked? { unlocked }

  func end() async {
    if let unlocked { await unlocked.store.stop() } else { await keys.stop() }
  }
}

/// What the operator is answered meanwhile: the status and the boot state, and nothing else.
private struct WaitingDesk: Sendable {
  let reason: String
  let boot: BootDesk
  let audit: AuditFile

  @Sendable func answer(
    _ request: RefusingAdminService.Request, _ caller: Caller, _ status: @Sendable () async -> StatusReport
  ) async throws -> FrameReply {
    switch request.request {
    case "status": return AdminAnswer.encode(await status())
    case "bootState": return AdminAnswer.encode(try await boot.answer())
    case "bootApprove":
      try await record(caller, nil)
      do {
        return AdminAnswer.encode(try await boot.answer(to: request.file))
      } catch {
        try await record(caller, "\(error)")
        throw error
      }
    // Without the secret nothing vouches for the key that the record has.
    case "audit": throw refusal("approve the boot (countersign pcr show), or verify with a key kept elsewhere: --key")
    // The list of credentials, the audit log's last signature and what is pinned in the TPM need the secret.
    case "decommission":
      throw refusal(
        "approve the boot first (countersign pcr show), or clear the TPM, which ends every key in it, and remove the state "
          + "folder")
    default: throw refusal("look at the boot with countersign pcr show, and approve it: countersign pcr allow")
    }
  }

  private func refusal(_ remedy: String) -> AdminProblem { AdminProblem(error: reason, remedy: remedy) }

  /// Before it is taken, and once more why it was not.
  private func record(_ caller: Caller, _ failure: String?) async throws {
    var record = AuditRecord(
      time: SystemTime().unixMilliseconds, outcome: failure == nil ? .done : .failed, operation: .boot,
      connection: caller.connection, user: caller.user, group: caller.group, process: caller.process,
      unit: caller.unit)
    record.detail = "boot.approve"
    record.reason = failure
    try await audit.submit(record).durable()
  }
}
