import CTAP
import Client
import Commands
import Crypto
import Platform
import Testing
import WebAuthn

@Suite struct PINTextTests {
  /// Precomposed and decomposed forms, which are the same PIN: Latin, Greek with three marks, Hangul, Vietnamese, an
  /// order of marks, a character that NFC takes apart.
  static let pairs = [
    ("caf\u{e9}", "cafe\u{301}"), ("\u{1f82}123", "\u{3b1}\u{313}\u{300}\u{345}123"),
    ("\u{ac01}\u{d55c}\u{ae00}!", "\u{1100}\u{1161}\u{11a8}\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}!"),
    ("\u{1ed9}\u{1ed9}\u{1ed9}\u{1ed9}", "o\u{302}\u{323}o\u{323}\u{302}\u{1ecd}\u{302}\u{f4}\u{323}"),
    ("\u{915}\u{93c}ab", "\u{958}ab"),
  ]

  static func pin(_ text: [UInt8]) throws -> PIN { try PIN(try secret(text)) }

  @Test(arguments: pairs)
  func isNormalized(composed: String, decomposed: String) throws {
    #expect(Array(composed.utf8) != Array(decomposed.utf8))
    let one = try Self.pin(Array(composed.utf8))
    #expect(one.isEqual(to: try Self.pin(Array(decomposed.utf8))))
    #expect(one.codePoints == composed.unicodeScalars.count)
  }

  @Test func keepsApartWhatIsNotTheSame() throws {
    #expect(try !Self.pin(Array("1234".utf8)).isEqual(to: try Self.pin(Array("12345".utf8))))
    // Compatibility is not equivalence: NFC, not NFKC.
    #expect(try !Self.pin(Array("\u{fb01}12".utf8)).isEqual(to: try Self.pin(Array("fi12".utf8))))
  }

  @Test func isBounded() throws {
    #expect(try Self.pin([UInt8](repeating: 0x31, count: 63)).codePoints == 63)
    #expect(throws: PIN.Problem.tooLong) { try Self.pin([UInt8](repeating: 0x31, count: 64)) }
    #expect(throws: PIN.Problem.tooLong) { try Self.pin([UInt8](repeating: 0x31, count: 1000)) }
    // 63 bytes composed, three times as many decomposed.
    let korean = String(repeating: "\u{1100}\u{1161}\u{11a8}", count: 21)
    #expect(try Self.pin(Array(korean.utf8)).codePoints == 21)
    // Short as typed, too long as it counts: U+0958 becomes six bytes.
    #expect(throws: PIN.Problem.tooLong) { try Self.pin(Array(String(repeating: "\u{958}", count: 11).utf8)) }
  }

  @Test(
    arguments: [
      [0xff], [0x31, 0xc3], [0xed, 0xa0, 0x80], [0xc0, 0xb1], [0x31, 0, 0x32], [0],
      [UInt8]("e".utf8) + (0..<40).flatMap { _ in [UInt8]("\u{301}".utf8) },
    ] as [[UInt8]])
  func refusesWhatIsNoText(bytes: [UInt8]) {
    #expect(throws: PIN.Problem.notText) { try Self.pin(bytes) }
  }
}

@Suite struct PINCommandTests {
  let daemon = FakeAuthenticator()

  init() { daemon.offerPINs() }

  func transcript(_ files: [String: String] = [:]) -> Transcript {
    let transcript = Transcript(daemon: daemon)
    transcript.files = files.mapValues { [UInt8]($0.utf8) }
    return transcript
  }

  static func hash(_ text: String) -> [UInt8] { Array(SHA256.hash([UInt8](text.utf8)).prefix(16)) }

