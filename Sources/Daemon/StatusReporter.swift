internal import AuditLog
internal import Authenticator
internal import Configuration
internal import Platform
internal import Policy
internal import Storage
internal import TPMKeyStore
internal import Transports

/// Gathers what the admin socket's `status` says.
final class StatusReporter: Sendable {
  private let settings: Settings
  private let configuration: String
  private let startedAt: Int64
  private let keys: TPMKeyStore
  private let database: CredentialDatabase
  private let audit: AuditFile
  private let jobs: SocketServer<CTAPService>
  private let ruleCount: Lock<Int>

  init(
    settings: Settings, configuration: String, startedAt: Int64, keys: TPMKeyStore, database: CredentialDatabase,
    audit: AuditFile, jobs: SocketServer<CTAPService>
  ) {
    self.settings = settings
    self.configuration = configuration
    self.startedAt = startedAt
    self.keys = keys
    self.database = database
    self.audit = audit
    self.jobs = jobs
    ruleCount = Lock(settings.rules.rules.count)
  }

  /// Rules in force; a reload changes it.
  var rules: Int {
    get { ruleCount.withLock { $0 } }
    set { ruleCount.withLock { $0 = newValue } }
  }

  /// `software TPM IBM`, for the log and `systemctl status`.
  var tpmInWords: String {
    let status = keys.status
    let kind = if case .software = status.nature { "software TPM" } else { "TPM" }
    return "\(kind) \(status.manufacturer), firmware \(firmware(status))"
  }

  @Sendable func make() async -> StatusReport {
    let status = keys.status
    let isSoftware = if case .software = status.nature { true } else { false }
    return StatusReport(
      version: CountersignVersion.text,
      startedAt: Timestamp.text(unixMilliseconds: startedAt),
      socket: settings.socket,
      configuration: configuration,
      rules: rules,
      connections: await jobs.connectionCount,
      credentials: try? await database.count(),
      tpm: StatusReport.TPM(
        kind: isSoftware ? "software" : "hardware",
        connection: status.connection,
        manufacturer: status.manufacturer,
        firmware: firmware(status),
        state: status.disconnected ?? "ready",
        parentHandle: handleText(status.storageRootHandle),
        counterIndex: handleText(status.counterIndex),
        retryIndex: handleText(status.retryIndex),
        loadedKeys: status.loadedKeys,
        queue: status.queueLength),
      auditLog: StatusReport.AuditLog(path: settings.auditLog, state: audit.problem?.description ?? "ready"))
  }

  /// Four 16-bit numbers, as the TPM's makers write them.
  private func firmware(_ status: TPMStatus) -> String {
    [48, 32, 16, 0].map { String(status.firmwareVersion >> $0 & 0xffff) }.joined(separator: ".")
  }

  private func handleText(_ handle: UInt32?) -> String? {
    handle.map { "0x" + String($0, radix: 16) }
  }
}
