import Commands
import Crypto
import Platform
import TestSupport
import Testing
import WebAuthn

@testable import AuditLog

/// `countersign audit`, on logs that nobody has signed.
@Suite struct AuditTests {
  private static let path = "/var/log/countersign/audit.jsonl"
  private let key = TestKey()

  private func log(_ bodies: [String]) -> (lines: [[UInt8]], end: ChainEnd) {
    var position = ChainPosition()
    return (bodies.map { position.link(Array($0.utf8)) }, position.end)
  }

  private func body(_ number: Int, _ more: String = "") -> String {
    "{\"time\":\"2026-11-28T08:0\(number):00.000Z\",\"outcome\":\"allowed\",\"operation\":\"authenticate\","
      + "\"connection\":\(number),\"uid\":\(1000 + number),\"gid\":5,\"unit\":\"u\(number).service\"\(more)"
  }

  private func transcript(_ bodies: [String], changing change: (inout [[UInt8]]) -> Void = { _ in }) -> Transcript {
    var (lines, end) = log(bodies)
    change(&lines)
    let answer = """
      {"path":"\(Self.path)","sequence":\(end.sequence),"hash":"\(hexadecimal(end.hash))","anchor":4,"firstAnchor":4,\
      "publicKey":"\(Base64URL.encode(key.publicKey.subjectPublicKeyInfo))"}
      """
    let transcript = Transcript(daemon: FakeAdministration(answer))
    transcript.files[Self.path] = Array(lines.joined())
    return transcript
  }

  private let bodies = 1...5

