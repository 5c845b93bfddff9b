internal import AuditLog
internal import Client
internal import Platform
internal import WebAuthn

/// `countersign audit key`.
func auditKey(_ context: CommandContext) throws(CommandFailure) {
  let output = try context.prepareOutput()
  let daemon = try AuditDaemon(context)
  try output(daemon.key.json.line)
}

/// `countersign audit verify`.
func verifyAudit(_ context: CommandContext) throws(CommandFailure) {
  let output = try context.prepareOutput()
  let key: AuditKey
  var daemon: AuditDaemon?
  if context.arguments.has(.key) {
    key = try context.read(.key) { bytes throws(JSONInputError) in try AuditKey(parsing: bytes) }
  } else {
    // Asked before anything is read: the log goes on meanwhile.
    let asked = try AuditDaemon(context)
    guard asked.expectation != nil else {
      throw context.fail(.tpmFailure, "the daemon cannot ask its TPM (\(asked.problem))", "try again, or give --key")
    }
    key = asked.key
    daemon = asked
  }
  let input = try AuditInput(context, otherwise: daemon?.path ?? AuditInput.defaultPath, isKnown: daemon != nil)
  var verifier = ChainVerifier(key: key, expectation: daemon?.expectation)
  var progress = Progress(context.console)
  try input.forEachLine(
    begin: { _ in verifier.beginFile() },
    line: { line, hasEnd in
      verifier.take(line, hasEnd: hasEnd)
      progress.lines += 1
    }, after: { _ in progress.show() })
  verifier.finish()
  progress.end()
  try output(context.arguments.has(.json) ? json(verifier, input.paths).line : text(verifier, input.paths))
  guard let first = verifier.findings.first(where: \.kind.isTampering) else {
    guard !verifier.isVouchedFor else { return }
    throw context.fail(
      .verificationFailed, "no signature of this key stands in what was given",
      "anybody can write such a log: give more files, or ask the daemon")
  }
  let count = verifier.findings.count { $0.kind.isTampering } + verifier.moreFindings
  throw context.fail(
    .verificationFailed, "\(count) finding\(count == 1 ? "" : "s"), the first \(described(first, input.paths))",
    "do not trust what the log says from there on, and see SECURITY.md for what each means")
}

/// Tells a person who waits that something goes on.
private struct Progress {
  private static let step = 100_000

  let console: Console
  var lines = 0
  private var shown = 0

  init(_ console: Console) {
    self.console = console
  }

  mutating func show() {
    guard lines >= shown + Progress.step, console.showsProgress() else { return }
    shown = lines
    console.writeError([UInt8]("\rcountersign: \(lines) lines".utf8))
  }

  func end() {
    if shown > 0 { console.writeError([UInt8]("\r".utf8)) }
  }
}

extension ChainVerifier {
  fileprivate var isVerified: Bool { !isTampered && isVouchedFor }
}

private func described(_ finding: ChainFinding, _ paths: [String]) -> String {
  let path = finding.file < paths.count ? paths[finding.file] : "?"
  return "\(path)\(finding.line > 0 ? ":\(finding.line)" : ""): \(finding.kind.rawValue): \(finding.text)"
}

private func text(_ verifier: ChainVerifier, _ paths: [String]) -> [UInt8] {
  var lines = verifier.findings.map { described($0, paths) }
  if verifier.moreFindings > 0 { lines.append("and \(verifier.moreFindings) more findings") }
  var summary = "\(verifier.records) records"
  if let first = verifier.first, let last = verifier.end { summary += ", \(first) to \(last.sequence)" }
  summary += ", \(verifier.signatures) signatures"
  if let signed = verifier.signedThrough { summary += ", signed up to record \(signed)" }
  lines.append(summary + (verifier.isVerified ? ": verified" : ": NOT VERIFIED"))
  return [UInt8]((lines.map(shown).joined(separator: "\n") + "\n").utf8)
}

private func json(_ verifier: ChainVerifier, _ paths: [String]) -> JSONValue {
  func number(_ value: UInt64?) -> JSONValue? { value.map { .integer(Int64(clamping: $0)) } }
  var members: [String: JSONValue] = [
    "verified": .boolean(verifier.isVerified), "files": .array(paths.map { .string($0) }),
    "findings": .array(
      verifier.findings.map { finding in
        .object([
          "kind": .string(finding.kind.rawValue), "tampering": .boolean(finding.kind.isTampering),
          "file": .string(finding.file < paths.count ? paths[finding.file] : ""),
          "line": .integer(Int64(finding.line)), "text": .string(finding.text),
        ])
      }),
    "moreFindings": .integer(Int64(verifier.moreFindings)),
  ]
  members["records"] = number(verifier.records)
  members["signatures"] = number(verifier.signatures)
  members["first"] = number(verifier.first)
  members["last"] = number(verifier.end?.sequence)
  members["hash"] = verifier.end.map { .string(hexadecimal($0.hash)) }
  members["signedThrough"] = number(verifier.signedThrough)
  return .object(members)
}
