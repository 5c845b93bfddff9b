import AuditLog
import CTAPHID
import Client
import Commands
import Configuration
import Glibc
import Platform
import Policy
import TestSupport
import Testing
import WebAuthn

/// Both sockets of a daemon.
private final class ClinicDaemon: FrameExchange {
  let authenticator = FakeAuthenticator()
  var status = ""
  /// To `audit`.
  var audit = #"{"error":"not asked for here"}"#
  /// To `configurationChanges`; nil breaks the connection.
  var changes: String? = #"{"configuration":"/c","restart":[],"reload":[]}"#
  /// Instead of an answer at either socket.
  var failure: ClientError?
  /// Instead of an answer to INIT, which only the jobs' socket is asked.
  var failureOfJobs: ClientError?

  func exchange(_ request: Frame, until deadline: Deadline) throws(ClientError) -> Frame {
    if let failure { throw failure }
    if request.command == .initialize, let failureOfJobs { throw failureOfJobs }
    guard request.command == .administration else { return try authenticator.exchange(request, until: deadline) }
    let isAboutAudit = request.payload == [UInt8](#"{"request":"audit"}"#.utf8)
    if request.payload == [UInt8](#"{"request":"configurationChanges"}"#.utf8) {
      guard let changes else { throw ClientError.unreachable(SystemError(call: "connect", code: ECONNRESET)) }
      return Frame(code: request.code, payload: [UInt8](changes.utf8))
    }
    return Frame(code: request.code, payload: [UInt8]((isAboutAudit ? audit : status).utf8))
  }
}

/// A machine on which everything is as it should be; each test breaks one thing.
private final class Clinic {
  let transcript: Transcript
  let daemon = ClinicDaemon()
  var rules: [Rule]
  var configurationError: (any Error)?
  var freeBytes: UInt64 = 1 << 40
  var device: PathStatus? = PathStatus(kind: .characterDevice, permissions: 0o660, owner: 0, group: 59)
  var socket = PathStatus(kind: .socket, permissions: 0o660, owner: 0, group: 990)
  var groups: [UInt32: [UInt32]] = [1001: [1001, 990]]
  var settings = Settings()
  /// What is wrong with the end of the audit log.
  var logFlaw: String?

  init() throws {
    transcript = Transcript(daemon: daemon)
    rules = [
      Rule(
        name: "deploy", callers: [CallerPattern(user: 1001), CallerPattern(user: 0)],
        relyingParties: [try RelyingPartyPattern("deploy.example.com")], operations: [.authenticate])
    ]
    daemon.status = Clinic.healthy
    daemon.audit = """
      {"path":"/var/log/a","sequence":3,"hash":"\(String(repeating: "00", count: 32))","anchor":4,"firstAnchor":4,\
      "publicKey":"\(Base64URL.encode(TestKey().publicKey.subjectPublicKeyInfo))"}
      """
  }

  static let healthy = """
    {"auditLog":{"path":"/var/log/a","state":"ready"},"configuration":"/c","connections":0,"credentials":3,"rules":1,\
    "socket":"/s","startedAt":"2026-11-28T08:00:00.000Z","tpm":{"connection":"device:/dev/tpmrm0","firmware":"1.2.3.4",\
    "kind":"hardware","loadedKeys":0,"lockout":{"failures":0,"forgetsAfter":7200,"limit":32,"locked":false},\
    "manufacturer":"IFX","queue":0,"reconnections":0,"state":"ready","vendor":"SLB9670"},\
    "version":"\(CountersignVersion.text)"}
    """

  func run(_ line: String = "doctor") -> ExitCode {
    transcript.machine = Machine(
      settings: { path throws(ConfigurationError) in
        if let error = self.configurationError as? ConfigurationError { throw error }
        var settings = self.settings
        settings.rules = (try? RuleBook(self.rules)) ?? .empty
        return LoadedSettings(settings: settings, files: [path], notices: [])
      },
      status: { path throws(SystemError) in
        if path == "/s" { return self.socket }
        guard path == "/dev/tpmrm0", let device = self.device else { throw SystemError(call: "stat", code: ENOENT) }
        return device
      },
      freeBytes: { _ throws(SystemError) in self.freeBytes },
      userName: { user throws(SystemError) in user == 1001 ? "gitlab-runner" : nil },
      groupName: { group throws(SystemError) in [59: "tss", 990: "countersign"][group] },
      groups: { user throws(SystemError) in self.groups[user] ?? [] },
      logFlaw: { path, _, expectation throws(AuditError) in
        guard path == "/var/log/a", expectation.end.sequence == 3, expectation.anchor == 4 else { return "another log" }
        return self.logFlaw
      })
    // Its closures hold this clinic, which holds the transcript.
    defer { transcript.machine = .live() }
    return transcript.run(line)
  }

