internal import Client
internal import Platform
internal import WebAuthn

/// `countersign decommission`.
func decommission(_ context: CommandContext) throws(CommandFailure) {
  let isDryRun = context.arguments.has(.dryRun)
  let mustAsk = !isDryRun && !context.arguments.has(.yes)
  guard !mustAsk || context.console.isInteractive() else {
    throw context.fail(.usage, "nobody is there to confirm it", "give --yes, or --dry-run to see what it would do")
  }
  let session = try AdminSession(context)
  let output = try context.prepareOutput()
  var answer = try session.decommission(dryRun: true)
  // Shown before anything goes.
  let isInStore = ["in service", "leaving"].contains(answer.stage)
  let credentials = isInStore ? try session.credentials { _ in true } : []
  if !isDryRun, answer.stage != "decommissioned" {
    if mustAsk { try confirm(credentials, context) }
    answer = try finish(context)
  }
  try output(
    context.arguments.has(.json) ? answer.json(credentials).line : answer.text(credentials, isDryRun: isDryRun))
}

/// What the daemon says of the decommissioning.
private struct Decommissioning {
  var members: [String: JSONValue]

  var stage: String { text("stage") }

  func text(_ name: String) -> String {
    guard case .string(let text)? = members[name] else { return "" }
    return text
  }

  func json(_ credentials: [JSONValue]) -> JSONValue {
    .object(members.merging(["credentials": .array(credentials)]) { $1 })
  }

  func text(_ credentials: [JSONValue], isDryRun: Bool) -> [UInt8] {
    var table = Table()
    table.add("stage", stage)
    table.add(isDryRun ? "list (would be kept in)" : "list", text("list"))
    table.add(isDryRun ? "audit key (would be kept in)" : "audit key", text("key"))
    return (credentials.isEmpty ? [] : listing(toRemove: credentials).text + [0x0A]) + table.text
  }
}

extension AdminSession {
  fileprivate func decommission(dryRun: Bool) throws(CommandFailure) -> Decommissioning {
    let members = try ask { client, deadline throws(ClientError) in
      try client.decommission(dryRun: dryRun, until: deadline)
    }
    guard case .string? = members["stage"] else { throw strange("it does not say how far it is") }
    return Decommissioning(members: members)
  }
}

/// The daemon that removes what is left in the TPM takes the place of the one that removed the keys: whoever comes in
/// between is still answered by that one, or not at all.
private func finish(_ context: CommandContext) throws(CommandFailure) -> Decommissioning {
  let deadline = try context.deadline()
  context.console.writeError([UInt8]("countersign: ending the service, removing the keys\n".utf8))
  while true {
    let client = AdminClient(try context.connect(to: context.adminSocket, until: deadline))
    let members: [String: JSONValue]
    do throws(ClientError) {
      members = try client.decommission(dryRun: false, until: deadline)
    } catch {
      if error == .disconnected, deadline.remainingMilliseconds > 0 { continue }
      throw context.fail(
        .failure, "what was begun could not be followed to its end (\(error))", "run countersign decommission again")
    }
    if case .string(let problem) = members["error"] {
      throw context.fail(.failure, "the daemon was interrupted (\(problem))", "mend it, and run it again")
    }
    let answer = Decommissioning(members: members)
    if answer.stage == "decommissioned" { return answer }
    guard deadline.remainingMilliseconds > 0 else {
      throw context.fail(.failure, "it is not done in time", "run countersign decommission again")
    }
  }
}

private func confirm(_ credentials: [JSONValue], _ context: CommandContext) throws(CommandFailure) {
  let word = "decommission"
  let question =
    "\(credentials.count) credential\(credentials.count == 1 ? "" : "s") will be gone, and this runner signs nothing any "
    + "more. Nothing of it can be undone. Type \(word) to go on: "
  let answer: String
  do {
    answer = try context.console.ask(String(decoding: listing(toRemove: credentials).text, as: UTF8.self) + question)
  } catch {
    throw context.fail(.failure, "the terminal cannot be used (\(error))", "give --yes")
  }
  guard answer == word else { throw context.fail(.failure, "you did not type \(word)", "type it, or give --yes") }
}

private func listing(toRemove credentials: [JSONValue]) -> Listing {
  var listing = Listing(columns: ["RP ID", "USER NAME", "USER HANDLE", "ID", "CREATED"])
  for case .object(let credential) in credentials {
    func cell(_ name: String) -> String {
      guard case .string(let text)? = credential[name], !text.isEmpty else { return "-" }
      return text
    }
    listing.add([relyingParty(of: credential), cell("userName"), cell("userHandle"), cell("id"), cell("createdAt")])
  }
  return listing
}
