internal import Attestation
internal import AuditLog
internal import Authenticator
internal import Configuration
internal import CTAPHID
internal import Glibc
internal import Platform
internal import Policy
internal import Secrets
internal import Storage
internal import TPMKeyStore
internal import Transports

/// The composition root: makes every part once, joins them, and takes them apart again in the opposite order.
final class RunningDaemon: Sendable {
  private let configured: Configured
  private let settings: Settings
  private let logger: Logger
  private let notifier = ServiceNotifier()

  private let loop: EventLoop
  private let database: CredentialDatabase
  private let audit: AuditFile
  private let notary: AuditNotary
  private let keys: TPMKeyStore
  private let engine: AuthenticatorEngine
  private let attestation: AttestationKeeper
  private let jobs: SocketServer<CTAPService>
  private let administration: SocketServer<AdminService>
  private let reader: MachineReader
  private let watch: ConfigurationWatch
  private let grants: JobGrants
  private let decommissioning: Decommissioning
  private let report: StatusReporter
  private let own: OwnSockets
  /// Those that were passed and those of its own, for the daemon that follows; good for as long as this one lives.
  let sockets: [PassedDescriptor]

  /// How long requests in progress may take at the end.
  private static let patience: UInt64 = 10_000_000_000
  /// How long the TPM may take then for the last PIN attempt and the last signature over the audit log, and to let go:
  /// one that hangs has taken its time before. Together with the above less than half of what systemd grants.
  private static let patienceWithTPM: UInt64 = 15_000_000_000
  private static let patienceWithThread: UInt64 = 5_000_000_000

  /// Brings everything up; jobs can connect when it returns.
  ///
  /// - Parameters:
  ///   - configured: files and options
  ///   - passed: sockets from the service manager; own ones are made where it passed none
  ///   - events: signals, for as long as it waits for an approval of the boot
  ///   - sink: of these events
  /// - Returns: the daemon, whose ``serve(until:)`` comes next; nil where it was told to end while it waited
  /// - Throws: `ConfigurationError`, `StoreError`, `KeyStoreError`, `AuditError`, `ListenerError`, `SystemError`
  static func start(
    _ configured: Configured, passed: [PassedDescriptor], until events: AsyncStream<DaemonEvent>,
    _ sink: AsyncStream<DaemonEvent>.Continuation
  ) async throws -> RunningDaemon? {
    let loaded = try configured.load()
    let logger = ConsoleLogger.make(level: loaded.settings.logLevel)
    for notice in loaded.notices { logger.notice(notice) }
    ServiceProcess.warnOfRoot(unit: "countersignd.service", logger)
    _ = raiseDescriptorLimit()

    let files = try ThreadExecutor(name: "store")
    let database = try CredentialDatabase(
      stateDirectory: loaded.settings.stateDirectory, executor: files,
      maximumCredentials: loaded.settings.maximumCredentials, log: logger)
    try await database.open()
    let audit = try AuditFile(
      path: loaded.settings.auditLog, settings: loaded.settings.audit, log: logger,
      journal: loaded.settings.audit.copiesToJournal ? JournalCopies(log: logger) : nil)
    let approvals = try BootStateKeeper(stateDirectory: loaded.settings.stateDirectory)
    let keys: TPMKeyStore
    let secret: DeviceSecret
    var own: OwnSockets?
    var passed = passed
    switch try await open(database, loaded.settings, approvals, logger) {
    case .open(let opened, let unsealed): (keys, secret) = (opened, unsealed)
    case .waiting(let waiting, let reason):
      await audit.record(.start, .refused, reason: reason)
      let daemon = try WaitingDaemon(
        configuration: configured.path, loaded.settings, logger, database, audit, waiting, reason: reason, approvals,
        sink)
      let sockets = try OwnSockets(beside: passed, loaded.settings)
      own = sockets
      passed += try sockets.passed()
      guard let unlocked = try await daemon.serve(passed, until: events) else {
        audit.close()
        await database.close()
        return nil
      }
      (keys, secret) = unlocked
    case .former(let former):
      audit.close()
      let daemon = try RetiredDaemon(
        configuration: configured.path, loaded.settings, logger, database, audit, former)
      try await daemon.serve(passed, until: events)
      await database.close()
      return nil
    }
    try await database.unlock(with: secret)
    await keys.keepPins(in: database, PinSettings(loaded.settings.pins), log: logger) { binding in
      do {
        guard let found = try await database.credential(id: binding.credentialID) else { return false }
        return found.key.binding == binding && found.state != .disabled
      } catch {
        // A store that fails is no reason to wear the TPM.
        return true
      }
    }
    if own == nil {
      let sockets = try OwnSockets(beside: passed, loaded.settings)
      passed += try sockets.passed()
      own = sockets
    }
    guard let own else { preconditionFailure("made above") }
    let daemon = try RunningDaemon(
      configured, loaded.settings, logger, database, files, audit, keys, approvals, own, passed, sink)
    await daemon.engine.prepare()
    await daemon.grants.prepare()
    try await daemon.compareLog()
    daemon.notary.start()
    if keys.isLeaving {
      // Before anybody can connect.
      keys.retire()
      try await daemon.engine.retire()
    }
    await daemon.record(.start, reason: "version \(CountersignVersion.text), \(daemon.report.tpmInWords)")
    try await Daemon.listen(passed, daemon.settings, jobs: daemon.jobs, administration: daemon.administration)
    if keys.isLeaving { await daemon.decommissioning.resume() }
    return daemon
  }

