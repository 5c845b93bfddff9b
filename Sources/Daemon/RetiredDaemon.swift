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
internal import WebAuthn

/// The daemon of a device that has been decommissioned: it says so to everybody, removes from the TPM what an
/// interruption has left there, and makes nothing new.
struct RetiredDaemon {
  private let logger: Logger
  private let keys: FormerKeyStore
  private let sockets: RefusingSockets

  init(
    configuration: String, _ settings: Settings, _ logger: Logger, _ database: CredentialDatabase, _ audit: AuditFile,
    _ keys: FormerKeyStore
  ) throws {
    self.logger = logger
    self.keys = keys
    let boot = BootDesk(
      report: { throw DecommissionProblem("decommissioned") },
      approve: { _ in throw DecommissionProblem(FormerKeyStore.reason) })
    let desk = RetiredDesk(keys: keys, settings: settings)
    sockets = try RefusingSockets(
      .notAllowed, reason: FormerKeyStore.reason, configuration: configuration, settings, logger, database, audit, keys,
      boot, answer: desk.answer)
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
    try await sockets.open(passed, saying: "decommissioned")
    loop: for await event in events {
      switch event {
      case .signal(.hangup), .unlocked, .decommissioned: break
      case .signal: break loop
      }
    }
    await sockets.close(isLast: true)
    await keys.stop()
  }
}

/// What the operator is answered: the status, the audit log's key, and what is left to be removed.
private struct RetiredDesk: Sendable {
  let keys: FormerKeyStore
  let settings: Settings

  @Sendable func answer(
    _ request: RefusingAdminService.Request, _ caller: Caller, _ status: @Sendable () async -> StatusReport
  ) async throws -> FrameReply {
    switch request.request {
    case "status":
      var report = await status()
      let isDone = try await keys.isDone()
      report.decommissioned = isDone ? "yes" : "not yet: something is left in the TPM"
      // It has been read, and nobody is judged by it.
      report.rules = 0
      if isDone, keys.status.manufacturer.isEmpty {
        report.tpm.state = "not asked: nothing of this device is left in it"
      }
      return AdminAnswer.encode(report)
    case "audit": return AdminAnswer.encode(try audit())
    case "decommission":
      guard caller.user == 0 || caller.user == geteuid() else { throw AdminProblem.rootOnly }
      return AdminAnswer.encode(try await finish(isDryRun: request.dryRun == true))
    default: throw AdminProblem(error: FormerKeyStore.reason)
    }
  }

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
