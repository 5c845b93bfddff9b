import CTAPHID
import Client
import Commands
import Platform
import Testing
import WebAuthn

/// A management socket that answers with one text.
final class FakeAdministration: FrameExchange {
  let answer: String
  private(set) var requests: [Frame] = []

  init(_ answer: String) {
    self.answer = answer
  }

  func exchange(_ request: Frame, until deadline: Deadline) throws(ClientError) -> Frame {
    requests.append(request)
    return Frame(code: request.code, payload: [UInt8](answer.utf8))
  }
}

@Suite struct InfoTests {
  @Test func showsATable() {
    let transcript = Transcript(daemon: FakeAuthenticator())
    #expect(transcript.run("info") == .done)
    #expect(
      transcript.outputText == """
        versions                       FIDO_2_0
        AAGUID                         a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf
        options                        plat=yes, rk=yes, up=yes
        transports                     internal
        algorithms                     ES256, RS256
        longest message                7609 bytes
        credentials in a list          8
        longest credential ID          16 bytes
        discoverable credentials left  1000
        firmware                       0.1.0

        """)
  }

  @Test func printsJSON() {
    let transcript = Transcript(daemon: FakeAuthenticator())
    #expect(transcript.run("info --json") == .done)
    #expect(
      transcript.outputText == """
        {"aaguid":"a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf","algorithms":[{"alg":-7,"type":"public-key"},\
        {"alg":-257,"type":"public-key"}],"firmwareVersion":256,"maxCredentialCountInList":8,\
        "maxCredentialIdLength":16,"maxMessageSize":7609,"options":{"plat":true,"rk":true,"up":true},\
        "remainingDiscoverableCredentials":1000,"transports":["internal"],"versions":["FIDO_2_0"]}

        """)
  }

  @Test func saysThatNobodyIsThere() {
    let transcript = Transcript()
    #expect(transcript.run("info") == .unreachable)
    #expect(
      transcript.errorText == "countersign: cannot get the authenticator's information: no daemon at "
        + "/run/countersign/ctap.sock (connect: No such file or directory): start countersignd, or name its socket with "
        + "--socket or COUNTERSIGN_SOCKET\n")
  }

  @Test func saysThatAGrantHasEnded() {
    let transcript = Transcript()
    #expect(transcript.run("info --socket /run/countersign/jobs/4f/ctap.sock") == .unreachable)
    let words = "the grant of /run/countersign/jobs/4f/ctap.sock has ended: have a new one made"
    #expect(transcript.errorText.contains(words))
  }

  @Test func namesTheOptionOfTheAdminSocket() {
    let daemon = FakeAuthenticator()
    daemon.failure = .unreachable(SystemError(call: "connect", code: 2))
    let transcript = Transcript(daemon: daemon)
    #expect(transcript.run("status") == .unreachable)
    #expect(transcript.errorText.hasSuffix("start countersignd, or name its socket with --admin-socket\n"))
  }

  /// As the jobs' socket answers a request of the operator's.
  @Test func knowsTheJobsSocketFromTheOperators() {
    let daemon = FakeAuthenticator()
    daemon.failure = .refused(.invalidCommand)
    let transcript = Transcript(daemon: daemon)
    #expect(transcript.run("status --admin-socket /run/countersign/ctap.sock") == .usage)
    #expect(
      transcript.errorText == "countersign: cannot get the daemon's status: /run/countersign/ctap.sock is a socket for "
        + "jobs: give --admin-socket the operator's: /run/countersign/admin.sock, unless adminSocket or the daemon's "
        + "--admin-socket says otherwise\n")
  }

  @Test func saysThatTheSocketIsNotForEverybody() {
    let daemon = FakeAuthenticator()
    daemon.failure = .unreachable(SystemError(call: "connect", code: 13))
    let transcript = Transcript(daemon: daemon)
    #expect(transcript.run("info --socket /s") == .unreachable)
    let answer = "you may not open /s (connect: Permission denied): the jobs' socket is for the group"
    #expect(transcript.errorText.contains(answer))
  }

  @Test func findsTheSocket() {
    let transcript = Transcript(daemon: FakeAuthenticator())
    transcript.environment["COUNTERSIGN_SOCKET"] = "/from/environment"
    #expect(transcript.run("info") == .done)
    #expect(transcript.run("info --socket /from/option") == .done)
    transcript.environment["COUNTERSIGN_SOCKET"] = ""
    #expect(transcript.run("info") == .done)
    #expect(
      transcript.connectedTo == ["/from/environment", "/from/option", "/run/countersign/ctap.sock"])
  }
}

@Suite struct StatusTests {
  static let answer =
    #"{"tpm":{"state":"ready","kind":"software","loadedKeys":3,"queue":0},"credentials":12,"new":[1],"version":"0.1.0","#
    + #""auditLog":{"path":"/var/log\u001b[2J","state":"ok"},"startedAt":"2026-11-20T00:00:00Z","broken":null}"#

  @Test func showsATable() {
    let daemon = FakeAdministration(Self.answer)
    let transcript = Transcript(daemon: daemon)
    #expect(transcript.run("status") == .done)
    #expect(transcript.connectedTo == ["/run/countersign/admin.sock"])
    #expect(daemon.requests == [Frame(code: 0x40, payload: [UInt8](#"{"request":"status"}"#.utf8))])
    #expect(
      transcript.outputText == """
        version         0.1.0
        startedAt       2026-11-20T00:00:00Z
        tpm.state       ready
        tpm.kind        software
        tpm.loadedKeys  3
        tpm.queue       0
        credentials     12
        auditLog.state  ok
        auditLog.path   /var/log?[2J
        broken          none
        new             [1]

        """)
  }

  @Test func printsJSON() throws {
    let transcript = Transcript(daemon: FakeAdministration(Self.answer))
    #expect(transcript.run("status --json --admin-socket=/a") == .done)
    #expect(transcript.connectedTo == ["/a"])
    #expect(try JSONValue.parse(Array(transcript.outputText.utf8)) == JSONValue.parse(Array(Self.answer.utf8)))
  }

  @Test func passesOnRefusals() {
    let transcript = Transcript(daemon: FakeAdministration(#"{"error":"only root may ask"}"#))
    #expect(transcript.run("status") == .failure)
    #expect(
      transcript.errorText == "countersign: cannot get the daemon's status: the daemon refused (only root may ask): "
        + "ask as root, the daemon's own user or a member of adminGroup\n")
    #expect(transcript.outputText == "")
  }

  @Test(arguments: ["", "[]", "x"])
  func refusesOtherAnswers(answer: String) {
    let transcript = Transcript(daemon: FakeAdministration(answer))
    #expect(transcript.run("status") == .unreachable)
    #expect(transcript.errorText.contains("does not speak the protocol (it is no JSON object)"))
  }
}