  /// Connects to the TPM, for the secret that was sealed there.
  private static func open(
    _ database: CredentialDatabase, _ settings: Settings, _ keeper: BootStateKeeper, _ logger: Logger
  ) async throws -> TPMKeyStore.Opening {
    var limits = TPMKeyStoreLimits()
    limits.wait = UInt64(settings.maximumWait) * 1000
    return try await TPMKeyStore.open(
      connection: connection(settings), records: database,
      ownerAuthorization: try ServiceCredential.read("owner-authorization"),
      allowSoftware: settings.allowSoftwareTPM, boot: settings.boot, approvals: await keeper.approvals,
      resourceManager: settings.resourceManager, log: logger, limits: limits)
  }

  private init(
    _ configured: Configured, _ settings: Settings, _ logger: Logger, _ database: CredentialDatabase,
    _ files: ThreadExecutor, _ audit: AuditFile, _ keys: TPMKeyStore, _ approvals: BootStateKeeper, _ own: OwnSockets,
    _ sockets: [PassedDescriptor], _ sink: AsyncStream<DaemonEvent>.Continuation
  ) throws {
    self.own = own
    self.sockets = sockets
    self.configured = configured
    self.settings = settings
    self.logger = logger
    self.database = database
    self.audit = audit
    self.keys = keys
    notary = AuditNotary(file: audit, signer: keys, settings: settings.audit, clock: SystemTime(), log: logger)
    loop = try EventLoop(name: "sockets")
    let identity: AuthenticatorIdentity = keys.status.nature == .hardware ? .hardware : .software
    let attestation = try AttestationKeeper(
      stateDirectory: settings.stateDirectory, executor: files, keys: keys, identity: identity, clock: SystemTime(),
      log: logger)
    self.attestation = attestation
    engine = AuthenticatorEngine(
      environment: AuthenticatorEnvironment(
        keys: keys, store: database, audit: audit, time: SystemTime(), random: SystemRandom(), logger: logger,
        identity: identity,
        attestation: AttestationService(attester: keys, inService: { attestation.inService() })),
      judge: settings.rules, executor: loop)
    reader = try MachineReader(wanted: settings.rules.wantsExecutableDigests)
    let watch = ConfigurationWatch(configured, settings, reader)
    self.watch = watch
    jobs = SocketServer(
      loop: loop, service: CTAPService(engine: engine), settings: ServerSettings.ofJobs(settings),
      executables: reader, log: logger)
    grants = JobGrants(
      loop: loop, engine: engine, folder: RunningDaemon.jobsFolder(settings),
      settings: ServerSettings.ofJobs(settings), issuers: settings.issuers, executables: reader, log: logger)
    let desk = BootDesk(keys, approvals, pcrs: BootPolicy.usualPCRs)
    decommissioning = Decommissioning(
      parts: Decommissioning.Parts(
        keys: keys, database: database, engine: engine, audit: audit, notary: notary, grants: grants,
        identity: identity, stateDirectory: settings.stateDirectory, log: logger),
      finished: { sink.yield(.decommissioned) })
    report = StatusReporter(
      settings: settings, configuration: configured.path, startedAt: SystemTime().unixMilliseconds, keys: keys,
      database: database, audit: audit, boot: desk, connections: { [jobs] in await jobs.connectionCount },
      grants: { [grants] in await grants.figures })
    administration = SocketServer(
      loop: loop,
      service: AdminService(
        owner: geteuid(), group: settings.adminGroup, engine: engine, grants: grants,
        executables: reader, keys: keys, attestation: attestation, boot: desk,
        decommissioning: decommissioning, changes: watch.changes,
        status: { [report, decommissioning] in
          var status = await report.make()
          status.decommissioned = decommissioning.hasBegun ? "not yet: it has begun" : nil
          return status
        },
        auditLog: AuditReporter(path: settings.auditLog, file: audit, signer: keys).make, metrics: report.metrics),
      settings: ServerSettings.ofAdministration, log: logger)
  }

  /// Beside the jobs' socket.
  private static func jobsFolder(_ settings: Settings) -> String {
    let folder = settings.socket.lastIndex(of: "/").map { String(settings.socket[..<$0]) } ?? "."
    return folder + "/jobs"
  }

  private static func connection(_ settings: Settings) -> TPMConnection {
    switch settings.tpm {
    case .tcti(let string): .tcti(string)
    case .software(let directory): .software(directory: directory)
    }
  }

