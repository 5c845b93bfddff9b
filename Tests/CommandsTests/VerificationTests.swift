import CTAP
import Commands
import Platform
import Testing
import TestSupport
import WebAuthn

/// When the user is verified, and by what.
@Suite struct VerificationTests {
  let daemon = FakeAuthenticator()

  init() {
    daemon.set(pin: "1234")
    daemon.info.options["makeCredUvNotRqd"] = true
    daemon.info.options["uv"] = false
    daemon.accounts.append(
      .init(
        id: [UInt8](repeating: 2, count: 16), relyingPartyID: "example.com", user: UserEntity(id: [2]),
        isDiscoverable: true, key: TestKey()))
  }

  func register(_ selection: String, pin: String? = nil) -> (ExitCode, Transcript) {
    let transcript = Transcript(
      daemon: daemon, input: creationOptions(",\"authenticatorSelection\":{\(selection)}"))
    return run(transcript, "register", pin)
  }

  func authenticate(_ requirement: String, pin: String? = nil) -> (ExitCode, Transcript) {
    let transcript = Transcript(
      daemon: daemon,
      input: "{\"challenge\":\"AAAA\",\"rpId\":\"example.com\",\"userVerification\":\"\(requirement)\"}")
    return run(transcript, "authenticate", pin)
  }

  private func run(_ transcript: Transcript, _ command: String, _ pin: String?) -> (ExitCode, Transcript) {
    if let pin { transcript.files["pin"] = [UInt8](pin.utf8) }
    return (transcript.run(command + (pin == nil ? "" : " --pin-file pin")), transcript)
  }

  var lastCreation: MakeCredentialRequest? {
    if case .makeCredential(let request)? = daemon.ceremonies.last { request } else { nil }
  }

  var lastAssertion: GetAssertionRequest? {
    if case .getAssertion(let request)? = daemon.ceremonies.last { request } else { nil }
  }

  @Test func asksForThePINWhereItIsNeeded() {
    for (status, transcript) in [
      register(#""userVerification":"required""#), authenticate("required"),
      register(#""userVerification":"discouraged","residentKey":"required""#),
    ] {
      #expect(status == .refusedByPolicy)
      #expect(
        transcript.errorText.hasSuffix(
          ": a verified user is asked for, and only the PIN verifies one here: give --pin-file or --pin-credential, or "
            + "have the operator add userVerification to the rule\n"))
    }
    #expect(daemon.ceremonies.isEmpty)
  }

  @Test func verifiesByPIN() {
    for selection in [
      #""userVerification":"required""#, #""userVerification":"preferred""#,
      #""userVerification":"discouraged","residentKey":"required""#,
    ] {
      #expect(register(selection, pin: "1234\n").0 == .done)
      #expect(lastCreation?.pinUvAuthProtocol == 2)
      #expect(lastCreation?.pinUvAuthParam?.count == 32)
      #expect(daemon.pin.tokenRequest?.permissions == 1)
      #expect(daemon.pin.tokenRequest?.relyingPartyID == "example.com")
    }
    #expect(authenticate("required", pin: "1234").0 == .done)
    #expect(daemon.pin.tokenRequest?.permissions == 2)
    #expect(lastAssertion?.options == RequestOptions())
    #expect(lastAssertion?.pinUvAuthParam?.count == 32)
  }

  @Test func doesWithoutWhereItMay() {
    for status in [
      register(#""userVerification":"preferred""#).0,
      register(#""userVerification":"discouraged""#, pin: "wrong").0,
    ] {
      #expect(status == .done)
      #expect(lastCreation?.pinUvAuthParam == nil)
      #expect(lastCreation?.options.uv == nil)
    }
    #expect(authenticate("preferred").0 == .done)
    #expect(authenticate("discouraged", pin: "wrong").0 == .done)
    #expect(lastAssertion?.pinUvAuthParam == nil)
    #expect(daemon.pin.retries == 8)
  }

  @Test func saysThatThePINIsWrong() {
    let (status, transcript) = authenticate("preferred", pin: "4321")
    #expect(status == .refusedByPolicy)
    #expect(
      transcript.errorText == "countersign: cannot authenticate: the PIN is wrong (CTAP2_ERR_PIN_INVALID), and 7 "
        + "attempts are left: give the right one\n")
    daemon.info.forcePINChange = true
    #expect(authenticate("required", pin: "1234").1.errorText.contains("must be changed before it is of use"))
    #expect(daemon.pin.retries == 7)
  }

  @Test func respectsAlwaysUV() {
    daemon.info.options["alwaysUv"] = true
    #expect(authenticate("discouraged").0 == .refusedByPolicy)
    #expect(register(#""userVerification":"discouraged""#).0 == .refusedByPolicy)
    #expect(authenticate("discouraged", pin: "1234").0 == .done)
    #expect(lastAssertion?.pinUvAuthParam != nil)
    daemon.info.options["alwaysUv"] = false
    daemon.info.options["makeCredUvNotRqd"] = nil
    #expect(register(#""userVerification":"discouraged""#).0 == .refusedByPolicy)
  }

  @Test func prefersTheRuleToThePIN() {
    daemon.info.options["uv"] = true
    #expect(authenticate("required", pin: "1234").0 == .done)
    #expect(lastAssertion?.options.uv == true)
    #expect(lastAssertion?.pinUvAuthParam == nil)
    #expect(daemon.pin.tokenRequest == nil)
  }

  /// The rule of this RP ID is not the one that verifies.
  @Test func fallsBackFromTheRule() {
    daemon.info.options["uv"] = true
    daemon.refusal = .puatRequired
    #expect(authenticate("required", pin: "1234").0 == .done)
    #expect(lastAssertion?.pinUvAuthParam != nil)
    #expect(lastAssertion?.options.uv == nil)
    daemon.refusal = .puatRequired
    #expect(authenticate("required").0 == .refusedByPolicy)
    daemon.refusal = .operationDenied
    #expect(authenticate("preferred").0 == .done)
    #expect(lastAssertion?.options.uv == nil)
    daemon.refusal = .operationDenied
    #expect(authenticate("required").0 == .refusedByPolicy)
  }

  @Test func refusesTwoReadersOfStandardInput() {
    let transcript = Transcript(daemon: daemon, input: creationOptions())
    for command in ["register", "rotate --replaces AQEB"] {
      #expect(transcript.run("\(command) --pin-file -") == .usage)
      #expect(transcript.errorText.contains("--pin-file is standard input, and so is something else: name files"))
    }
    transcript.files["o"] = transcript.input
    transcript.input = Array("1234".utf8)
    #expect(transcript.run("register --in o --pin-file -") == .done)
    #expect(lastCreation?.pinUvAuthParam != nil)
  }
}