  @Test(arguments: [[2, 1], [1]] as [[UInt64]])
  func setsAPIN(protocols: [UInt64]) {
    daemon.info.pinUvAuthProtocols = protocols
    let transcript = transcript(["pin": "cafe\u{301}\n"])
    #expect(transcript.run("pin set --pin-file pin") == .done)
    #expect(transcript.errorText == "")
    #expect(transcript.outputText == "the PIN is set\n")
    #expect(transcript.connectedTo == ["/run/countersign/admin.sock"])
    #expect(daemon.pin.padded == Array("caf\u{e9}".utf8) + [UInt8](repeating: 0, count: 59))
    let versions = daemon.requests.compactMap { request -> UInt64? in
      guard case .clientPIN(let request) = request else { return nil }
      return request.pinUvAuthProtocol
    }
    #expect(versions == [protocols[0], protocols[0]])
  }

  @Test func asksAPerson() {
    let transcript = transcript()
    transcript.person = ["12345", "12346"]
    #expect(transcript.run("pin set") == .usage)
    #expect(transcript.errorText == "countersign: cannot set the PIN: the two PINs are not the same: try again\n")
    transcript.person = ["12345", "12345"]
    #expect(transcript.run("pin set") == .done)
    #expect(daemon.pin.hash == Self.hash("12345"))
    transcript.person = ["12345", "abcdef", "abcdef"]
    #expect(transcript.run("pin change") == .done)
    #expect(transcript.outputText == "the PIN is changed\n")
    #expect(daemon.pin.hash == Self.hash("abcdef"))
    #expect(transcript.prompts.suffix(3) == ["Current PIN: ", "New PIN: ", "New PIN again: "])
    transcript.person = [""]
    #expect(transcript.run("pin change") == .usage)
    #expect(transcript.errorText.contains("the current PIN is empty: type another one"))
  }

  @Test func readsStandardInputAndCredentials() {
    let transcript = transcript(["/run/credentials/x/old": "1234", "/run/credentials/x/new": "5678"])
    transcript.input = Array("1234\n".utf8)
    #expect(transcript.run("pin set --pin-file -") == .done)
    let line = "pin change --pin-credential old --new-pin-credential new"
    #expect(transcript.run(line) == .usage)
    #expect(transcript.errorText.contains("the service manager has passed no credentials"))
    transcript.environment["CREDENTIALS_DIRECTORY"] = "/run/credentials/x"
    transcript.exposed = ["/run/credentials/x/old"]
    #expect(transcript.run(line) == .done)
    #expect(transcript.errorText == "")
    #expect(daemon.pin.hash == Self.hash("5678"))
    #expect(transcript.run("pin change --pin-credential ../old --new-pin-credential new") == .usage)
    #expect(transcript.errorText.contains("\"../old\" is no name of a credential"))
    #expect(transcript.run("pin change --pin-file - --new-pin-file -") == .usage)
    #expect(transcript.run("pin change --pin-file a --pin-credential b") == .usage)
  }

