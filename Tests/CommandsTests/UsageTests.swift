import Commands
import Platform
import Testing

@Suite struct UsageTests {
  @Test(arguments: [
    "", " register", " authenticate", " info", " status", " verify", " verify registration", " verify assertion",
    " metrics", " bench", " rotate", " credential", " credential list", " credential show", " credential delete",
    " credential disable",
    " credential enable", " credential rename", " credential pin", " credential unpin", " pin", " pin set",
    " pin change",
    " pin status",
    " completion", " attestation", " attestation request", " attestation respond",
    " attestation install",
    " attestation enroll", " attestation metadata", " ca", " ca init", " ca issue", " ca list", " ca revoke", " ca crl",
    " pcr", " pcr key", " pcr show", " pcr allow", " pcr install",
    " doctor", " decommission", " audit", " audit show", " audit verify", " audit key",
    " policy", " policy check", " policy explain", " grant", " grant create", " grant list", " grant revoke",
  ])
  func helps(command: String) throws {
    for option in ["--help", "-h"] {
      let transcript = Transcript()
      #expect(transcript.run("\(command) \(option)") == .done)
      #expect(transcript.errorText == "")
      #expect(transcript.outputText.hasPrefix("Usage: countersign\(command.isEmpty ? " COMMAND" : command) "))
      let example = try #require(transcript.outputText.firstRange(of: "\nExample:\n  "))
      #expect(transcript.outputText[example.upperBound...].contains("countersign\(command.isEmpty ? " " : command)"))
      for line in transcript.outputText.split(separator: "\n") {
        #expect(line.count <= 84, "\(line)")
        #expect(!line.hasSuffix(" "), "\(line)")
      }
      #expect(transcript.outputText.hasSuffix("\n"))
      #expect(!transcript.outputText.hasSuffix("\n\n"))
    }
  }

  @Test(arguments: [
    ("register", ["--in", "--out", "--origin", "--pin-file", "--pin-credential", "--socket", "--timeout", "--help"]),
    (
      "authenticate",
      [
        "--in", "--out", "--origin", "--user-handle", "--credential", "--pin-file", "--pin-credential", "--socket",
        "--timeout", "--help",
      ]
    ),
    ("credential list", ["--rp-id", "--user-name", "--json", "--out", "--admin-socket", "--timeout", "--help"]),
    ("credential show", ["--json", "--out", "--admin-socket", "--timeout", "--help"]),
    ("credential delete", ["--yes", "--json", "--out", "--admin-socket", "--timeout", "--help"]),
    ("pin set", ["--pin-file", "--pin-credential", "--admin-socket", "--socket", "--timeout", "--help"]),
    (
      "pin change",
      [
        "--pin-file", "--pin-credential", "--new-pin-file", "--new-pin-credential", "--admin-socket", "--socket",
        "--timeout", "--help",
      ]
    ),
    ("pin status", ["--json", "--out", "--admin-socket", "--socket", "--timeout", "--help"]),
    ("info", ["--json", "--out", "--socket", "--timeout", "--help"]),
    ("status", ["--json", "--out", "--admin-socket", "--timeout", "--help"]),
    ("completion", ["--program", "--out", "--help"]),
    (
      "grant create",
      [
        "--rule", "--uid", "--ttl", "--signatures", "--rp-id", "--claim", "--oidc-token-file", "--pid", "--cgroup",
        "--format", "--out", "--admin-socket", "--timeout", "--help",
      ]
    ),
    ("grant list", ["--json", "--out", "--admin-socket", "--timeout", "--help"]),
    ("grant revoke", ["--admin-socket", "--timeout", "--help"]),
    ("policy check", ["--json", "--out", "--help"]),
    (
      "policy explain",
      [
        "--pid", "--user", "--group", "--unit", "--slice", "--container", "--executable", "--executable-sha256",
        "--caller-socket", "--rule", "--claim", "--rp-id", "--operation", "--user-handle", "--user-name", "--config",
        "--json", "--out", "--admin-socket", "--timeout", "--help",
      ]
    ),
    ("attestation request", ["--out", "--admin-socket", "--timeout", "--help"]),
    ("attestation respond", ["--in", "--out", "--admin-socket", "--timeout", "--help"]),
    ("attestation install", ["--in", "--admin-socket", "--timeout", "--help"]),
    ("attestation enroll", ["--ca", "--passphrase-file", "--days", "--admin-socket", "--timeout", "--help"]),
    ("attestation metadata", ["--root", "--out", "--socket", "--admin-socket", "--timeout", "--help"]),
    ("pcr key", ["--key", "--passphrase-file", "--out", "--help"]),
    ("pcr show", ["--json", "--out", "--admin-socket", "--timeout", "--help"]),
    (
      "pcr allow",
      ["--key", "--passphrase-file", "--in", "--pcr", "--out", "--admin-socket", "--timeout", "--help"]
    ),
    ("pcr install", ["--in", "--out", "--admin-socket", "--timeout", "--help"]),
    ("ca init", ["--organization", "--country", "--ca", "--passphrase-file", "--help"]),
    ("ca issue", ["--in", "--out", "--days", "--ca", "--passphrase-file", "--help"]),
    ("ca list", ["--ca", "--json", "--out", "--help"]),
    ("ca revoke", ["--ca", "--passphrase-file", "--help"]),
    ("ca crl", ["--ca", "--passphrase-file", "--help"]),
    (
      "verify registration",
      [
        "--options", "--response", "--origin", "--top-origin", "--root", "--crl", "--format", "--aaguid", "--vendor",
        "--device-bound", "--json", "--out", "--help",
      ]
    ),
    (
      "verify assertion",
      [
        "--options", "--credential", "--response", "--origin", "--top-origin", "--device-bound", "--json",
        "--require-claims", "--out", "--help",
      ]
    ),
  ])
  func helpNamesExactlyTheOptions(command: String, options: [String]) {
    let transcript = Transcript()
    _ = transcript.run(command + " --help")
    let named = transcript.outputText.split(separator: "\n").compactMap { line -> String? in
      guard line.hasPrefix("  --") else { return nil }
      return line.split(separator: " ").first.map(String.init)
    }
    #expect(named == options)
  }

