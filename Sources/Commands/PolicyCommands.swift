internal import Client
internal import Configuration
internal import Crypto
internal import Platform
internal import Policy
internal import WebAuthn

/// `countersign policy check`.
func checkPolicy(_ context: CommandContext) throws(CommandFailure) {
  let output = try context.prepareOutput()
  let loaded: LoadedSettings
  do {
    loaded = try ConfigurationLoader(reviewing: ReviewedAccounts()).load(
      context.arguments.operand ?? ConfigurationLoader.defaultPath,
      otherwise: "check its name, or name another: countersign policy check FILE")
  } catch {
    if context.arguments.has(.json) { try output(JSONValue.object(["error": .object(members(error))]).line) }
    throw context.complaint(error)
  }
  let rules = loaded.settings.rules.rules.map(\.name)
  if context.arguments.has(.json) {
    let lists = ["files": loaded.files, "notices": loaded.notices, "rules": rules]
    return try output(JSONValue.object(lists.mapValues { .array($0.map { .string($0) }) }).line)
  }
  for notice in loaded.notices { context.console.writeError([UInt8]("countersign: \(notice)\n".utf8)) }
  let files = loaded.files.joined(separator: ", ")
  try output([UInt8]("\(files): good, \(rules.count) rule\(rules.count == 1 ? "" : "s")\n".utf8))
}

/// `countersign policy explain`.
func explainPolicy(_ context: CommandContext) throws(CommandFailure) {
  let question = try question(context.arguments)
  let output = try context.prepareOutput()
  let answer =
    if let path = context.arguments[.configuration] {
      try explain(question, by: path, context)
    } else {
      try ask(question, context)
    }
  try output(context.arguments.has(.json) ? JSONValue.object(answer).line : text(of: answer))
  guard answer["allowed"] == .boolean(true) else {
    let reason = if case .string(let text)? = answer["reason"] { text } else { "no rule allows it" }
    let remedy = grantCommand(answer).map { "change the rules, or have a grant made: \($0)" }
    throw CommandFailure(.refusedByPolicy, "refused", reason, remedy ?? "change the rules, or ask for something else")
  }
}

/// What makes the grant that would open a rule, for a shell; nil where none would. The user is named, since the grant
/// would otherwise be of whoever gives the command.
private func grantCommand(_ answer: [String: JSONValue]) -> String? {
  guard case .object(let opened)? = answer["openedByGrant"], case .string(let rule)? = opened["rule"] else {
    return nil
  }
  let user = if case .integer(let number)? = opened["uid"] { "\(number)" } else { "…" }
  var command = "countersign grant create --uid \(user) --rule \(shellWord(rule))"
  if case .array(let claims)? = opened["claims"] {
    for case .string(let claim) in claims { command += " --claim \(shellWord(claim))=…" }
  }
  return command
}

/// `text` as one word of bash, zsh or ksh, whole, on one line of ASCII whatever it holds.
private func shellWord(_ text: String) -> String {
  let isPlain = text.utf8.allSatisfy { byte in
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
    // - . / 0 to 9 :
    case 0x2d...0x3a, UInt8(ascii: "_"), UInt8(ascii: "@"): true
    default: false
    }
  }
  if isPlain, !text.isEmpty { return text }
  let isPrintable = text.utf8.allSatisfy { (0x20..<0x7f).contains($0) && $0 != UInt8(ascii: "'") }
  if isPrintable { return "'\(text)'" }
  let escaped = text.utf8.map { byte in
    switch byte {
    case UInt8(ascii: "'"), UInt8(ascii: "\\"): "\\\(Character(Unicode.Scalar(byte)))"
    case 0x20..<0x7f: String(Character(Unicode.Scalar(byte)))
    // Octal: a hexadecimal number would take in the digits behind it in ksh.
    default: "\\" + (byte < 0o100 ? "0" : "") + (byte < 0o10 ? "0" : "") + String(byte, radix: 8)
    }
  }
  return "$'\(escaped.joined())'"
}

