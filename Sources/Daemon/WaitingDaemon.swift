internal import Attestation
internal import AuditLog
internal import Authenticator
internal import CTAP
internal import CTAPHID
internal import Configuration
internal import FoundationEssentials
internal import Glibc
internal import Platform
internal import Policy
internal import Storage
internal import TPMKeyStore
internal import Transports
internal import WebAuthn

/// What a daemon is told from outside.
enum DaemonEvent: Sendable {
  case signal(Signal)
  /// The boot has been approved, and the device secret is there.
  case unlocked
  /// Everything has been removed, or as much as could be.
  case decommissioned
}

/// The daemon on a machine that has not booted as approved: it stays up, says why to the operator, refuses everybody
/// else, and waits for the operator's approval.
struct WaitingDaemon {
  /// What is unlocked, once.
  typealias Unlocked = (store: TPMKeyStore, secret: DeviceSecret)

  private let settings: Settings
  private let logger: Logger
  private let reason: String
  private let loop: EventLoop
  private let unlocker: Unlocker
  private let jobs: SocketServer<RefusingService>
  private let administration: SocketServer<WaitingAdminService>
  private let notifier = ServiceNotifier()

  /// How long the answer to the approval may take to leave.
  private static let patience: UInt64 = 5_000_000_000

  init(
    configuration: String, _ settings: Settings, _ logger: Logger, _ database: CredentialDatabase, _ audit: AuditFile,
    _ keys: WaitingKeyStore, reason: String, _ keeper: BootStateKeeper,
    _ events: AsyncStream<DaemonEvent>.Continuation
  ) throws {
    self.settings = settings
    self.logger = logger
    self.reason = reason
    loop = try EventLoop(name: "sockets")
    let unlocker = Unlocker(keys, keeper, events)
    self.unlocker = unlocker
    let jobs = SocketServer(
      loop: loop, service: RefusingService(status: .tpmUnavailable, reason: reason, log: logger),
      settings: ServerSettings.ofJobs(settings), log: logger)
    self.jobs = jobs
    let desk = BootDesk(report: { try await keys.bootReport() }, approve: { try await unlocker.approve($0) })
    let report = StatusReporter(
      settings: settings, configuration: configuration, startedAt: SystemTime().unixMilliseconds, keys: keys,
      database: database, audit: audit, boot: desk, connections: { await jobs.connectionCount })
    administration = SocketServer(
      loop: loop,
      service: WaitingAdminService(
        owner: geteuid(), group: settings.adminGroup, reason: reason, desk: desk, status: report.make,
        record: { caller, failure in
          var record = AuditRecord(
            time: SystemTime().unixMilliseconds, outcome: failure == nil ? .done : .failed, operation: .boot,
            connection: caller.connection, user: caller.user, group: caller.group, process: caller.process,
            unit: caller.unit)
          record.detail = "boot.approve"
          record.reason = failure
          try await audit.submit(record).durable()
        }),
      settings: ServerSettings.ofAdministration, log: logger)
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
    try await listen(passed, settings, jobs: jobs, administration: administration)
    notifier.tell([.ready, .status("waiting for an approval of the boot")], log: logger)
    notifier.startWatchdog(on: loop, log: logger)
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
    await jobs.stop(within: 0)
    await administration.stop(within: WaitingDaemon.patience)
    loop.stop()
    if unlocked == nil {
      notifier.tell([.stopping], log: logger)
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

/// The operator's socket meanwhile: the status and the boot state, and nothing else.
private struct WaitingAdminService: FrameService {
  private struct Request: Decodable {
    var request: String
    var file: String?
  }

  let owner: UInt32
  let group: UInt32?
  let reason: String
  let desk: BootDesk
  let status: @Sendable () async -> StatusReport
  /// Records an approval before it is taken, and once more why it was not.
  let record: @Sendable (Caller, _ failure: String?) async throws -> Void

  func open(_ caller: Caller) async -> Caller? { caller.mayAdministrate(owner: owner, group: group) ? caller : nil }

  func answer(_ command: FrameCommand, _ payload: [UInt8], in caller: Caller?) async -> FrameReply {
    guard command == .administration else {
      return command == .cbor ? .data([CTAPStatus.tpmUnavailable.rawValue]) : .error(.invalidCommand)
    }
    guard let caller else { return AdminAnswer.encode(AdminProblem.stranger) }
    guard let request = try? JSONDecoder().decode(Request.self, from: Data(payload)) else {
      return AdminAnswer.encode(AdminProblem.noRequest)
    }
    do {
      switch request.request {
      case "status": return AdminAnswer.encode(await status())
      case "bootState": return AdminAnswer.encode(try await desk.answer())
      case "bootApprove":
        try await record(caller, nil)
        do {
          return AdminAnswer.encode(try await desk.answer(to: request.file))
        } catch {
          try await record(caller, "\(error)")
          throw error
        }
      default: return AdminAnswer.encode(AdminProblem(error: reason))
      }
    } catch let problem as AdminProblem {
      return AdminAnswer.encode(problem)
    } catch {
      return AdminAnswer.encode(AdminProblem(error: "\(error)"))
    }
  }

  func close(_ session: Caller?) async {}
}
