internal import AuditLog
internal import Platform
internal import WebAuthn

/// `countersign audit show`.
func showAudit(_ context: CommandContext) throws(CommandFailure) {
  let filter = try AuditFilter(context)
  let input = try AuditInput(context, otherwise: AuditInput.defaultPath)
  let isForPrograms = context.arguments.has(.json)
  var output: [UInt8] = []
  try input.forEachLine(
    begin: { _ in },
    line: { line, _ in
      guard case .object(let record)? = try? JSONValue.parse(line), filter.takes(record) else { return }
      output += isForPrograms ? line : [UInt8](shown(described(record)).utf8)
      output.append(UInt8(ascii: "\n"))
    },
    after: { _ throws(CommandFailure) in
      guard !output.isEmpty else { return }
      do {
        try context.console.writeOutput(output)
      } catch {
        throw context.fail(.failure, "standard output cannot be written (\(error))", "check it")
      }
      output = []
    })
}

/// Which records are wanted: all that was asked for must hold.
private struct AuditFilter {
  private var texts: [(name: String, value: String)] = []
  private var user: Int64?
  private var credentials: [String] = []
  private var job: String?
  private var since: String?
  private var until: String?

  init(_ context: CommandContext) throws(CommandFailure) {
    let arguments = context.arguments
    let named: KeyValuePairs<Arguments.Option, String> = [
      .relyingParty: "rpId", .unit: "unit", .rule: "rule", .outcome: "outcome", .operation: "operation",
    ]
    for (option, name) in named { if let value = arguments[option] { texts.append((name, value)) } }
    try AuditFilter.check(arguments, .outcome, AuditRecord.Outcome.allCases.map(\.rawValue))
    try AuditFilter.check(arguments, .operation, AuditRecord.Operation.allCases.map(\.rawValue))
    if let name = arguments[.user] {
      guard let number = Int64(name) ?? (try? Accounts.user(named: name)).flatMap({ $0 }).map({ Int64($0) }) else {
        throw .usage("--user \(quoted(name)) is no user here", "give a name or a number")
      }
      user = number
    }
    if let text = arguments[.credential] {
      credentials = [bytes(hexadecimal: text), Base64URL.decode(text)].compactMap { $0.map { hexadecimal($0) } }
      guard !credentials.isEmpty else {
        throw .usage("--credential \(quoted(text)) is neither base64url nor hexadecimal", "copy it from the list")
      }
    }
    job = arguments[.job]
    since = try arguments[.since].map { text throws(CommandFailure) in try AuditFilter.time(text, .since) }
    until = try arguments[.until].map { text throws(CommandFailure) in try AuditFilter.time(text, .until) }
  }

  /// A word that no record has would find nothing, as if nothing had been there.
  private static func check(
    _ arguments: Arguments, _ option: Arguments.Option, _ words: [String]
  ) throws(CommandFailure) {
    guard let word = arguments[option], !words.contains(word) else { return }
    throw .usage("\(option.rawValue) \(quoted(word, limit: 64)) is no word of the log", "give \(Help.choice(words))")
  }

  /// The beginning of a time as it stands in the log, which sorts as text: from RFC 3339 in UTC or its beginning, or
  /// from how long ago that is.
  private static func time(_ text: String, _ option: Arguments.Option) throws(CommandFailure) -> String {
    let units: KeyValuePairs<Character, Int64> = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    if let unit = units.first(where: { $0.key == text.last })?.value, let count = Int64(text.dropLast()),
      (0...100_000_000).contains(count)
    {
      return Timestamp.text(unixMilliseconds: SystemTime().unixMilliseconds - count * unit * 1000)
    }
    let pattern = Array("dddd-dd-ddTdd:dd:dd.ddd")
    let given = Array(text.hasSuffix("Z") ? text.dropLast() : text[...])
    let fits = zip(pattern, given).allSatisfy { $0 == "d" ? $1.isASCII && $1.isNumber : $0 == $1 }
    guard fits, given.count >= 4, given.count <= pattern.count else {
      throw .usage(
        "\(option.rawValue) \(quoted(text)) is no time", "give e.g. 2h, 7d, 2026-11-28 or 2026-11-28T08:30:00Z")
    }
    return String(given)
  }

  func takes(_ record: [String: JSONValue]) -> Bool {
    for (name, value) in texts { guard record[name] == .string(value) else { return false } }
    if let user, record["uid"] != .integer(user) { return false }
    if !credentials.isEmpty {
      guard case .string(let id)? = record["credentialId"], credentials.contains(id) else { return false }
    }
    if let job {
      let isNamed = record["grant"] == .string(job) || record["unit"] == .string(job)
      guard isNamed || Int64(job).map({ record["connection"] == .integer($0) }) ?? false else { return false }
    }
    guard since != nil || until != nil else { return true }
    guard case .string(let time)? = record["time"] else { return false }
    if let since, time < since { return false }
    if let until, String(time.prefix(until.count)) > until { return false }
    return true
  }
}

/// One line for people; the names are those of the file.
private func described(_ record: [String: JSONValue]) -> String {
  func text(_ name: String) -> String? {
    switch record[name] {
    case .string(let text)?: text
    case .integer(let number)?: String(number)
    case .some(let value): String(decoding: value.serialized(), as: UTF8.self)
    case nil: nil
    }
  }
  var line = [text("time") ?? "-", text("outcome") ?? "-", text("operation") ?? "-"].joined(separator: " ")
  if let detail = text("detail") { line += " " + detail }
  let names = [
    "rpId", "uid", "unit", "grant", "claims", "forUid", "forPid", "forCgroup", "endsAt",
    "connection", "rule", "credentialId", "signCount", "latency",
    "suppressed", "head", "anchor", "result",
  ]
  for name in names { if let value = text(name) { line += " \(name)=\(value)" } }
  if let reason = text("reason") { line += ": " + reason }
  return line
}
