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
    if case .string(let problem) = members["error"] {
      throw context.fail(.failure, "the daemon refused (\(problem))", "see its log")
    }
    return members
  }

  /// - Returns: the credential as it is then
  func change(_ id: [UInt8], _ change: CredentialChange) throws(CommandFailure) -> [String: JSONValue] {
    let answer = try ask { client, deadline throws(ClientError) in
      try client.changeCredential(id: id, change, until: deadline)
    }
    guard case .object(let credential)? = answer["credential"] else { throw noSuchCredential(context) }
    return credential
  }

  /// All credentials, page by page, as far as they are wanted.
  func credentials(where isWanted: (JSONValue) -> Bool) throws(CommandFailure) -> [JSONValue] {
    var credentials: [JSONValue] = []
    var position: Int64?
    repeat {
      let after = position
      let page = try ask { client, deadline throws(ClientError) in
        try client.credentials(after: after, until: deadline)
      }
      guard case .array(let entries)? = page["credentials"] else { throw strange("it has no credentials") }
      credentials += entries.filter(isWanted)
      position = nil
      if case .integer(let next)? = page["next"] {
        // A walk goes forward, so that it ends.
        guard next > after ?? .min else { throw strange("its pages go round in circles") }
        position = next
      }
    } while position != nil
    return credentials
  }

  func strange(_ problem: String) -> CommandFailure {
    CommandFailure(context.what, .malformed(problem), socket: context.adminSocket, namedBy: "--admin-socket")
  }
}