private func question(_ arguments: Arguments) throws(CommandFailure) -> PolicyQuestion {
  let options: KeyValuePairs<Arguments.Option, String> = [
    .process: "pid", .user: "user", .unit: "unit", .slice: "slice", .container: "container",
    .executable: "executable", .executableDigest: "executableSHA256", .callerSocket: "socket", .rule: "grantRule",
    .relyingPartyID: "rpId", .operation: "operation", .userHandle: "userHandle", .userName: "userName",
  ]
  var texts: [String: String] = [:]
  for (option, name) in options { texts[name] = arguments[option] }
  let invented: [Arguments.Option] = [.user, .group, .unit, .slice, .container, .executable, .executableDigest]
  if arguments.has(.process), let other = invented.first(where: { arguments.has($0) }) {
    throw .usage("--pid and \(other.rawValue) are both there", "ask about a living process, or invent one")
  }
  if arguments[.relyingPartyID] == nil,
    let word = [Operation.register, .authenticate].map(\.rawValue).first(where: {
      $0 == arguments[.operation] ?? Operation.authenticate.rawValue
    })
  {
    throw .usage(
      "--rp-id is missing", "name the RP ID that is to be asked about: \(word) is always for one of them")
  }
  return PolicyQuestion(texts: texts, groups: arguments.all(.group), claims: try claims(arguments))
}

/// The values of `--claim`.
func claims(_ arguments: Arguments) throws(CommandFailure) -> [String: String] {
  var claims: [String: String] = [:]
  for text in arguments.all(.claim) {
    guard let sign = text.firstIndex(of: "="), sign > text.startIndex else {
      throw .usage("--claim \(quoted(text, limit: 64)) is no NAME=VALUE", "give e.g. --claim ref=refs/heads/main")
    }
    guard claims.updateValue(String(text[text.index(after: sign)...]), forKey: String(text[..<sign])) == nil else {
      throw .usage("claim \(quoted(String(text[..<sign]), limit: 64)) is there twice", "leave one out")
    }
  }
  return claims
}

private func explain(
  _ question: PolicyQuestion, by path: String, _ context: CommandContext
) throws(CommandFailure) -> [String: JSONValue] {
  let accounts = ReviewedAccounts()
  let rules: RuleBook
  do {
    rules = try ConfigurationLoader(reviewing: accounts).load(path, otherwise: "check --config").settings.rules
  } catch {
    throw context.complaint(error)
  }
  do {
    let inquiry = try question.inquiry(accounts: accounts.directory) { SHA256.digest(ofFile: $0.raw, limit: 512 << 20) }
    var explanation = rules.explain(inquiry, at: Moment(SystemTime()))
    explanation.warnings += accounts.numbered + question.strangers(to: accounts.directory)
    return explanation.json
  } catch {
    throw context.fail(.usage, "\(error)", "see countersign policy explain --help")
  }
}

private func ask(
  _ question: PolicyQuestion, _ context: CommandContext
) throws(CommandFailure) -> [String: JSONValue] {
  let session = try AdminSession(context)
  return try session.ask { client, deadline throws(ClientError) in
    try client.explain(question.json, until: deadline)
  }
}

private func text(of answer: [String: JSONValue]) -> [UInt8] {
  var table = Table()
  table.add("decision", answer["allowed"] == .boolean(true) ? "allowed" : "refused")
  if case .string(let rule)? = answer["rule"] { table.add("rule", rule) }
  if case .string(let reason)? = answer["reason"] { table.add("because", reason) }
  if let command = grantCommand(answer) { table.add("by a grant", "possible: \(command)") }
  if case .array(let warnings)? = answer["warnings"] {
    for case .string(let warning) in warnings { table.add("warning", warning) }
  }
  if case .array(let rules)? = answer["rules"] {
    for case .object(let rule) in rules {
      guard case .string(let name)? = rule["name"], case .string(let why)? = rule["why"] else { continue }
      table.add("  " + quoted(name, limit: 64), why)
    }
  }
  return table.text
}

extension CommandContext {
  fileprivate func complaint(_ error: ConfigurationError) -> CommandFailure {
    fail(.usage, [error.place, error.keyPath, error.problem].compactMap(\.self).joined(separator: ": "), error.advice)
  }
}

private func members(_ error: ConfigurationError) -> [String: JSONValue] {
  var members: [String: JSONValue] = [
    "file": .string(error.file), "problem": .string(error.problem), "advice": .string(error.advice),
  ]
  members["keyPath"] = error.keyPath.map { .string($0) }
  members["line"] = error.position.map { .integer(Int64($0.line)) }
  members["column"] = error.position.map { .integer(Int64($0.column)) }
  return members
}
