internal import AuditLog
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

/// The daemon of a device that has been decommissioned: it says so to everybody, removes from the TPM what an
/// interruption has left there, and makes nothing new.
struct RetiredDaemon {
  private let settings: Settings
  private let logger: Logger
  private let keys: FormerKeyStore
  private let loop: EventLoop
  private let jobs: SocketServer<RefusingService>
  private let administration: SocketServer<RetiredAdminService>
  private let notifier = ServiceNotifier()

  private static let patience: UInt64 = 5_000_000_000

  init(
    configuration: String, _ settings: Settings, _ logger: Logger, _ database: CredentialDatabase, _ audit: AuditFile,
    _ keys: FormerKeyStore
  ) throws {
    self.settings = settings
    self.logger = logger
    self.keys = keys
    loop = try EventLoop(name: "sockets")
    let jobs = SocketServer(
      loop: loop, service: RefusingService(status: .notAllowed, reason: FormerKeyStore.reason, log: logger),
      settings: ServerSettings.ofJobs(settings), log: logger)
    self.jobs = jobs
    let desk = BootDesk(
      report: { throw DecommissionProblem("decommissioned") },
      approve: { _ in throw DecommissionProblem(FormerKeyStore.reason) })
    let report = StatusReporter(
      settings: settings, configuration: configuration, startedAt: SystemTime().unixMilliseconds, keys: keys,
      database: database, audit: audit, boot: desk, connections: { await jobs.connectionCount })
    administration = SocketServer(
      loop: loop,
      service: RetiredAdminService(
        owner: geteuid(), group: settings.adminGroup, keys: keys, settings: settings, status: report.make),
      settings: ServerSettings.ofAdministration, log: logger)
  }

  /// Serves until the daemon is to end.
  ///
  /// - Throws: `ListenerError`, `SystemError`
  func serve(_ passed: [PassedDescriptor], until events: AsyncStream<DaemonEvent>) async throws {
    do {
      try await keys.finish()
      logger.notice(FormerKeyStore.reason)
    } catch {
      logger.error("decommissioning: something is left in the TPM, run it again: \(error)")
    }
    try await listen(passed, settings, jobs: jobs, administration: administration)
    notifier.tell([.ready, .status("decommissioned")], log: logger)
    notifier.startWatchdog(on: loop, log: logger)
    loop: for await event in events {
      switch event {
      case .signal(.hangup), .unlocked, .decommissioned: break
      case .signal: break loop
      }
    }
    notifier.tell([.stopping], log: logger)
    await jobs.stop(within: 0)
    await administration.stop(within: RetiredDaemon.patience)
    loop.stop()
    await keys.stop()
  }
}

/// Refuses what jobs ask, each with the same status. The log has a line for each user who asks.
struct RefusingService: FrameService {
  let status: CTAPStatus
  let reason: String
  let log: Logger
  private let told: Told

  private final class Told: Sendable {
    let users = Lock<Set<UInt32>>([])
  }

  init(status: CTAPStatus, reason: String, log: Logger) {
    self.status = status
    self.reason = reason
    self.log = log
    told = Told()
  }

  func open(_ caller: Caller) async {
    let isNew = told.users.withLock { $0.count < 100 && $0.insert(caller.user).inserted }
    if isNew { log.warning("refusing uid \(caller.user): \(reason)") }
  }

  func answer(_ command: FrameCommand, _ payload: [UInt8], in session: Void) async -> FrameReply {
    switch command {
    case .cbor, .boundAssertion: .data([status.rawValue])
    // SW_CONDITIONS_NOT_SATISFIED would have a client wait for a touch; this is ISO 7816's "no precise diagnosis".
    case .message: .data([0x6F, 0x00])
    default: .error(.invalidCommand)
    }
  }

  func close(_ session: Void) async {}
}

/// The operator's socket: the status, the audit log's key, and what is left to be removed.
private struct RetiredAdminService: FrameService {
  private struct Request: Decodable {
    var request: String
    var dryRun: Bool?
  }

  let owner: UInt32
  let group: UInt32?
  let keys: FormerKeyStore
  let settings: Settings
  let status: @Sendable () async -> StatusReport

  func open(_ caller: Caller) async -> Caller? { caller.mayAdministrate(owner: owner, group: group) ? caller : nil }

  func answer(_ command: FrameCommand, _ payload: [UInt8], in caller: Caller?) async -> FrameReply {
    guard command == .administration else {
      return command == .cbor ? .data([CTAPStatus.notAllowed.rawValue]) : .error(.invalidCommand)
    }
    guard let caller else { return AdminAnswer.encode(AdminProblem.stranger) }
    guard let request = try? JSONDecoder().decode(Request.self, from: Data(payload)) else {
      return AdminAnswer.encode(AdminProblem.noRequest)
    }
    do {
      switch request.request {
      case "status":
        var report = await status()
        report.decommissioned = try await keys.isDone() ? "yes" : "not yet: something is left in the TPM"
        return AdminAnswer.encode(report)
      case "audit": return AdminAnswer.encode(try audit())
      case "decommission":
        guard caller.user == 0 || caller.user == owner else { throw AdminProblem.rootOnly }
        return AdminAnswer.encode(try await finish(isDryRun: request.dryRun == true))
      default: return AdminAnswer.encode(AdminProblem(error: FormerKeyStore.reason))
      }
    } catch let problem as AdminProblem {
      return AdminAnswer.encode(problem)
    } catch {
      return AdminAnswer.encode(AdminProblem(error: "\(error)"))
    }
  }

  func close(_ session: Caller?) async {}

  private func finish(isDryRun: Bool) async throws -> DecommissionReport {
    if !isDryRun { try await keys.finish() }
    let isDone = try await keys.isDone()
    let steps = Decommissioning.Step.allCases.map(\.rawValue)
    return DecommissionReport(
      stage: isDone ? "decommissioned" : "removing", steps: isDone ? steps : steps.dropLast(),
      remaining: isDone ? [] : [steps[steps.count - 1]], credentials: 0,
      list: DecommissionFiles.list(settings.stateDirectory),
      key: DecommissionFiles.key(settings.stateDirectory))
  }

  /// As of a daemon that serves. The anchor is the one that the record keeps: the TPM has it no longer.
  private func audit() throws -> AuditReport {
    guard let key = keys.auditKey else { throw AdminProblem(error: "the device record holds no audit key") }
    return AuditReport(
      path: settings.auditLog, sequence: Int64(clamping: keys.auditEnd.sequence), hash: hexadecimal(keys.auditEnd.hash),
      anchor: Int64(clamping: keys.anchor), publicKey: Base64URL.encode(key.publicKey),
      firstAnchor: Int64(clamping: key.firstAnchor))
  }
}
