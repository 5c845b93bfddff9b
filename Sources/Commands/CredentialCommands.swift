internal import Client
internal import Platform
internal import WebAuthn

/// `countersign credential list`.
func listCredentials(_ context: CommandContext) throws(CommandFailure) {
  let session = try AdminSession(context)
  let output = try context.prepareOutput()
  let credentials = try session.credentials().filter { isWanted($0, context.arguments) }
  try output(
    context.arguments.has(.json)
      ? JSONValue.object(["credentials": .array(credentials)]).line : listing(of: credentials).text)
}

/// `countersign credential show`.
func showCredential(_ context: CommandContext) throws(CommandFailure) {
  let session = try AdminSession(context)
  let output = try context.prepareOutput()
  let (_, credential) = try find(session)
  try output(context.arguments.has(.json) ? JSONValue.object(credential).line : table(of: credential).text)
}

/// `countersign credential delete`.
func deleteCredential(_ context: CommandContext) throws(CommandFailure) {
  let mustAsk = !context.arguments.has(.yes)
  guard !mustAsk || context.console.isInteractive() else {
    throw context.fail(.usage, "nobody is there to confirm it", "give --yes")
  }
  let session = try AdminSession(context)
  let output = try context.prepareOutput()
  let (id, found) = try find(session)
  if mustAsk { try confirm(found, context) }
  let answer = try session.ask { client, deadline throws(ClientError) in
    try client.deleteCredential(id: id, until: deadline)
  }
  guard case .object(let credential)? = answer["credential"] else { throw noSuchCredential(context) }
  guard !context.arguments.has(.json) else { return try output(JSONValue.object(credential).line) }
  var table = Table()
  table.add("deleted", "\(Base64URL.encode(id)) of \(relyingParty(of: credential))")
  try output(table.text)
}

/// `countersign credential disable`.
func disableCredential(_ context: CommandContext) throws(CommandFailure) {
  try change(.disable, "disabled", context)
}

/// `countersign credential enable`.
func enableCredential(_ context: CommandContext) throws(CommandFailure) {
  try change(.enable, "enabled", context)
}

/// `countersign credential pin`.
func pinCredential(_ context: CommandContext) throws(CommandFailure) {
  try change(.pin, "pinned", context)
}

/// `countersign credential unpin`.
func unpinCredential(_ context: CommandContext) throws(CommandFailure) {
  try change(.unpin, "unpinned", context)
}

/// `countersign credential rename`.
func renameCredential(_ context: CommandContext) throws(CommandFailure) {
  guard let label = context.arguments[.label] else {
    throw .usage("credential rename lacks --label", "see countersign credential rename --help")
  }
  guard label.utf8.count <= 64, label.unicodeScalars.allSatisfy(isPrintable) else {
    throw .usage("the label has more than 64 bytes or what cannot be printed", "give a shorter, plain one")
  }
  try change(.rename(label), "renamed", context)
}

private func change(
  _ change: CredentialChange, _ done: String, _ context: CommandContext
) throws(CommandFailure) {
  let session = try AdminSession(context)
  let output = try context.prepareOutput()
  let (id, _) = try find(session)
  let credential = try session.change(id, change)
  guard !context.arguments.has(.json) else { return try output(JSONValue.object(credential).line) }
  var table = Table()
  table.add(done, "\(Base64URL.encode(id)) of \(relyingParty(of: credential))")
  try output(table.text)
}

// MARK: Parts

/// The credential whose ID was given, in base64url or, as the audit log has it, in hexadecimal. A text may be both: then
/// the one that exists is meant.
private func find(_ session: AdminSession) throws(CommandFailure) -> (id: [UInt8], credential: [String: JSONValue]) {
  try find(session.context.arguments.operand ?? "", session)
}

/// The same, of any text.
func find(
  _ text: String, _ session: AdminSession
) throws(CommandFailure) -> (id: [UInt8], credential: [String: JSONValue]) {
  let ids = [bytes(hexadecimal: text), Base64URL.decode(text)].compactMap(\.self).filter { !$0.isEmpty }
  guard !ids.isEmpty else {
    throw .usage(
      "\(quoted(text)) is no credential ID in base64url or hexadecimal", "copy it from countersign credential list")
  }
  for id in ids {
    let answer = try session.ask { client, deadline throws(ClientError) in
      try client.credential(id: id, until: deadline)
    }
    if case .object(let credential)? = answer["credential"] { return (id, credential) }
  }
  throw noSuchCredential(session.context)
}

func noSuchCredential(_ context: CommandContext) -> CommandFailure {
  context.fail(.noSuchCredential, "there is none with this ID", "see countersign credential list")
}

private func isWanted(_ credential: JSONValue, _ arguments: Arguments) -> Bool {
  guard case .object(let members) = credential else { return true }
  let filters = [("rpId", arguments[.relyingPartyID]), ("userName", arguments[.userName])]
  return filters.allSatisfy { name, wanted in
    guard let wanted else { return true }
    return members[name] == .string(wanted)
  }
}

private func confirm(_ credential: [String: JSONValue], _ context: CommandContext) throws(CommandFailure) {
  let question = "Nobody can sign with it any more. Delete it? [y/N] "
  let answer: String
  do {
    answer = try context.console.ask(String(decoding: table(of: credential).text, as: UTF8.self) + question)
  } catch {
    throw context.fail(.failure, "the terminal cannot be used (\(error))", "give --yes")
  }
  guard ["y", "yes"].contains(answer.lowercased()) else {
    throw context.fail(.failure, "you did not say yes", "answer y, or give --yes")
  }
}

// MARK: For people

/// What matters most, first; everything else follows by name.
private let order = [
  "id", "label", "state", "pinned", "rpId", "rpIdHash", "rpName", "userName", "userDisplayName", "userHandle",
  "discoverable",
  "createdAt",
  "algorithm", "publicKey", "credProtect", "extensions", "signatureCounter", "bootState",
]

private func table(of credential: [String: JSONValue]) -> Table {
  var table = Table()
  func rank(_ name: String) -> Int { order.firstIndex(of: name) ?? order.count }
  for (name, value) in credential.sorted(by: { (rank($0.key), $0.key) < (rank($1.key), $1.key) }) {
    table.add(name, text(of: value))
  }
  return table
}

private func text(of value: JSONValue) -> String {
  switch value {
  case .string(let text): text
  case .boolean(let boolean): boolean ? "yes" : "no"
  case .null: "none"
  case .array(let elements): elements.isEmpty ? "none" : elements.map(text).joined(separator: ", ")
  case .integer, .number, .object: String(decoding: value.serialized(), as: UTF8.self)
  }
}

private func listing(of credentials: [JSONValue]) -> Listing {
  var listing = Listing(columns: ["ID", "STATE", "PINNED", "RP ID", "USER NAME", "LABEL", "DISCOVERABLE", "CREATED"])
  for case .object(let credential) in credentials {
    let cells = ["userName", "label", "discoverable", "createdAt"].map { credential[$0].map(text) ?? "-" }
    listing.add(
      ["id", "state", "pinned"].map { credential[$0].map(text) ?? "-" } + [relyingParty(of: credential)] + cells)
  }
  return listing
}

/// The RP ID; where only its hash is known, the beginning of that.
func relyingParty(of credential: [String: JSONValue]) -> String {
  if let id = credential["rpId"] { return text(of: id) }
  guard let hash = credential["rpIdHash"] else { return "-" }
  return "sha256:" + text(of: hash).prefix(16) + "..."
}
