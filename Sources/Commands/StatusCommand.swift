internal import Client
internal import Platform
internal import WebAuthn

/// `countersign status`.
func status(_ context: CommandContext) throws(CommandFailure) {
  let deadline = try context.deadline()
  let output = try context.prepareOutput()
  let connection = try context.connect(to: context.adminSocket, until: deadline)
  let members: [String: JSONValue]
  do {
    members = try AdminClient(connection).status(until: deadline)
  } catch {
    throw CommandFailure(context.what, error, socket: context.adminSocket, namedBy: "--admin-socket")
  }
  if case .string(let problem) = members["error"] {
    throw context.fail(
      .failure, "the daemon refused (\(problem))", "ask as root, the daemon's own user or a member of adminGroup")
  }
  guard !context.arguments.has(.json) else { return try output(JSONValue.object(members).line) }
  var table = Table()
  add(members, to: &table, prefix: "")
  try output(table.text)
}

/// What matters most, first; everything else follows by name.
private let order = [
  "version", "decommissioned", "startedAt", "configuration", "socket", "tpm", "credentials", "connections", "rules",
  "auditLog", "state",
  "kind", "connection", "manufacturer", "firmware", "path",
]

private func add(_ members: [String: JSONValue], to table: inout Table, prefix: String) {
  func rank(_ name: String) -> Int { order.firstIndex(of: name) ?? order.count }
  for (name, value) in members.sorted(by: { (rank($0.key), $0.key) < (rank($1.key), $1.key) }) {
    switch value {
    case .object(let inner): add(inner, to: &table, prefix: prefix + name + ".")
    // What is not known.
    case .string(""): continue
    case .string("yes") where name == "decommissioned":
      table.add(
        prefix + name,
        "yes: to begin anew, stop countersignd and its socket, move the state folder and the audit log away, and start them"
      )
    case .string(let text): table.add(prefix + name, text)
    case .boolean(let boolean): table.add(prefix + name, boolean ? "yes" : "no")
    case .null: table.add(prefix + name, "none")
    case .integer, .number, .array: table.add(prefix + name, String(decoding: value.serialized(), as: UTF8.self))
    }
  }
}
