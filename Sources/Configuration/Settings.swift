package import Attestation
package import AuditLog
package import IdentityTokens
package import Platform
package import Policy

/// How the daemon is to run: what the configuration files say over the defaults. The daemon's options go on top.
package struct Settings: Equatable, Sendable {
  /// Where the TPM is.
  package enum TPMSource: Equatable, Sendable {
    /// A TCTI string of tpm2-tss, e.g. `device:/dev/tpmrm0`.
    case tcti(String)
    /// A software TPM that the daemon starts itself, with its state in this directory.
    case software(directory: String)
  }

  package var tpm = TPMSource.tcti("device:/dev/tpmrm0")
  /// Whether a TPM that turns out to be software is taken; hardware is required otherwise.
  package var allowSoftwareTPM = false
  /// To what boots of the machine the device secret is to be bound.
  package var boot = BootBinding.unchanged
  /// Whether a resource manager stands before the TPM; nil: as `tpm` says.
  package var resourceManager: Bool?
  package var pins = PinConfiguration()
  package var socket = "/run/countersign/ctap.sock"
  /// Permissions of `socket`, where systemd does not pass one: who may ask at all; the rules say who gets an answer.
  package var socketMode: UInt32 = 0o660
  package var adminSocket = "/run/countersign/admin.sock"
  /// Who may use `adminSocket` besides root and the daemon's own user; nil for nobody.
  package var adminGroup: UInt32?
  package var stateDirectory = "/var/lib/countersign"
  package var auditLog = "/var/log/countersign/audit.jsonl"
  package var audit = AuditSettings()
  package var maximumConnections = 1024
  package var maximumCredentials = 100_000
  /// Seconds that a request may wait for the TPM.
  package var maximumWait = 25
  package var logLevel = Logger.Level.info
  package var rules = RuleBook.empty
  /// Whose tokens of jobs are believed.
  package var issuers: [TokenIssuer] = []

  package init() {}
}

/// Hot keys at persistent handles; nil where the key store's own default holds.
package struct PinConfiguration: Equatable, Sendable {
  /// Persistent handles that may be used.
  package var handles: ClosedRange<UInt32>?
  /// Keys that may be pinned at the same time.
  package var count: Int?
  /// Writes to non-volatile memory in 24 hours, in the long run.
  package var writesPerDay: Int?
  /// Writes that may come at once.
  package var burst: Int?

  package init() {}
}

/// What was read, and from where.
package struct LoadedSettings: Equatable, Sendable {
  package var settings: Settings
  /// In the order in which they were read.
  package var files: [String]
  /// What the operator should know though it is no error; one line each.
  package var notices: [String]

  package init(settings: Settings, files: [String], notices: [String]) {
    self.settings = settings
    self.files = files
    self.notices = notices
  }
}

extension Settings {
  /// What no part can see alone, whichever files and options it came from.
  ///
  /// - Parameter file: to be named
  /// - Throws: ``ConfigurationError``
  package func check(_ file: String) throws(ConfigurationError) {
    for (name, option, path) in [("socket", "--socket", socket), ("adminSocket", "--admin-socket", adminSocket)]
    where path.utf8.count > UnixSocket.longestPath {
      throw ConfigurationError(
        file: file,
        problem: "\(name): \(quoted(path)) has \(path.utf8.count) bytes, a socket's path has at most "
          + "\(UnixSocket.longestPath)",
        advice: "choose one in a folder with a shorter name, with \(name) or \(option)")
    }
    guard socket != adminSocket else {
      throw ConfigurationError(
        file: file, problem: "socket and adminSocket are both \(quoted(socket))",
        advice: "give the operator's a path of its own, with adminSocket or --admin-socket: jobs must not reach it")
    }
  }
}

extension Settings {
  /// The keys of the configuration whose settings are others here; of ``rules`` and ``issuers``, which a reload takes, those
  /// two words. Each stored property has its place here.
  ///
  /// - Parameter other: those in force
  /// - Returns: in the order of the properties
  package func keys(differingFrom other: Settings) -> [String] {
    let isDifferent: [(key: String, value: Bool)] = [
      ("tpm.tcti or tpm.softwareDirectory", tpm != other.tpm),
      ("tpm.allowSoftware", allowSoftwareTPM != other.allowSoftwareTPM),
      ("tpm.approvalKey or tpm.pcrs", boot != other.boot),
      ("tpm.resourceManager", resourceManager != other.resourceManager), ("tpm.pins", pins != other.pins),
      ("socket", socket != other.socket), ("socketMode", socketMode != other.socketMode),
      ("adminSocket", adminSocket != other.adminSocket), ("adminGroup", adminGroup != other.adminGroup),
      ("stateDirectory", stateDirectory != other.stateDirectory), ("auditLog", auditLog != other.auditLog),
      ("audit", audit != other.audit), ("limits.connections", maximumConnections != other.maximumConnections),
      ("limits.credentials", maximumCredentials != other.maximumCredentials),
      ("limits.waitSeconds", maximumWait != other.maximumWait), ("log.level", logLevel != other.logLevel),
      ("rules", rules != other.rules), ("issuers", issuers != other.issuers),
    ]
    return isDifferent.filter(\.value).map(\.key)
  }

  /// Those that a reload takes.
  package static let reloadable: Set<String> = ["rules", "issuers"]
}
