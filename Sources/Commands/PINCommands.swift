internal import CTAP
internal import Client
internal import Platform
internal import WebAuthn

/// `countersign pin set`.
func setPIN(_ context: CommandContext) throws(CommandFailure) {
  let given = try context.pin(from: .pin)
  let session = try PINSession(context)
  if session.hasPIN, try session.retries().attemptsLeft > 0 { throw alreadySet(context) }
  let pin = try askTwice(context, .pin, unless: given)
  try session.check(pin, .pin)
  let version = try session.version()
  do throws(AuthenticatorClient.Failure) {
    try session.client().setPIN(pin, version)
  } catch {
    // The authenticator's word for "change it instead".
    if error == .status(.pinAuthInvalid) { throw alreadySet(context) }
    throw session.failure(error)
  }
  try context.prepareOutput()([UInt8]("the PIN is set\n".utf8))
}

/// `countersign pin change`.
func changePIN(_ context: CommandContext) throws(CommandFailure) {
  let givenCurrent = try context.pin(from: .current)
  let givenNew = try context.pin(from: .new)
  let session = try PINSession(context)
  guard session.hasPIN else { throw session.failure(.status(.pinNotSet)) }
  let retries = try session.retries()
  guard retries.attemptsLeft > 0 else { throw session.failure(.status(.pinBlocked)) }
  guard !retries.isBlockedUntilRestart else { throw session.failure(.status(.pinAuthBlocked)) }
  let current = try context.askPIN("Current PIN: ", .current, unless: givenCurrent)
  let new = try askTwice(context, .new, unless: givenNew)
  try session.check(new, .new)
  let version = try session.version()
  do throws(AuthenticatorClient.Failure) {
    try session.client().changePIN(from: current, to: new, version)
  } catch {
    throw session.failure(error)
  }
  try context.prepareOutput()([UInt8]("the PIN is changed\n".utf8))
}

/// `countersign pin status`.
func pinStatus(_ context: CommandContext) throws(CommandFailure) {
  let session = try PINSession(context)
  let output = try context.prepareOutput()
  let retries = session.hasPIN ? try session.retries() : nil
  let info = session.info
  guard !context.arguments.has(.json) else {
    var members: [String: JSONValue] = [
      "alwaysUv": .boolean(info.options["alwaysUv"] ?? false), "set": .boolean(session.hasPIN),
      "mustBeChanged": .boolean(info.forcePINChange ?? false), "minimumLength": .integer(Int64(session.minimum)),
      "maximumLength": .integer(Int64(session.maximum)),
    ]
    members["attemptsLeft"] = retries.map { .integer(Int64($0.attemptsLeft)) }
    members["blockedUntilRestart"] = retries.map { .boolean($0.isBlockedUntilRestart) }
    return try output(JSONValue.object(members).line)
  }
  func words(_ value: Bool) -> String { value ? "yes" : "no" }
  var table = Table()
  table.add("set", words(session.hasPIN))
  if let retries {
    // The operator's way out is `pin set`; a reset would end every credential.
    table.add(
      "attempts left",
      retries.attemptsLeft > 0 ? "\(retries.attemptsLeft)" : "none: blocked until the operator sets one")
    table.add("blocked until restart", words(retries.isBlockedUntilRestart))
    table.add("must be changed", words(info.forcePINChange ?? false))
  }
  table.add("minimum length", "\(session.minimum) code points")
  table.add("maximum length", "\(session.maximum) code points, \(PIN.maximumCount) bytes")
  table.add("always asked for (alwaysUv)", words(info.options["alwaysUv"] ?? false))
  try output(table.text)
}

private func alreadySet(_ context: CommandContext) -> CommandFailure {
  context.fail(.failure, "a PIN is set already", "use countersign pin change")
}