  @Test func verifiesAndSaysWhatCannotBeKnown() {
    let transcript = transcript(bodies.map { body($0) })
    #expect(transcript.run("audit verify") == .done)
    #expect(
      transcript.outputText == """
        \(Self.path):5: unsigned: records 1 to 5 are not signed yet: who can write the file can alter them
        5 records, 1 to 5, 0 signatures: verified

        """)
    #expect(transcript.connectedTo == ["/run/countersign/admin.sock"])
  }

  @Test func saysWhereAndWhat() throws {
    let transcript = transcript(bodies.map { body($0) }) { $0.remove(at: 2) }
    #expect(transcript.run("audit verify") == .verificationFailed)
    #expect(
      transcript.outputText.hasPrefix("\(Self.path):4: unsigned") || transcript.outputText.contains(":3: cut out"))
    #expect(
      transcript.errorText == """
        countersign: audit log not verified: 1 finding, the first \(Self.path):3: cut out: record 3 is missing before \
        this: do not trust what the log says from there on, and see SECURITY.md for what each means

        """)
    #expect(transcript.run("audit verify --json") == .verificationFailed)
    let report = try json(transcript.output)
    #expect(try report.required("verified", "").boolean() == false)
    let finding = try #require(
      try report.required("findings", "").elements().first { $0.value.kindOfFinding == "cut out" })
    #expect(try finding.required("line", "").integer(in: 0...9) == 3)
    #expect(try finding.required("tampering", "").boolean())
  }

  /// To ask nobody; but then a signature must vouch for the log, and nobody has signed this one.
  @Test func theKeyIsEnoughWhereThereAreSignatures() throws {
    let transcript = transcript(bodies.map { body($0) }) { $0.removeLast() }
    #expect(transcript.run("audit verify") == .verificationFailed)
    #expect(transcript.errorText.contains("truncated"))
    #expect(transcript.run("audit key --out key.json") == .done)
    let exported = try json(transcript.files["key.json"] ?? [])
    #expect(
      try exported.required("pem", "").string().hasPrefix(
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"))
    #expect(
      try exported.required("key", "").string() == hexadecimal(SHA256.hash(key.publicKey.subjectPublicKeyInfo)))
    let offline = Transcript()
    offline.files = transcript.files
    #expect(offline.run("audit verify --key key.json \(Self.path)") == .verificationFailed)
    #expect(offline.errorText.contains("no signature of this key") && offline.outputText.contains("NOT VERIFIED"))
    #expect(offline.outputText.contains("whether the end is missing only the daemon can say"))
    #expect(offline.connectedTo.isEmpty)
  }

  @Test func filesAreReadInTheOrderOfTheirRecords() {
    let (lines, _) = log(bodies.map { body($0) })
    let transcript = transcript(bodies.map { body($0) })
    transcript.files = ["a": Array(lines[3...].joined()), "b": Array(lines[..<3].joined())]
    #expect(transcript.run("audit verify a b") == .done)
    #expect(transcript.run("audit show a b --json") == .done)
    #expect(transcript.outputText == String(decoding: lines.joined(), as: UTF8.self))
  }

  @Test func showsForPeople() {
    let transcript = transcript([
      body(1, ",\"rule\":\"deploy\",\"rpId\":\"example.com\",\"reason\":\"a\\u001b[2Jb\""), body(2),
    ])
    #expect(transcript.run("audit show --rp example.com") == .done)
    #expect(
      transcript.outputText == """
        2026-11-28T08:01:00.000Z allowed authenticate rpId=example.com uid=1001 unit=u1.service connection=1 \
        rule=deploy: a?[2Jb

        """)
  }

  @Test(
    arguments: [
      ("--user 1003", [3]), ("--unit u2.service", [2]), ("--job u4.service", [4]), ("--job 5", [5]), ("--job x", [1]),
      ("--since 2026-11-28T08:04", [4, 5]), ("--since 2026-11-28T08:04:00Z", [4, 5]),
      ("--until 2026-11-28T08:02", [1, 2]),
      ("--since 2026-11-28", [1, 2, 3, 4, 5]), ("--until 2025", []), ("--outcome refused", []),
      ("--credential 00ff", [1]), ("--credential AP8", [1]), ("--operation authenticate --job 5", [5]),
    ] as [(String, [Int])])
  func showsWhatIsAskedFor(_ arguments: String, _ expected: [Int]) throws {
    let transcript = transcript(
      bodies.map { body($0, $0 == 1 ? ",\"grant\":\"x\",\"credentialId\":\"00ff\"" : "") }
    )
    #expect(transcript.run("audit show --json \(arguments)") == .done)
    let shown = try transcript.outputText.split(separator: "\n").map {
      try json(Array($0.utf8)).required("connection", "").integer(in: 0...9)
    }
    #expect(shown == expected.map { Int64($0) })
  }

  @Test(arguments: [
    "--since yesterday", "--since 2026-13-01x", "--since 5", "--user nobody-at-all", "--credential !", "--rp", "--nope",
  ])
  func refusesWhatMeansNothing(_ arguments: String) {
    #expect(transcript([body(1)]).run("audit show \(arguments)") == .usage)
  }

  /// As if nothing had been there: a typing mistake must not look like that.
  @Test(arguments: [("--outcome granted", "allowed, refused, failed or done"), ("--operation sign", "register, ")])
  func refusesWordsThatNoRecordHas(_ arguments: String, _ words: String) {
    let transcript = transcript([body(1)])
    #expect(transcript.run("audit show \(arguments)") == .usage)
    #expect(transcript.errorText.contains(" is no word of the log: give \(words)"))
  }

  @Test func takesAndListsEveryWordOfTheLog() {
    let transcript = transcript([body(1)])
    for word in AuditRecord.Operation.allCases.map(\.rawValue) {
      #expect(transcript.run("audit show --operation \(word)") == .done)
    }
    for word in AuditRecord.Outcome.allCases.map(\.rawValue) {
      #expect(transcript.run("audit show --outcome \(word)") == .done)
    }
    #expect(transcript.run("audit show --help") == .done)
    let words = transcript.outputText.split(whereSeparator: { " ,\n".contains($0) }).map(String.init)
    for word in ["grant", "decommission", "boot", "log.head", "log.break"] { #expect(words.contains(word)) }
    for word in AuditRecord.Operation.allCases.map(\.rawValue) { #expect(words.contains(word)) }
  }

  /// In a boot that is not approved.
  @Test func aRefusalComesWithItsRemedy() {
    let transcript = Transcript(daemon: FakeAdministration(#"{"error":"not approved","remedy":"approve it"}"#))
    for line in ["audit verify", "audit key"] {
      #expect(transcript.run(line) == .failure)
      #expect(transcript.errorText.hasSuffix("the daemon refused (not approved): approve it\n"))
    }
    #expect(transcript.run("credential list") == .failure)
    #expect(transcript.errorText.hasSuffix("the daemon refused (not approved): approve it\n"))
  }

  @Test func saysThatThereIsNothing() {
    let transcript = Transcript()
    #expect(transcript.run("audit show") == .failure)
    #expect(transcript.run("audit show missing") == .failure)
    #expect(transcript.errorText.contains("\"missing\" cannot be read"))
    #expect(transcript.run("audit verify") == .unreachable)
    #expect(transcript.run("audit") == .usage)
  }
}

extension JSONValue {
  fileprivate var kindOfFinding: String? {
    guard case .object(let members) = self, case .string(let kind)? = members["kind"] else { return nil }
    return kind
  }
}