  @Test func warnsOfFilesThatOthersRead() {
    let transcript = transcript(["pin": "1234"])
    transcript.exposed = ["pin"]
    #expect(transcript.run("pin set --pin-file pin") == .done)
    #expect(
      transcript.errorText == "countersign: warning: \"pin\" can be read by others than its owner: forbid it: chmod "
        + "go-r pin\n")
  }

  @Test(arguments: [
    ("123", "the PIN has 3 code points, and 4 are asked for: choose a longer one"),
    ("cafe\u{301}", nil), ("\u{e9}\u{e9}\u{e9}", "the PIN has 3 code points, and 4 are asked for: choose a longer one"),
    (String(repeating: "1", count: 64), "the PIN is longer than 63 bytes: check --pin-file"),
    ("", "the PIN is empty: check --pin-file"), ("\n", "the PIN is empty: check --pin-file"),
  ])
  func refusesBadPINsItself(text: String, complaint: String?) {
    let transcript = transcript(["pin": text])
    #expect(transcript.run("pin set --pin-file pin") == (complaint == nil ? .done : .usage))
    #expect(transcript.errorText == (complaint.map { "countersign: cannot set the PIN: \($0)\n" } ?? ""))
    if complaint != nil { #expect(daemon.ceremonies.isEmpty) }
  }

  @Test func saysThatOneIsSet() {
    daemon.set(pin: "1234")
    let transcript = transcript(["pin": "1234"])
    #expect(transcript.run("pin set --pin-file pin") == .failure)
    #expect(
      transcript.errorText
        == "countersign: cannot set the PIN: a PIN is set already: use countersign pin change\n")
    daemon.pin.hash = nil
    daemon.offerPINs()
    #expect(transcript.run("pin change --pin-file pin --new-pin-file pin") == .refusedByPolicy)
    #expect(transcript.errorText.contains("no PIN is set (CTAP2_ERR_PIN_NOT_SET): set one with countersign pin set"))
  }

  @Test func countsAttempts() {
    daemon.set(pin: "1234")
    daemon.pin.retries = 3
    let transcript = transcript(["pin": "9999"])
    let line = "pin change --pin-file pin --new-pin-file pin"
    let expected = [
      "the PIN is wrong (CTAP2_ERR_PIN_INVALID), and 2 attempts are left: give the right one",
      "the PIN is wrong (CTAP2_ERR_PIN_INVALID), and 1 attempt is left: give the right one: it is the last",
      "the PIN is blocked: it was wrong too often, or an old backup is in use (CTAP2_ERR_PIN_BLOCKED): "
        + "have the operator set a new one with countersign pin set, which loses no credential",
      "the PIN is blocked: it was wrong too often, or an old backup is in use (CTAP2_ERR_PIN_BLOCKED): "
        + "have the operator set a new one with countersign pin set, which loses no credential",
    ]
    for words in expected {
      #expect(transcript.run(line) == .refusedByPolicy)
      #expect(transcript.errorText == "countersign: cannot change the PIN: \(words)\n")
    }
    daemon.pin.retries = 5
    daemon.pin.isBlockedUntilRestart = true
    #expect(transcript.run(line) == .refusedByPolicy)
    #expect(
      transcript.errorText.contains(
        "the PIN was wrong too often since the daemon started (CTAP2_ERR_PIN_AUTH_BLOCKED): make sure of the right one, "
          + "and restart countersignd"))
    #expect(daemon.pin.retries == 5)
  }

  @Test func showsTheStatus() {
    let transcript = transcript()
    #expect(transcript.run("pin status") == .done)
    #expect(
      transcript.outputText == """
        set                          no
        minimum length               4 code points
        maximum length               63 code points, 63 bytes
        always asked for (alwaysUv)  no

        """)
    daemon.set(pin: "1234")
    daemon.pin.retries = 2
    daemon.pin.isBlockedUntilRestart = true
    daemon.info.forcePINChange = true
    daemon.info.options["alwaysUv"] = true
    #expect(transcript.run("pin status --socket /s") == .done)
    #expect(transcript.connectedTo.last == "/s")
    #expect(
      transcript.outputText == """
        set                          yes
        attempts left                2
        blocked until restart        yes
        must be changed              yes
        minimum length               4 code points
        maximum length               63 code points, 63 bytes
        always asked for (alwaysUv)  yes

        """)
    daemon.pin.retries = 0
    #expect(transcript.run("pin status") == .done)
    #expect(transcript.outputText.contains("attempts left                none: blocked until the operator sets one\n"))
    daemon.pin.retries = 2
    #expect(transcript.run("pin status --json") == .done)
    #expect(
      transcript.outputText == #"{"alwaysUv":true,"attemptsLeft":2,"blockedUntilRestart":true,"maximumLength":63,"#
        + #""minimumLength":4,"mustBeChanged":true,"set":true}"# + "\n")
    #expect(transcript.run("pin status --socket /s --admin-socket /a") == .usage)
    daemon.info = FakeAuthenticator.defaultInfo
    #expect(transcript.run("pin status") == .failure)
    #expect(transcript.errorText.contains("this authenticator has no PINs"))
  }
}
