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

  func strange(_ problem: String) -> CommandFailure {
    CommandFailure(context.what, .malformed(problem), socket: context.adminSocket, namedBy: "--admin-socket")
  }
}
