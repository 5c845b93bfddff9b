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
  private let grants: JobGrants
  private let report: StatusReporter

  /// How long requests in progress may take at the end.
  private static let patience: UInt64 = 10_000_000_000

  /// Brings everything up; jobs can connect when it returns.
  ///
  /// - Parameters:
  ///   - configured: files and options
  ///   - passed: sockets from the service manager; own ones are made where it passed none
  /// - Returns: the daemon, whose ``serve(until:)`` comes next
  /// - Throws: `ConfigurationError`, `StoreError`, `KeyStoreError`, `AuditError`, `ListenerError`, `SystemError`
  static func start(_ configured: Configured, passed: [PassedDescriptor]) async throws -> RunningDaemon {
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
    let keys = try await unlock(database, loaded.settings, logger)
    let daemon = try RunningDaemon(configured, loaded.settings, logger, database, files, audit, keys)
    await daemon.engine.prepare()
    await daemon.grants.prepare()
    daemon.notary.start()
    await daemon.record("start", reason: "version \(CountersignVersion.text), \(daemon.report.tpmInWords)")
    try await daemon.listen(passed)
    return daemon
  }

  /// Connects to the TPM and gives the store the secret that was sealed there.
  private static func unlock(
    _ database: CredentialDatabase, _ settings: Settings, _ logger: Logger
  ) async throws -> TPMKeyStore {
    let (keys, secret) = try await TPMKeyStore.start(
      connection: connection(settings), records: database,
      ownerAuthorization: try ServiceCredential.read("owner-authorization"),
      allowSoftware: settings.allowSoftwareTPM, log: logger)
    try await database.unlock(with: secret)
    return keys
  }

  private init(
    _ configured: Configured, _ settings: Settings, _ logger: Logger, _ database: CredentialDatabase,
    _ files: ThreadExecutor, _ audit: AuditFile, _ keys: TPMKeyStore
  ) throws {
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
    jobs = SocketServer(
      loop: loop, service: CTAPService(engine: engine), settings: RunningDaemon.jobSettings(settings),
      executables: reader, log: logger)
    grants = JobGrants(
      loop: loop, engine: engine, folder: RunningDaemon.jobsFolder(settings),
      settings: RunningDaemon.jobSettings(settings), issuers: settings.issuers, executables: reader, log: logger)
    report = StatusReporter(
      settings: settings, configuration: configured.path, startedAt: SystemTime().unixMilliseconds, keys: keys,
      database: database, audit: audit, jobs: jobs)
    administration = SocketServer(
      loop: loop,
      service: AdminService(
        owner: geteuid(), group: settings.adminGroup, engine: engine, grants: grants,
        executables: reader, attestation: attestation, status: report.make,
        auditLog: AuditReporter(path: settings.auditLog, file: audit, signer: keys).make, metrics: report.metrics),
      settings: RunningDaemon.administrationSettings, log: logger)
  }

  private static func jobSettings(_ settings: Settings) -> ServerSettings {
    var server = ServerSettings()
    let version = CountersignVersion.bytes
    server.version = DeviceVersion(major: version.major, minor: version.minor, build: version.build)
    server.capabilities = [.wink, .cbor]
    server.served = [.message, .cbor, .wink, .boundAssertion]
    server.connectionLimit = settings.maximumConnections
    server.connectionsPerUser = max(1, settings.maximumConnections / 2)
    return server
  }

  /// Beside the jobs' socket.
  private static func jobsFolder(_ settings: Settings) -> String {
    let folder = settings.socket.lastIndex(of: "/").map { String(settings.socket[..<$0]) } ?? "."
    return folder + "/jobs"
  }

  private static var administrationSettings: ServerSettings {
    var server = ServerSettings()
    server.capabilities = [.cbor, .noMessage]
    server.served = [.administration, .cbor]
    server.connectionLimit = 32
    server.connectionsPerUser = 32
    return server
  }

  private static func connection(_ settings: Settings) -> TPMConnection {
    switch settings.tpm {
    case .tcti(let string): .tcti(string)
    case .software(let directory): .software(directory: directory)
    }
  }

  /// Takes the sockets that were passed, by their names; makes those that were not.
  private func listen(_ passed: [PassedDescriptor]) async throws {
    var hasJobs = false
    var hasAdministration = false
    for socket in passed {
      let listener = try Listener(name: socket.name, passed: try socket.descriptor.duplicate())
      switch socket.name {
      case "admin":
        hasAdministration = true
        try await administration.listen(on: listener)
      case "countersignd.socket", "unknown":
        // The name where a unit gives none, and where there is no LISTEN_FDNAMES.
        hasJobs = true
        try await jobs.listen(on: listener)
      case let name where CallerPattern.isJobSocket(name):
        hasJobs = true
        try await jobs.listen(on: listener, as: name)
      default:
        throw PassedSocketError(name: socket.name)
      }
    }
    if !hasAdministration {
      let group = settings.adminGroup
      try await administration.listen(
        on: try Listener(path: settings.adminSocket, mode: group == nil ? 0o600 : 0o660, group: group))
    }
    if !hasJobs {
      try await jobs.listen(on: try Listener(path: settings.socket, mode: settings.socketMode))
    }
  }

  // MARK: - Serving

  /// Serves until SIGTERM or SIGINT, then stops in order.
  func serve(until signals: SignalDescriptor) async {
    logger.info("ready on \(settings.socket): \(statusLine)")
    notify(.ready, .status(statusLine))
    notifier.startWatchdog(on: loop, log: logger)
    ProcessMemory.releaseStartup()
    for await signal in SignalStream.make(signals) {
      if signal == .hangup {
        await reload()
      } else {
        break
      }
    }
    await stop()
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
      var rest = loaded.settings
      rest.rules = settings.rules
      rest.issuers = settings.issuers
      if rest != settings { logger.warning("settings other than rules and issuers need a restart") }
      await record("reload", reason: "\(counted(report.rules, "rule")) in force")
    } catch {
      logger.error("configuration not taken, the rules in force stay: \(error)")
      report.noteRefusedReload("\(error)")
      await record("reload", .failed, reason: "\(error)")
    }
    // While the file that may have been moved away is still the one that is written.
    await notary.sign()
    audit.reopen()
  }

  /// Records an act of the daemon's own. Where that fails, the log's failure is said and stops what matters.
  private func record(_ operation: String, _ outcome: AuditRecord.Outcome = .done, reason: String?) async {
    let ticket = audit.submit(
      AuditRecord(
        time: SystemTime().unixMilliseconds, outcome: outcome, operation: operation, connection: 0, user: geteuid(),
        group: getegid(), process: getpid(), reason: reason))
    try? await ticket.durable()
  }

  private func stop() async {
    notify(.stopping)
    logger.info("stopping")
    await jobs.stop(within: RunningDaemon.patience)
    await administration.stop(within: 0)
    await grants.stop()
    await engine.settle()
    reader.stop()
    await record("stop", reason: nil)
    await notary.finish()
    await keys.stop()
    audit.close()
    await database.close()
    loop.stop()
  }

  private func notify(_ states: ServiceNotifier.State...) {
    notifier.tell(states, log: logger)
  }
}

/// The service manager passed a socket that means nothing here: serving jobs on it could open it to strangers.
struct PassedSocketError: Error, CustomStringConvertible {
  let name: String

  var description: String {
    "the passed socket \(quoted(name)) is unknown: set FileDescriptorName=ctap, ctap-NAME or admin in its unit"
  }
}
