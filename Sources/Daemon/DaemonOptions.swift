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

  /// What is wrong with the command line, in one line.
  struct UsageError: Error, Equatable, CustomStringConvertible {
    let description: String
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
  /// - Throws: ``UsageError``
  init(_ arguments: [String]) throws(UsageError) {
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      // --name=value is --name value.
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      let isJoined = argument.hasPrefix("--") && parts.count == 2
      let name = isJoined ? parts[0] : argument
      if isJoined { rest = [parts[1]] + rest }
      switch name {
      case "-h", "--help": action = .help
      case "--version": action = .version
      case "--check-config": action = .checkConfiguration
      case "--debug": isDebugging = true
      case "--config": configuration = try Self.value(of: name, &rest)
      case "--socket": socket = try Self.value(of: name, &rest)
      case "--admin-socket": adminSocket = try Self.value(of: name, &rest)
      case "--state-directory": stateDirectory = try Self.value(of: name, &rest)
      case "--audit-log": auditLog = try Self.value(of: name, &rest)
      case "--tpm": try choose(.tcti(Self.value(of: name, &rest)))
      case "--software-tpm": try choose(.software(Self.value(of: name, &rest)))
      default: throw UsageError(description: "unknown argument \(name): see countersignd --help")
      }
      if isJoined, ["-h", "--help", "--version", "--check-config", "--debug"].contains(name) {
        throw UsageError(description: "\(name) takes no value: see countersignd --help")
      }
      if action == .help || action == .version { return }
    }
  }

  private mutating func choose(_ choice: TPMChoice) throws(UsageError) {
    guard tpm == nil else { throw UsageError(description: "one of --tpm and --software-tpm, once: leave one out") }
    tpm = choice
  }

  private static func value(of name: String, _ rest: inout ArraySlice<String>) throws(UsageError) -> String {
    guard let value = rest.popFirst(), !value.isEmpty else {
      throw UsageError(description: "\(name) needs a value: see countersignd --help")
    }
    return value
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
      --check-config          check the configuration and say what is wrong, then exit
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