/// What is typed unseen is typed twice.
private func askTwice(
  _ context: CommandContext, _ source: CommandContext.PINSource, unless given: PIN?
) throws(CommandFailure) -> PIN {
  if let given { return given }
  let first = try context.askPIN("New PIN: ", source)
  let second = try context.askPIN("New PIN again: ", source)
  guard first.isEqual(to: second) else {
    throw context.fail(.usage, "the two PINs are not the same", "try again")
  }
  return first
}

/// The authenticator whose PIN it is: at the operator's socket, or at the jobs' one where that is named.
private struct PINSession {
  /// What authenticators ask for that say nothing (CTAP 2.1 section 6.4).
  private static let usualMinimum = 4

  let context: CommandContext
  let info: AuthenticatorInfo
  private let connection: any FrameExchange

  init(_ context: CommandContext) throws(CommandFailure) {
    guard !context.arguments.has(.socket) || !context.arguments.has(.adminSocket) else {
      throw .usage("--socket and --admin-socket are both there", "give one of them")
    }
    self.context = context
    let deadline = try context.deadline()
    connection = try context.connect(to: PINSession.path(context), until: deadline)
    do {
      info = try PINSession.client(connection, context).getInfo()
    } catch {
      throw PINSession.failure(error, context)
    }
    guard info.options["clientPin"] != nil else {
      throw context.fail(.failure, "this authenticator has no PINs", "check the version of countersignd")
    }
  }

  private static func path(_ context: CommandContext) -> String {
    context.arguments.has(.socket) ? context.socket : context.adminSocket
  }

  var hasPIN: Bool { info.options["clientPin"] == true }
  var minimum: Int { info.minPINLength ?? PINSession.usualMinimum }
  var maximum: Int { info.maxPINLength ?? PIN.maximumCount }

  /// With a new time limit: a person may have thought in between.
  func client() throws(AuthenticatorClient.Failure) -> AuthenticatorClient {
    try PINSession.client(connection, context)
  }

  private static func client(
    _ connection: any FrameExchange, _ context: CommandContext
  ) throws(AuthenticatorClient.Failure) -> AuthenticatorClient {
    // The time limit was understood before.
    let deadline = (try? context.deadline()) ?? Deadline(milliseconds: 60_000)
    guard context.arguments.has(.socket) else { return AuthenticatorClient(ofOperator: connection, until: deadline) }
    do {
      return try AuthenticatorClient(connection, until: deadline)
    } catch {
      throw .client(error)
    }
  }

  func retries() throws(CommandFailure) -> (attemptsLeft: Int, isBlockedUntilRestart: Bool) {
    do {
      return try client().pinRetries()
    } catch {
      throw failure(error)
    }
  }

  func version() throws(CommandFailure) -> PINUVAuthProtocol {
    do {
      return try client().pinProtocol(of: info)
    } catch {
      throw failure(error)
    }
  }

  /// Refuses a new PIN that the authenticator would refuse, before anything is sent.
  func check(_ pin: PIN, _ source: CommandContext.PINSource) throws(CommandFailure) {
    guard pin.codePoints >= minimum else {
      throw context.fail(
        .usage, "the \(source.name) has \(pin.codePoints) code points, and \(minimum) are asked for",
        "choose a longer one")
    }
    guard pin.codePoints <= maximum else {
      throw context.fail(
        .usage, "the \(source.name) has \(pin.codePoints) code points, and \(maximum) are allowed",
        "choose a shorter one")
    }
  }

  func failure(_ error: AuthenticatorClient.Failure) -> CommandFailure { PINSession.failure(error, context) }

  private static func failure(_ error: AuthenticatorClient.Failure, _ context: CommandContext) -> CommandFailure {
    let path = path(context)
    switch error {
    case .status(let status): return CommandFailure(context.what, status, relyingPartyID: "all RP IDs (manage on *)")
    case .wrongPIN(let attemptsLeft): return CommandFailure(context.what, wrongPIN: attemptsLeft)
    case .client(let error):
      return context.arguments.has(.socket)
        ? CommandFailure(context.what, error, socket: path)
        : CommandFailure(context.what, error, socket: path, namedBy: "--admin-socket")
    }
  }
}
