internal import AuditLog
internal import CTAP
internal import CTAPHID
internal import Configuration
internal import Glibc
internal import Platform
internal import Policy
internal import Storage
internal import TPMKeyStore
internal import Transports

/// The sockets of a daemon that signs for nobody: jobs are refused, each in the same way, and the operator is told why and
/// can ask for a few things.
struct RefusingSockets {
  private let settings: Settings
  private let logger: Logger
  private let loop: EventLoop
  private let jobs: SocketServer<RefusingService>
  private let administration: SocketServer<RefusingAdminService>
  private let notifier = ServiceNotifier()

  /// How long the answer to the operator's last request may take to leave.
  private static let patience: UInt64 = 5_000_000_000

  /// - Parameters:
  ///   - status: what jobs are answered
  ///   - reason: the same for the log and the operator
  ///   - configuration: where the rules come from
  ///   - settings: of this run
  ///   - logger: for the operator
  ///   - database: not opened for anything but its size
  ///   - audit: the log
  ///   - keys: the TPM's state
  ///   - boot: what is said of the boot
  ///   - answer: to the operator's requests, once it is known who asks; gets what makes the status
  /// - Throws: `SystemError`
  init(
    _ status: CTAPStatus, reason: String, configuration: String, _ settings: Settings, _ logger: Logger,
    _ database: CredentialDatabase, _ audit: AuditFile, _ keys: any TPMWatch, _ boot: BootDesk,
    answer:
      @escaping @Sendable (
        RefusingAdminService.Request, Caller, _ status: @Sendable () async -> StatusReport
      ) async throws -> FrameReply
  ) throws(SystemError) {
    self.settings = settings
    self.logger = logger
    loop = try EventLoop(name: "sockets")
    let jobs = SocketServer(
      loop: loop, service: RefusingService(status: status, reason: reason, log: logger),
      settings: ServerSettings.ofJobs(settings), log: logger)
    self.jobs = jobs
    let report = StatusReporter(
      settings: settings, configuration: configuration, startedAt: SystemTime().unixMilliseconds, keys: keys,
      database: database, audit: audit, boot: boot, connections: { await jobs.connectionCount })
    administration = SocketServer(
      loop: loop,
      service: RefusingAdminService(owner: geteuid(), group: settings.adminGroup, status: status) { request, caller in
        try await answer(request, caller, report.make)
      },
      settings: ServerSettings.ofAdministration, log: logger)
  }

  /// Begins to answer, and tells the service manager.
  ///
  /// - Throws: `ListenerError`, `SystemError`
  func open(_ passed: [PassedDescriptor], saying status: String) async throws {
    try await listen(passed, settings, jobs: jobs, administration: administration)
    notifier.tell([.ready, .status(status)], log: logger)
    notifier.startWatchdog(on: loop, log: logger)
  }

  /// Ends; jobs at once, and the operator with an answer.
  ///
  /// - Parameter isLast: whether no other daemon follows in this process
  func close(isLast: Bool) async {
    if isLast { notifier.tell([.stopping], log: logger) }
    await jobs.stop(within: 0)
    await administration.stop(within: RefusingSockets.patience)
    loop.stop()
  }
}
