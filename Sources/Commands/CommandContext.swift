internal import Client
internal import Platform
internal import WebAuthn

/// One command with its options and the world around it.
struct CommandContext {
  /// The longest input that is read.
  static let maximumInput = 1 << 20
  static let defaultAdminSocket = "/run/countersign/admin.sock"

  let arguments: Arguments
  let console: Console
  let command: Command
  /// Where the configuration that is looked at puts the operator's socket; nil where none is.
  var configuredAdminSocket: String?

  /// e.g. `cannot register`
  var what: String { command.complaint }

  /// The name that stands for standard input and standard output.
  private static let standardStream = "-"

  var socket: String { JobSocket.path(option: arguments[.socket]) { console.environment[$0] } }

  /// The jobs' socket where somebody has named it.
  var namedSocket: String? {
    JobSocket.named(option: arguments[.socket]) { console.environment[$0] }
  }

  var adminSocket: String { arguments[.adminSocket] ?? configuredAdminSocket ?? Self.defaultAdminSocket }

  func fail(_ status: ExitCode, _ why: String, _ remedy: String) -> CommandFailure {
    CommandFailure(status, what, why, remedy)
  }

  // MARK: Input

  /// The content of a file, or of standard input where none is named, decoded.
  func read<Value>(
    _ option: Arguments.Option, as decode: ([UInt8]) throws(JSONInputError) -> Value
  ) throws(CommandFailure) -> Value {
    let path = arguments[option] ?? CommandContext.standardStream
    let name = path == CommandContext.standardStream ? "standard input" : quoted(path)
    let bytes: [UInt8]
    do {
      let limit = CommandContext.maximumInput + 1
      bytes = try path == CommandContext.standardStream ? console.readInput(limit) : console.readFile(path, limit)
    } catch {
      throw fail(.usage, "\(name) cannot be read (\(error))", "check \(option.rawValue)")
    }
    guard bytes.count <= CommandContext.maximumInput else {
      throw fail(.usage, "\(name) is longer than 1 MiB", "give the JSON of WebAuthn and nothing else")
    }
    do {
      return try decode(bytes)
    } catch {
      throw fail(.usage, "\(name): \(error)", "see countersign \(command.rawValue) --help for what it takes")
    }
  }

  /// The bytes of an option's base64url value.
  func bytes(of option: Arguments.Option) throws(CommandFailure) -> [UInt8]? {
    guard let text = arguments[option] else { return nil }
    guard let bytes = Base64URL.decode(text), !bytes.isEmpty else {
      throw .usage("\(option.rawValue) is not base64url without padding", "copy it from a response of countersign")
    }
    return bytes
  }

  /// The origin given, or the one in which a page of that RP ID would normally be.
  func origin(relyingPartyID: String?) throws(CommandFailure) -> Origin {
    if let text = arguments[.origin] {
      do {
        return try Origin(text)
      } catch {
        throw .usage("--origin \(quoted(text)) \(error)", "give it as https://HOST or https://HOST:PORT")
      }
    }
    guard let relyingPartyID else {
      throw fail(.usage, "the options have no RP ID, and there is no origin to take it from", "give --origin")
    }
    if let problem = RelyingPartyID.domainProblem(relyingPartyID) {
      throw fail(.usage, "RP ID \(quoted(relyingPartyID)) \(problem)", "correct the options")
    }
    do {
      return try Origin(defaultFor: relyingPartyID)
    } catch {
      throw fail(.usage, "RP ID \(quoted(relyingPartyID)) \(error)", "correct the options")
    }
  }

  // MARK: Output

  /// Makes the output ready before the work begins, so that no work is lost for want of a place.
  func prepareOutput() throws(CommandFailure) -> (_ bytes: [UInt8]) throws(CommandFailure) -> Void {
    guard let path = arguments[.output], path != CommandContext.standardStream else {
      return { bytes throws(CommandFailure) in try write(bytes) }
    }
    let commit: ([UInt8]) throws(SystemError) -> Void
    do {
      commit = try console.openOutput(path)
    } catch {
      throw fail(.failure, "\(quoted(path)) cannot be written (\(error))", "check --out")
    }
    return { bytes throws(CommandFailure) in
      do {
        try commit(bytes)
      } catch {
        throw fail(.failure, "\(quoted(path)) cannot be written (\(error))", "check --out")
      }
    }
  }

  private func write(_ bytes: [UInt8]) throws(CommandFailure) {
    do {
      try console.writeOutput(bytes)
    } catch {
      throw fail(.failure, "standard output cannot be written (\(error))", "use --out")
    }
  }

  // MARK: The daemon

  /// The time limit of `--timeout`, of the relying party or, where neither says one, 60 s. Of a relying party 1 s to
  /// 10 minutes are taken, so that a slip in its units cannot make every request fail or wait for ever.
  func deadline(requestedMilliseconds: UInt32? = nil) throws(CommandFailure) -> Deadline {
    guard let text = arguments[.timeout] else {
      return Deadline(milliseconds: min(max(requestedMilliseconds ?? 60_000, 1000), 600_000))
    }
    guard let seconds = UInt32(text), (1...3600).contains(seconds) else {
      throw .usage("--timeout \(quoted(text)) is not a number of seconds from 1 to 3600", "give e.g. --timeout 30")
    }
    return Deadline(milliseconds: seconds * 1000)
  }

  func connect(to path: String, until deadline: Deadline) throws(CommandFailure) -> any FrameExchange {
    do {
      let connection = try console.connect(path, deadline)
      if path == adminSocket { try connection.requireDaemon(at: path) }
      return connection
    } catch {
      guard path == adminSocket else { throw CommandFailure(what, error, socket: path) }
      throw CommandFailure(what, error, socket: path, namedBy: "--admin-socket")
    }
  }

  func authenticator(until deadline: Deadline) throws(CommandFailure) -> AuthenticatorClient {
    let connection = try connect(to: socket, until: deadline)
    do {
      return try AuthenticatorClient(connection, until: deadline)
    } catch {
      throw CommandFailure(what, error, socket: socket)
    }
  }
}

extension JSONValue {
  /// One line.
  var line: [UInt8] { serialized() + [UInt8(ascii: "\n")] }
}
