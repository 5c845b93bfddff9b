internal import Attestation
internal import Client
internal import Crypto
internal import Platform
internal import Secrets
internal import WebAuthn

/// `countersign pcr key`.
func makeApprovalKey(_ context: CommandContext) throws(CommandFailure) {
  let path = try approvalKeyPath(context)
  guard (try? context.console.readFile(path, 1)) == nil else {
    throw .usage("\(quoted(path)) is there already", "name another file with --key")
  }
  let output = try context.prepareOutput()
  let passphrase = try context.passphrase("the approval key", isNew: true)
  let publicKey: [UInt8]
  do {
    let key = try IssuerKey()
    try context.console.replaceFile(path, try key.encrypted(by: passphrase.bytes), 0o600)
    publicKey = key.publicKey
  } catch {
    throw context.fail(.failure, "\(error)", "check --key")
  }
  try output(Array(PEM.encode(publicKey, label: PEM.publicKey).utf8))
}

/// `countersign pcr show`.
func showBootState(_ context: CommandContext) throws(CommandFailure) {
  let session = try AdminSession(context)
  let output = try context.prepareOutput()
  let state = try bootState(session)
  try output(context.arguments.has(.json) ? state.line : words(about: state))
}

/// `countersign pcr allow`: at the operator's machine from a file to a file, or where the runner itself has the key.
func approveBoot(_ context: CommandContext) throws(CommandFailure) {
  if context.arguments[.input] != nil {
    let file = try context.enrolmentFile()
    let output = try context.prepareOutput()
    return try output(try approval(of: file, context).json.line)
  }
  let session = try AdminSession(context)
  let output = try context.prepareOutput()
  let approval = try approval(of: try bootState(session), context)
  try output(words(about: try install(approval.json, session)))
}

/// `countersign pcr install`.
func installApproval(_ context: CommandContext) throws(CommandFailure) {
  let file = try context.enrolmentFile()
  let session = try AdminSession(context)
  let output = try context.prepareOutput()
  try output(words(about: try install(file, session)))
}

private func bootState(_ session: AdminSession) throws(CommandFailure) -> JSONValue {
  try file(in: session.ask { client, deadline throws(ClientError) in try client.bootState(until: deadline) }, session)
}

private func install(_ approval: JSONValue, _ session: AdminSession) throws(CommandFailure) -> JSONValue {
  try file(
    in: session.ask { client, deadline throws(ClientError) in try client.approveBoot(approval, until: deadline) },
    session)
}

/// Of the state in a file, with the values of `--pcr` in place of its own.
private func approval(of file: JSONValue, _ context: CommandContext) throws(CommandFailure) -> BootApproval {
  let path = try approvalKeyPath(context)
  var state: BootState
  do {
    state = try BootState(file)
  } catch {
    throw context.refuse(error, see: "countersign pcr --help")
  }
  for text in context.arguments.all(.pcr) { try predict(text, &state) }
  let pem = try context.content(of: path, .key)
  let passphrase = try context.passphrase("the approval key", isNew: false)
  do {
    return try BootApproval(approving: state, by: try IssuerKey(pem: pem, passphrase: passphrase.bytes))
  } catch is CryptoError {
    throw context.fail(.refusedByPolicy, "the passphrase does not open \(quoted(path))", "give the right one")
  } catch {
    throw context.refuse(error, see: "countersign pcr --help")
  }
}

/// `--pcr 4=…`: the PCR as it will be.
private func predict(_ text: String, _ state: inout BootState) throws(CommandFailure) {
  let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
  guard parts.count == 2, let value = [UInt8](hexadecimal: parts[1].lowercased()), value.count == SHA256.count else {
    throw .usage("--pcr \(quoted(text, limit: 100)) is no PCR", "give e.g. --pcr 4=HEX, with 64 hexadecimal digits")
  }
  guard let place = state.policy.pcrs.firstIndex(where: { String($0) == parts[0] }) else {
    throw .usage(
      "--pcr \(quoted(text, limit: 100)) is a PCR that the runner is not bound to", "see countersign pcr show")
  }
  state.values[place] = value
}

private func approvalKeyPath(_ context: CommandContext) throws(CommandFailure) -> String {
  guard let path = context.arguments[.key] else {
    throw .usage("--key is missing", "name the file of the approval key; countersign pcr key makes one")
  }
  return path
}

/// For people.
private func words(about state: JSONValue) -> [UInt8] {
  guard case .object(let members) = state else { return state.line }
  var table = Table()
  let isBound = members["bound"] == .boolean(true)
  table.add("bound", isBound ? "yes" : "no")
  if isBound {
    table.add("this boot", members["approved"] == .boolean(true) ? "approved" : "not approved")
    if case .integer(let count)? = members["approvals"] { table.add("approved boots", String(count)) }
    if case .array(let numbers)? = members["differences"], !numbers.isEmpty {
      let list = numbers.map { String(decoding: $0.serialized(), as: UTF8.self) }
      table.add("differs in PCR", list.joined(separator: ", "))
    }
  }
  if case .string(let bank)? = members["bank"] { table.add("bank", bank) }
  if case .string(let digest)? = members["policy"] { table.add("policy", digest) }
  if case .object(let values)? = members["pcrs"] {
    for (name, value) in values.sorted(by: { Int($0.key) ?? 0 < Int($1.key) ?? 0 }) {
      if case .string(let text) = value { table.add("PCR \(name)", text) }
    }
  }
  return table.text
}
