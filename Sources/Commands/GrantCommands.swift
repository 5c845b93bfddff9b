internal import Client
internal import Platform
internal import WebAuthn

/// `countersign grant create`.
func createGrant(_ context: CommandContext) throws(CommandFailure) {
  let format = try format(context.arguments)
  let members = try members(context)
  let session = try AdminSession(context)
  let output = try context.prepareOutput()
  let grant = try session.ask { client, deadline throws(ClientError) in
    try client.createGrant(members, until: deadline)
  }
  guard case .string(let socket)? = grant["socket"], case .string(let id)? = grant["id"] else {
    throw session.strange("it tells of no socket")
  }
  if case .array(let warnings)? = grant["warnings"] {
    for case .string(let text) in warnings {
      context.console.writeError([UInt8]("countersign: warning: \(shown(text))\n".utf8))
    }
  }
  switch format {
  case .path: try output([UInt8]("\(socket)\n".utf8))
  // Neither has a character that a shell would take for another.
  case .env: try output([UInt8]("COUNTERSIGN_SOCKET=\(socket)\nCOUNTERSIGN_GRANT=\(id)\n".utf8))
  case .json: try output(JSONValue.object(grant).line)
  }
}

/// `countersign grant list`.
func listGrants(_ context: CommandContext) throws(CommandFailure) {
  let session = try AdminSession(context)
  let output = try context.prepareOutput()
  let grants = try session.pages(of: "grants") { client, after, deadline throws(ClientError) in
    try client.grants(after: after, until: deadline)
  }
  guard !context.arguments.has(.json) else {
    return try output(JSONValue.object(["grants": .array(grants)]).line)
  }
  var listing = Listing(columns: ["ID", "RULE", "UID", "ENDS", "SIGNATURES LEFT", "CLAIMS"])
  for case .object(let grant) in grants {
    let cells = ["id", "rule", "uid", "endsAt", "signaturesLeft", "claims"].map { name in
      switch grant[name] {
      case .string(let text)?: text
      case let value?: String(decoding: value.serialized(), as: UTF8.self)
      case nil: "-"
      }
    }
    listing.add(cells)
  }
  try output(listing.text)
}

/// `countersign grant revoke`.
func revokeGrant(_ context: CommandContext) throws(CommandFailure) {
  let id = context.arguments.operand ?? ""
  let session = try AdminSession(context)
  let answer = try session.ask { client, deadline throws(ClientError) in
    try client.revokeGrant(id: id, until: deadline)
  }
  guard answer["revoked"] == .boolean(true) else {
    throw context.fail(.failure, "there is none with this ID, or it has ended", "see countersign grant list")
  }
}

private enum GrantFormat: String {
  case path, env, json
}

private func format(_ arguments: Arguments) throws(CommandFailure) -> GrantFormat {
  guard let text = arguments[.format] else { return .path }
  guard let format = GrantFormat(rawValue: text) else {
    throw .usage("there is no format \(quoted(text, limit: 64))", "give path, env or json")
  }
  return format
}

/// What the daemon is asked for.
private func members(_ context: CommandContext) throws(CommandFailure) -> [String: JSONValue] {
  let arguments = context.arguments
  guard let rule = arguments[.rule] else { throw .usage("--rule is missing", "name the rule that the job may use") }
  var members: [String: JSONValue] = [
    "rule": .string(rule), "uid": .integer(Int64(try user(context))), "ttl": .integer(try seconds(arguments)),
  ]
  if let count = try number(.signatures, arguments) { members["signatures"] = .integer(count) }
  if let process = try number(.process, arguments) { members["pid"] = .integer(process) }
  members["cgroup"] = arguments[.controlGroup].map { .string($0) }
  let parties = arguments.all(.relyingPartyID)
  if !parties.isEmpty { members["rpIds"] = .array(parties.map { .string($0) }) }
  let claims = try claims(arguments)
  if !claims.isEmpty { members["claims"] = .object(claims.mapValues { .string($0) }) }
  if let path = arguments[.token] { members["token"] = .string(try token(path, context)) }
  return members
}

/// Whoever calls, unless told otherwise: behind sudo(8) the user that called it.
private func user(_ context: CommandContext) throws(CommandFailure) -> UInt32 {
  let text = context.arguments[.userID] ?? context.console.environment["SUDO_UID"]
  guard let text else { return context.console.user }
  if let number = UInt32(text), number != .max { return number }
  guard let found = try? Accounts.user(named: text) else {
    throw .usage("there is no user \(quoted(text, limit: 64))", "give --uid with a name or a number of this machine")
  }
  return found
}

private func number(_ option: Arguments.Option, _ arguments: Arguments) throws(CommandFailure) -> Int64? {
  guard let text = arguments[option] else { return nil }
  guard let number = Int32(text), number > 0 else {
    throw .usage("\(option.rawValue) \(quoted(text, limit: 32)) is no number over 0", "write it in digits")
  }
  return Int64(number)
}

/// `90s`, `15m`, `1h`, `2d`.
private func seconds(_ arguments: Arguments) throws(CommandFailure) -> Int64 {
  let text = arguments[.lifetime] ?? "1h"
  let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
  guard let unit = text.last.flatMap({ units[$0] }), let number = Int32(text.dropLast()), number > 0 else {
    throw .usage("--ttl \(quoted(text, limit: 32)) is no time", "give e.g. --ttl 90s, 15m, 1h or 1d")
  }
  return Int64(number) * unit
}

private func token(_ path: String, _ context: CommandContext) throws(CommandFailure) -> String {
  let bytes: [UInt8]
  do {
    bytes = path == "-" ? try context.console.readInput(32_768) : try context.console.readFile(path, 32_768)
  } catch {
    throw context.fail(.usage, "\(quoted(path)) cannot be read (\(error))", "check --oidc-token-file")
  }
  let text = bytes.drop { $0 <= 0x20 }.reversed().drop { $0 <= 0x20 }.reversed()
  guard let token = String(validating: text, as: UTF8.self), !token.isEmpty,
    token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
  else { throw context.fail(.usage, "\(quoted(path)) holds no token", "check --oidc-token-file") }
  return token
}