  /// The one finding that is not in order.
  func trouble(_ line: String = "doctor") throws -> (verdict: String, check: String, text: String, remedy: String) {
    _ = run(line + " --json")
    let bad = try json(transcript.output).required("checks", "").elements().filter {
      try $0.required("verdict", "").string() != "ok"
    }
    let one = try #require(bad.count == 1 ? bad.first : nil, "\(transcript.outputText)")
    return (
      try one.required("verdict", "").string(), try one.required("check", "").string(),
      try one.required("text", "").string(), try one.required("remedy", "").string()
    )
  }
}

@Suite struct DoctorTests {
  @Test(
    arguments: [
      (#"{"configuration":"/c","restart":[],"reload":[],"problem":"/c:3: bad"}"#, "/c:3: bad"),
      (#"{"error":"unknown request"}"#, "the daemon does not tell (unknown request)"),
      (#"{"configuration":"/c"}"#, "the daemon does not tell (its answer cannot be read)"),
      (nil, nil),
    ] as [(String?, String?)])
  func changesThatCannotBeLookedAt(_ answer: String?, _ why: String?) throws {
    let clinic = try Clinic()
    clinic.daemon.changes = answer
    let found = try clinic.trouble()
    #expect(found.verdict == "warning" && found.check == "settings in force" && !found.remedy.isEmpty)
    #expect(found.text.hasPrefix("they cannot be compared with the files: " + (why ?? "")))
  }

  @Test func allIsWell() throws {
    let clinic = try Clinic()
    #expect(clinic.run() == .done)
    #expect(
      clinic.transcript.outputText == """
            CHECK          FOUND
        ok  configuration  /etc/countersign/countersign.json: 1 rule
        ok  daemon         countersignd \(CountersignVersion.text), running since 2026-11-28T08:00:00.000Z
        ok  TPM            IFX SLB9670, firmware 1.2.3.4, by device:/dev/tpmrm0
        ok  TPM's lockout  not locked, 0 of 32 failures
        ok  credentials    3 enrolled
        ok  audit log      /var/log/a can be written
        ok  audit chain    its end is as the daemon wrote it, up to what its TPM has signed and behind it
        ok  jobs' socket   /s answers (FIDO_2_0)
        ok  callers        every user whom a rule names may open /s
        ok  PIN            none is set: users are verified by rules alone

        """)
    #expect(clinic.run("doctor --json") == .done)
    #expect(clinic.transcript.outputText.hasSuffix(",\"ok\":true}\n"))
  }

  @Test func aUserIsKeptOut() throws {
    let clinic = try Clinic()
    clinic.groups = [:]
    #expect(clinic.run() == .failure)
    #expect(
      clinic.transcript.errorText
        == "countersign: this machine is not fit to sign: failed: callers: do what stands below each of them\n")
    #expect(clinic.transcript.outputText.contains("failed  callers"))
    let (verdict, _, text, remedy) = try clinic.trouble()
    #expect(verdict == "failed" && text == "user gitlab-runner of rule \"deploy\" may not open /s")
    #expect(remedy.hasPrefix("usermod --append --groups countersign gitlab-runner"))
    // By its bits for everybody, the socket lets all of them in.
    clinic.socket = PathStatus(kind: .socket, permissions: 0o666, owner: 0, group: 990)
    #expect(clinic.run() == .done)
  }

  /// Root's group can do far more than open a socket.
  @Test func nobodyIsToBeOfTheGroupRoot() throws {
    let clinic = try Clinic()
    clinic.groups = [:]
    clinic.socket = PathStatus(kind: .socket, permissions: 0o660, owner: 0, group: 0)
    let remedy = try clinic.trouble().remedy
    #expect(!remedy.contains("usermod") && remedy.contains("user and group of its own"), "\(remedy)")
  }

  /// Where the group may not open it either, its members may not.
  @Test func theGroupIsKeptOutToo() throws {
    let clinic = try Clinic()
    clinic.socket = PathStatus(kind: .socket, permissions: 0o600, owner: 990, group: 990)
    let remedy = try clinic.trouble().remedy
    #expect(!remedy.contains("usermod") && remedy.contains("SocketMode=0660"), "\(remedy)")
  }

  @Test func theLogIsAnotherOne() throws {
    let clinic = try Clinic()
    clinic.logFlaw = "truncated: ends with record 2"
    let found = try clinic.trouble()
    #expect(found.verdict == "failed" && found.check == "audit chain")
    #expect(clinic.run() == .failure)
    #expect(found.text == "NOT VERIFIED: truncated: ends with record 2")
    #expect(found.remedy.contains("countersign audit verify"))
  }

  @Test func thereAreNoRules() throws {
    let clinic = try Clinic()
    clinic.rules = []
    #expect(try clinic.trouble().text.hasSuffix("has no rules, so every request is refused"))
  }

  @Test func theDaemonIsNotThere() throws {
    let clinic = try Clinic()
    clinic.daemon.failure = .unreachable(SystemError(call: "connect", code: ENOENT))
    clinic.device = nil
    #expect(clinic.run() == .failure)
    let text = clinic.transcript.outputText
    #expect(text.contains("failed  daemon         no daemon at /run/countersign/admin.sock"))
    #expect(text.contains("to mend it: systemctl enable --now countersignd.socket countersignd.service"))
    #expect(text.contains("failed  TPM device     there is no /dev/tpmrm0"))
    clinic.device = PathStatus(kind: .characterDevice, permissions: 0o600, owner: 0, group: 0)
    _ = clinic.run()
    #expect(clinic.transcript.outputText.contains("/dev/tpmrm0 is not for the group tss"))
    clinic.device = PathStatus(kind: .regular, permissions: 0o660, owner: 0, group: 59)
    _ = clinic.run()
    #expect(clinic.transcript.outputText.contains("/dev/tpmrm0 is no device"))
    clinic.device = PathStatus(kind: .characterDevice, permissions: 0o660, owner: 0, group: 59)
    _ = clinic.run()
    #expect(clinic.transcript.outputText.contains("ok      TPM device     /dev/tpmrm0 is there"))
  }

  @Test func theDaemonIsNotForEverybody() throws {
    let clinic = try Clinic()
    clinic.daemon.failure = .unreachable(SystemError(call: "connect", code: EACCES))
    #expect(clinic.run() == .failure)
    #expect(clinic.transcript.outputText.contains("to mend it: ask as root: sudo countersign doctor"))
  }

  @Test(
    arguments: [
      (#""state":"ready","vendor""#, #""state":"it is away","vendor""#, "failed", "TPM", "it is away"),
      (#""kind":"hardware""#, #""kind":"software""#, "warning", "protection", "a software TPM"),
      (#""locked":false"#, #""locked":true"#, "warning", "TPM's lockout", "the TPM is locked"),
      (#""lockout":"#, #""unlock":"#, "warning", "TPM's lockout", "the TPM has not said in time"),
      (#""path":"/var/log/a","state":"ready""#, #""path":"/a","state":"full""#, "failed", "audit log", "full: nothing"),
      (#""credentials":3,"#, "", "failed", "credentials", "the store cannot be read"),
      (
        #""connections":0"#, #""configurationProblem":"f:1: bad""#, "failed", "rules in force",
        "older than the files, which were not taken: f:1: bad"
      ),
      (CountersignVersion.text, "0.0.1", "warning", "daemon", "it is version 0.0.1"),
    ])
  func theDaemonSaysSo(part: String, instead: String, verdict: String, check: String, text: String) throws {
    let clinic = try Clinic()
    #expect(Clinic.healthy.contains(part))
    clinic.daemon.status = Clinic.healthy.replacing(part, with: instead)
    let found = try clinic.trouble()
    #expect(found.verdict == verdict && found.check == check && found.text.hasPrefix(text), "\(found)")
    #expect(!found.remedy.isEmpty)
    #expect(clinic.run() == (verdict == "failed" ? .failure : .done))
  }

  @Test func theDiskIsNearlyFull() throws {
    let clinic = try Clinic()
    clinic.freeBytes = 3 << 20
    let found = try clinic.trouble()
    #expect(found.verdict == "warning" && found.text == "/var/log/a can be written, but only 3 MiB are left there")
  }

  @Test func aStrangerIsBehindTheSocket() throws {
    let clinic = try Clinic()
    clinic.daemon.failureOfJobs = .timedOut
    let found = try clinic.trouble()
    #expect(found.verdict == "failed" && found.check == "jobs' socket")
  }
}
