internal import Platform

/// The daemon's command line: what the configuration says, overridden for one run.
struct DaemonOptions: Equatable {
  enum Action: Equatable {
    case run
    case checkConfiguration
    case help
    case version
  }

  enum TPMChoice: Equatable {
    /// A TCTI string of tpm2-tss.
    case tcti(String)
    /// The folder of a software TPM that the daemon starts itself.
    case software(String)
  }

  var action = Action.run
  var configuration: String?
  var socket: String?
  var adminSocket: String?
  var stateDirectory: String?
  var auditLog: String?
  var tpm: TPMChoice?
  var isDebugging = false

  /// - Parameter arguments: without the program's name
  /// - Throws: `UsageError`
  init(_ arguments: [String]) throws(UsageError) {
    var reader = OptionReader(arguments, of: "countersignd")
    while let name = reader.next() {
      switch name {
      case "-h", "--help": action = .help
      case "--version": action = .version
      case "--check-config": action = .checkConfiguration
      case "--debug": isDebugging = true
      case "--config": configuration = try reader.value()
      case "--socket": socket = try reader.value()
      case "--admin-socket": adminSocket = try reader.value()
      case "--state-directory": stateDirectory = try reader.value()
      case "--audit-log": auditLog = try reader.value()
      case "--tpm": try choose(.tcti(try reader.value()))
      case "--software-tpm": try choose(.software(try reader.value()))
      default: throw reader.unknown
      }
      if ["-h", "--help", "--version", "--check-config", "--debug"].contains(name) { try reader.refuseValue() }
      if action == .help || action == .version { return }
    }
  }

  private mutating func choose(_ choice: TPMChoice) throws(UsageError) {
    guard tpm == nil else { throw UsageError(description: "one of --tpm and --software-tpm, once: leave one out") }
    tpm = choice
  }

  static let help = """
    Usage: countersignd [OPTION]...

    Keeps FIDO2 credential keys in this machine's TPM and signs with them for the
    jobs that the configuration's rules allow, over a Unix socket.

      --config FILE           configuration (/etc/countersign/countersign.json), with
                              conf.d/*.json beside it
      --socket PATH           socket for jobs (/run/countersign/ctap.sock)
      --admin-socket PATH     socket for the operator (/run/countersign/admin.sock)
      --state-directory DIR   credentials (/var/lib/countersign)
      --audit-log FILE        audit log (/var/log/countersign/audit.jsonl)
      --tpm TCTI              TPM, e.g. device:/dev/tpmrm0, device:/dev/tpm0 or
                              swtpm:path=/run/swtpm.sock
      --software-tpm DIR      start a software TPM with its state in DIR: for trying
                              out and for tests, never as safe as a TPM
      --check-config          check the configuration, and whether others could change or
                              replace it, and say what is wrong, then exit
      --debug                 log every step
      --version               print the version, then exit
      -h, --help              print this, then exit

    Options override the configuration. SIGHUP reads the configuration again; a bad
    one leaves the rules in force. SIGTERM stops after the requests in progress.

    Example, a second instance for a test, without root:
      mkdir -p /tmp/cs
      countersignd --config rules.json --socket /tmp/cs/ctap.sock \\
        --admin-socket /tmp/cs/admin.sock --state-directory /tmp/cs/state \\
        --audit-log /tmp/cs/audit.jsonl --software-tpm /tmp/cs/tpm

    Exit status: 0 done, 1 failure, 2 usage or configuration, 6 TPM failure.
    """
}
