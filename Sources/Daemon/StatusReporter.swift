internal import AuditLog
internal import Authenticator
internal import Configuration
internal import Platform
internal import Policy
internal import Storage
internal import TPMKeyStore

/// Gathers what the admin socket's `status` says.
final class StatusReporter: Sendable {
  private let settings: Settings
  private let configuration: String
  private let startedAt: Int64
  private let keys: any TPMWatch
  private let database: CredentialDatabase
  private let audit: AuditFile
  private let boot: BootDesk
  private let connections: @Sendable () async -> Int
  private let grants: @Sendable () async -> GrantFigures
  private struct InForce {
    var rules: Int
    var problem: String?
  }

  /// How long a status waits for the TPM's own words.
  private static let patience = Duration.seconds(2)

  private let inForce: Lock<InForce>

  init(
    settings: Settings, configuration: String, startedAt: Int64, keys: any TPMWatch, database: CredentialDatabase,
    audit: AuditFile, boot: BootDesk, connections: @escaping @Sendable () async -> Int,
    grants: @escaping @Sendable () async -> GrantFigures = { GrantFigures() }
  ) {
    self.settings = settings
    self.configuration = configuration
    self.startedAt = startedAt
    self.keys = keys
    self.database = database
    self.audit = audit
    self.boot = boot
    self.connections = connections
    self.grants = grants
    inForce = Lock(InForce(rules: settings.rules.rules.count))
  }

  /// Rules in force.
  var rules: Int { inForce.withLock { $0.rules } }

  /// A reload was taken.
  func noteReload(rules: Int) {
    inForce.withLock { $0 = InForce(rules: rules) }
  }

  /// A reload was not taken, for this reason.
  func noteRefusedReload(_ problem: String) {
    inForce.withLock { $0.problem = problem }
  }

  /// `software TPM IBM`, for the log and `systemctl status`.
  var tpmInWords: String {
    let status = keys.status
    let kind = if case .software = status.nature { "software TPM" } else { "TPM" }
    return "\(kind) \(status.manufacturer), firmware \(firmware(status))"
  }

  @Sendable func make() async -> StatusReport {
    let status = keys.status
    let condition = status.disconnected == nil ? await condition() : nil
    return StatusReport(
      version: CountersignVersion.text,
      startedAt: Timestamp.text(unixMilliseconds: startedAt),
      socket: settings.socket,
      configuration: configuration,
      configurationProblem: inForce.withLock { $0.problem },
      rules: rules,
      connections: await connections(),
      credentials: try? await database.count(),
      tpm: StatusReport.TPM(
        kind: kind(status),
        connection: status.connection,
        manufacturer: status.manufacturer,
        vendor: status.vendor,
        firmware: firmware(status),
        state: status.disconnected ?? "ready",
        parentHandle: handleText(status.storageRootHandle),
        counterIndex: handleText(status.counterIndex),
        retryIndex: handleText(status.retryIndex),
        anchorIndex: handleText(status.anchorIndex),
        nvWrites: status.writes.map {
          StatusReport.NVWrites(
            signatureCounter: $0.signatureCounter, auditAnchor: $0.auditAnchor, retryRecord: $0.retryRecord)
        },
        loadedKeys: status.loadedKeys,
        resourceManager: status.isBehindResourceManager,
        pins: status.pins.map { pins in
          StatusReport.Pins(
            count: pins.pins.count, limit: pins.limit, handles: pins.pins.compactMap { handleText($0.handle) },
            writesLeft: pins.writesLeft, writes: pins.writes, problem: pins.problem)
        },
        queue: status.queueLength,
        waiting: StatusReport.Waiting(
          limit: status.waiting.limit, expected: status.waiting.expected, refused: status.waiting.refused,
          expired: status.waiting.expired),
        reconnections: status.reconnections,
        lockout: condition.map {
          StatusReport.Lockout(
            locked: $0.isInLockout, failures: $0.lockoutCounter, limit: $0.maximumFailures,
            forgetsAfter: $0.lockoutInterval)
        },
        ownerAuthorization: condition?.isOwnerAuthorized,
        freeTransientSlots: condition?.transientSlots,
        freePersistentSlots: condition?.persistentSlots,
        freeCounterSlots: condition?.counterSlots,
        resetCount: condition?.resetCount,
        restartCount: condition?.restartCount,
        clockSafe: condition?.isClockSafe),
      bootState: condition == nil ? nil : await boot.inWords(),
      auditLog: auditReport)
  }

  private var auditReport: StatusReport.AuditLog {
    let figures = audit.figures
    return StatusReport.AuditLog(
      path: settings.auditLog, state: audit.problem?.description ?? "ready",
      sequence: Int64(clamping: audit.end.sequence), records: Int64(clamping: figures.records),
      synchronizations: Int64(clamping: figures.synchronizations), unsigned: Int64(clamping: figures.unsigned),
      lostCopies: Int64(clamping: figures.lostCopies))
  }

  /// The metrics, without asking the TPM.
  @Sendable func metrics(_ tally: RequestTally) async -> String {
    MetricsText.make(
      tally,
      Gauges(
        tpm: keys.status, connections: await connections(), grants: await grants(),
        credentials: try? await database.count(), rules: rules, isAuditWritable: audit.problem == nil,
        auditRecordsWaiting: audit.waiting))
  }

  /// nil where the TPM fails or has something longer to do.
  private func condition() async -> TPMCondition? {
    let (answers, answer) = AsyncStream.makeStream(of: TPMCondition?.self)
    // Not children of this task, which would have to wait for both of them.
    let asking = Task { [keys] in answer.yield(try? await keys.condition()) }
    let waiting = Task {
      try? await Task.sleep(for: Self.patience)
      answer.yield(nil)
    }
    defer {
      asking.cancel()
      waiting.cancel()
    }
    return await answers.first { _ in true } ?? nil
  }

  /// What it is taken for; of one that has not been seen only what has been named.
  private func kind(_ status: TPMStatus) -> String {
    if case .software = status.nature { return "software" }
    if case .software = settings.tpm { return "software" }
    return status.manufacturer.isEmpty ? "not known yet" : "hardware"
  }

  /// Four 16-bit numbers, as the TPM's makers write them.
  private func firmware(_ status: TPMStatus) -> String {
    if status.manufacturer.isEmpty { return "" }
    return [48, 32, 16, 0].map { String(status.firmwareVersion >> $0 & 0xffff) }.joined(separator: ".")
  }

  private func handleText(_ handle: UInt32?) -> String? {
    handle.map { "0x" + String($0, radix: 16) }
  }
}
