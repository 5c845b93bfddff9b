internal import Client
internal import Platform
internal import WebAuthn

/// The management socket, with a new time limit for each request: a person may think in between.
struct AdminSession {
  let context: CommandContext
  private let client: AdminClient

  init(_ context: CommandContext) throws(CommandFailure) {
    self.context = context
    client = AdminClient(try context.connect(to: context.adminSocket, until: try context.deadline()))
  }

  func ask(
    _ request: (AdminClient, Deadline) throws(ClientError) -> [String: JSONValue]
  ) throws(CommandFailure) -> [String: JSONValue] {
    let deadline = try context.deadline()
    let members: [String: JSONValue]
    do {
      members = try request(client, deadline)
    } catch {
      throw CommandFailure(context.what, error, socket: context.adminSocket, namedBy: "--admin-socket")
    }
    if let refusal = context.refusal(in: members, otherwise: "mend that, or see its log") { throw refusal }
    return members
  }

  /// Asks for one page after the other.
  ///
  /// - Parameters:
  ///   - member: what a page calls its entries
  ///   - request: asks for the page after a position
  /// - Returns: the entries of all pages
  /// - Throws: ``CommandFailure`` where one cannot be had
  func pages(
    of member: String, _ request: (AdminClient, Int64?, Deadline) throws(ClientError) -> [String: JSONValue]
  ) throws(CommandFailure) -> [JSONValue] {
    var entries: [JSONValue] = []
    var position: Int64?
    repeat {
      let after = position
      let page = try ask { client, deadline throws(ClientError) in try request(client, after, deadline) }
      guard case .array(let more)? = page[member] else { throw strange("it has no \(member)") }
      entries += more
      position = nil
      if case .integer(let next)? = page["next"] {
        // A walk goes forward, so that it ends.
        guard next > after ?? .min else { throw strange("its pages go round in circles") }
        position = next
      }
    } while position != nil
    return entries
  }

  /// - Returns: the credential as it is then
  func change(_ id: [UInt8], _ change: CredentialChange) throws(CommandFailure) -> [String: JSONValue] {
    let answer = try ask { client, deadline throws(ClientError) in
      try client.changeCredential(id: id, change, until: deadline)
    }
    guard case .object(let credential)? = answer["credential"] else { throw noSuchCredential(context) }
    return credential
  }

  /// All credentials.
  ///
  /// - Throws: ``CommandFailure`` where a page cannot be had
  func credentials() throws(CommandFailure) -> [JSONValue] {
    try pages(of: "credentials") { client, after, deadline throws(ClientError) in
      try client.credentials(after: after, until: deadline)
    }
  }

  func strange(_ problem: String) -> CommandFailure {
    CommandFailure(context.what, .malformed(problem), socket: context.adminSocket, namedBy: "--admin-socket")
  }
}

extension CommandContext {
  /// What the daemon's answer refuses; nil where it does not.
  ///
  /// - Parameters:
  ///   - members: of the answer
  ///   - remedy: where the daemon names none
  /// - Returns: what to fail with
  func refusal(in members: [String: JSONValue], otherwise remedy: String) -> CommandFailure? {
    guard case .string(let problem)? = members["error"] else { return nil }
    let named: String? = if case .string(let text)? = members["remedy"] { text } else { nil }
    guard members["kind"] != .string("usage") else {
      return fail(.usage, "the daemon refused (\(problem))", named ?? "see countersign \(command.rawValue) --help")
    }
    return fail(.failure, "the daemon refused (\(problem))", named ?? remedy)
  }
}