  @Test func explainsNothingWithoutAnRPID() {
    let transcript = Transcript()
    for line in ["policy explain --user root", "policy explain --operation register --config c"] {
      #expect(transcript.run(line) == .usage)
      #expect(transcript.errorText.hasPrefix("countersign: wrong usage: --rp-id is missing: name the RP ID"))
    }
    #expect(transcript.run("policy explain --user root --operation manage") == .unreachable)
  }

  @Test func aMissingConfigurationIsNoRiddle() {
    let transcript = Transcript()
    #expect(transcript.run("policy check /nowhere/c.json") == .usage)
    #expect(
      transcript.errorText == """
        countersign: the policy is not good: /nowhere/c.json: there is no such file: check its name, or name another: \
        countersign policy check FILE

        """)
  }

  /// Whoever makes it has most likely meant something else.
  @Test(arguments: ["path", "env", "json"])
  func warnsOfAGrantThatSignsNothing(_ format: String) {
    let answer = #"{"id":"00","socket":"/run/jobs/00/ctap.sock","warnings":["rule \"a\" is not for uid 5"]}"#
    let transcript = Transcript(daemon: FakeAdministration(answer))
    #expect(transcript.run("grant create --rule a --uid 5 --format \(format)") == .done)
    #expect(transcript.errorText == "countersign: warning: rule \"a\" is not for uid 5\n")
    #expect(transcript.outputText.contains("warnings") == (format == "json"))
  }

  @Test func handsItsWordsOver() {
    let transcript = Transcript()
    #expect(transcript.run("bench --quick") == .failure)
    #expect(transcript.errorText.hasPrefix("countersign: cannot measure: the program that measures cannot be run"))
    var console = transcript.console
    let handed = Lock<[String]>([])
    console.handOver = { program, arguments in
      handed.withLock { $0 = [program] + arguments }
      return SystemError(call: "execv", code: 13)
    }
    #expect(CommandLineProgram.run(["bench", "--parts", "load", "--anything"], console) == .failure)
    #expect(handed.withLock { $0 } == ["countersign-bench", "countersign bench", "--parts", "load", "--anything"])
    handed.withLock { $0 = [] }
    #expect(CommandLineProgram.run(["bench", "--json", "--help"], console) == .done)
    #expect(handed.withLock { $0 }.isEmpty)
  }

  @Test func printsItsVersion() {
    let transcript = Transcript()
    #expect(transcript.run("--version") == .done)
    #expect(transcript.outputText == "countersign \(CountersignVersion.text)\n")
  }

  @Test(arguments: [
    ("", "no command is given: see countersign --help"),
    ("frobnicate", "unknown command \"frobnicate\": see countersign --help"),
    ("register --frobnicate", "unknown option --frobnicate of register: see countersign register --help"),
    ("register --json", "unknown option --json of register: see countersign register --help"),
    ("register --in", "--in lacks its value: see countersign register --help"),
    ("register --in a --in b", "--in is there twice: see countersign register --help"),
    ("register file.json", "unexpected argument \"file.json\": see countersign register --help"),
    ("pin", "pin lacks its kind: give set, change or status"),
    ("pin sett", "pin does not know \"sett\": give set, change or status"),
    ("credential list 7", "unexpected argument \"7\": see countersign credential list --help"),
    ("credential show", "credential show lacks its credential ID: see countersign credential show --help"),
    ("credential show a b", "unexpected argument \"b\": see countersign credential show --help"),
    ("info --json=yes", "--json takes no value: see countersign info --help"),
    ("info --timeout 0", "--timeout \"0\" is not a number of seconds from 1 to 3600: give e.g. --timeout 30"),
    ("info --timeout x", "--timeout \"x\" is not a number of seconds from 1 to 3600: give e.g. --timeout 30"),
    ("info --timeout 3601", "--timeout \"3601\" is not a number of seconds from 1 to 3600: give e.g. --timeout 30"),
  ])
  func explainsWrongUsage(line: String, complaint: String) {
    let transcript = Transcript()
    #expect(transcript.run(line) == .usage)
    #expect(transcript.errorText == "countersign: wrong usage: \(complaint)\n")
    #expect(transcript.outputText == "")
  }

  @Test(arguments: [
    ("http://example.com", "is not secure: only https, or http on localhost, may use WebAuthn"),
    ("https://example.com/login", "has more than a scheme, a host and a port"),
    ("https://192.0.2.1", "has a host that is an IP address, and not a domain"),
    ("example.com", "is not https://HOST or http://localhost"),
  ])
  func explainsOrigins(origin: String, problem: String) {
    let transcript = Transcript(daemon: FakeAuthenticator(), input: creationOptions())
    #expect(transcript.run("register --origin \(origin)") == .usage)
    #expect(
      transcript.errorText == "countersign: wrong usage: --origin \"\(origin)\" \(problem): "
        + "give it as https://HOST or https://HOST:PORT\n")
  }

  @Test(arguments: [
    ("", "standard input: expected a JSON text, found nothing"),
    ("{\"publicKey\":{\"rp\":{}}}", "standard input: publicKey.rp.name: expected a string, found nothing"),
    ("[]", "standard input: expected an object, found an array"),
  ])
  func namesTheKeyPath(input: String, complaint: String) {
    let transcript = Transcript(daemon: FakeAuthenticator(), input: input)
    #expect(transcript.run("register") == .usage)
    #expect(
      transcript.errorText == "countersign: cannot register: \(complaint): "
        + "see countersign register --help for what it takes\n")
  }

  @Test func namesThePlaceOfBadJSON() {
    let transcript = Transcript(input: "{\n \"rp\": {]}")
    #expect(transcript.run("register") == .usage)
    #expect(
      transcript.errorText
        == "countersign: cannot register: standard input: expected valid JSON, found an unexpected ] "
        + "at line 2, column 9: see countersign register --help for what it takes\n")
  }

  @Test func boundsItsInput() {
    let transcript = Transcript(daemon: FakeAuthenticator())
    transcript.input = [UInt8](repeating: 0x20, count: (1 << 20) + 1)
    #expect(transcript.run("register") == .usage)
    #expect(transcript.errorText.contains("standard input is longer than 1 MiB"))
    let options = Array(creationOptions().utf8)
    transcript.input = options + [UInt8](repeating: 0x20, count: (1 << 20) - options.count)
    #expect(transcript.run("register") == .done)
  }

  @Test func keepsStrangersTextOnOneLine() {
    let transcript = Transcript(input: creationOptions(rp: #"{"id":"a\n\u001b[2J\u202e","name":"R"}"#))
    #expect(transcript.run("register") == .usage)
    #expect(transcript.errorText.dropLast().unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value < 0x7f })
  }

  @Test func makesTheOutputReadyBeforeTheKey() {
    let daemon = FakeAuthenticator()
    let transcript = Transcript(daemon: daemon, input: creationOptions())
    transcript.readOnly = ["/ro/out.json"]
    #expect(transcript.run("register --out /ro/out.json") == .failure)
    #expect(
      transcript.errorText == "countersign: cannot register: \"/ro/out.json\" cannot be written (open /ro/out.json: "
        + "Permission denied): check --out\n")
    #expect(daemon.requests.isEmpty)
  }
}