  // MARK: - Serving

  /// Serves until SIGTERM or SIGINT, or until the device has been decommissioned, then stops in order.
  ///
  /// - Returns: whether it was decommissioned
  func serve(until events: AsyncStream<DaemonEvent>) async -> Bool {
    logger.info("ready on \(settings.socket): \(statusLine)")
    notify(.ready, .status(statusLine))
    notifier.startWatchdog(on: loop, log: logger)
    ProcessMemory.releaseStartup()
    loop: for await event in events {
      switch event {
      case .signal(.hangup): await reload()
      case .signal: break loop
      case .decommissioned:
        await stop()
        return true
      case .unlocked: break
      }
    }
    await stop()
    return false
  }

  private var statusLine: String { "\(counted(report.rules, "rule")), \(report.tpmInWords)" }

  private func reload() async {
    notify(ServiceNotifier.reloadingNow)
    defer { notify(.ready, .status(statusLine)) }
    do {
      let loaded = try await reader.load(configured)
      for notice in loaded.notices { logger.notice(notice) }
      await engine.replaceJudge(loaded.settings.rules)
      await grants.replaceIssuers(loaded.settings.issuers)
      reader.wanted.withLock { $0 = loaded.settings.rules.wantsExecutableDigests }
      report.noteReload(rules: loaded.settings.rules.rules.count)
      logger.notice("configuration read again: \(counted(report.rules, "rule")) in force")
      let waiting = watch.reloaded(loaded.settings)
      if !waiting.isEmpty { logger.warning("changed, and taken at the next start: \(waiting.joined(separator: ", "))") }
      await record(.reload, reason: "\(counted(report.rules, "rule")) in force")
    } catch {
      logger.error("configuration not taken, the rules in force stay: \(error)")
      report.noteRefusedReload("\(error)")
      await record(.reload, .failed, reason: "\(error)")
    }
    // While the file that may have been moved away is still the one that is written.
    await notary.sign()
    audit.reopen()
  }

  private func record(_ operation: AuditRecord.Operation, _ outcome: AuditRecord.Outcome = .done, reason: String?) async
  {
    await audit.record(operation, outcome, reason: reason)
  }

  /// Before anything is signed: a log that others have put in the place of the daemon's is marked as such for ever.
  ///
  /// - Throws: `AuditError` where the log cannot be compared, or cannot say what was found
  private func compareLog() async throws {
    let tail = LogTail(path: settings.auditLog, key: keys.auditKey)
    guard let mismatch = try tail.mismatch(with: try await keys.anchor()) else { return }
    logger.error("audit log \(settings.auditLog): \(mismatch); see countersign audit verify")
    var record = AuditRecord(
      time: SystemTime().unixMilliseconds, outcome: .failed, operation: .chainBreak, connection: 0,
      user: geteuid(), group: getegid(), process: getpid())
    record.reason = mismatch
    try await audit.submit(record).durable()
  }

  private func stop() async {
    notify(.stopping)
    logger.info("stopping")
    // At the same time, so that together they have no more of it.
    async let ofGrants: Void = grants.stop(within: RunningDaemon.patience)
    await jobs.stop(within: RunningDaemon.patience)
    await ofGrants
    // The answer to a decommissioning has to leave yet.
    await administration.stop(within: decommissioning.isOver ? RunningDaemon.patience : 0)
    let hasFinished = await waitAtMost(RunningDaemon.patienceWithTPM, on: loop) { [self] in
      await engine.settle()
      if !decommissioning.isOver {
        await record(.stop, reason: nil)
        await notary.finish()
      }
    }
    if !hasFinished {
      logger.warning("the TPM does not answer: the audit log's end is not signed, and a PIN attempt may stay counted")
    }
    reader.stop()
    // A daemon that follows in this process needs the TPM.
    let isFollowed = decommissioning.isOver
    await waitAtMost(isFollowed ? .max : RunningDaemon.patienceWithThread, on: loop) { [keys] in await keys.stop() }
    audit.close()
    await database.close()
    loop.stop()
  }

  private func notify(_ states: ServiceNotifier.State...) {
    notifier.tell(states, log: logger)
  }
}

extension AuditFile {
  /// Records an act of the daemon's own. Where that fails, the log's failure is said and stops what matters.
  func record(_ operation: AuditRecord.Operation, _ outcome: AuditRecord.Outcome, reason: String?) async {
    let ticket = submit(
      AuditRecord(
        time: SystemTime().unixMilliseconds, outcome: outcome, operation: operation, connection: 0, user: geteuid(),
        group: getegid(), process: getpid(), reason: reason))
    try? await ticket.durable()
  }
}

extension PinSettings {
  init(_ configuration: PinConfiguration) {
    self.init()
    handles = configuration.handles ?? handles
    count = configuration.count ?? count
    writesPerDay = configuration.writesPerDay ?? writesPerDay
    burst = configuration.burst ?? burst
  }
}
