import Client
import Commands
import Crypto
import CTAP
import CTAPHID
import Platform
import Testing
import TestSupport
import WebAuthn

@Suite struct AuthenticateTests {
  let daemon = FakeAuthenticator()

  static func id(_ number: UInt8) -> [UInt8] { [UInt8](repeating: number, count: 16) }

  init() {
    for number in UInt8(1)...3 {
      daemon.accounts.append(
        .init(
          id: Self.id(number), relyingPartyID: "example.com", user: UserEntity(id: [number]), isDiscoverable: true,
          key: TestKey()))
    }
    daemon.accounts.append(
      .init(
        id: Self.id(9), relyingPartyID: "example.com", user: UserEntity(id: [9]), isDiscoverable: false,
        key: TestKey()))
  }

  func transcript(_ members: String = "") -> Transcript {
    Transcript(daemon: daemon, input: #"{"challenge":"AAAA","rpId":"example.com""# + members + "}")
  }

  static func allow(_ ids: [[UInt8]]) -> String {
    let entries = ids.map { "{\"type\":\"public-key\",\"id\":\"\(Base64URL.encode($0))\"}" }
    return ",\"allowCredentials\":[\(entries.joined(separator: ","))]"
  }

  func response(of transcript: Transcript) throws -> AuthenticationResponseJSON {
    try AuthenticationResponseJSON(parsing: Array(transcript.outputText.utf8))
  }

  @Test func printsWhatABrowserSends() throws {
    let transcript = transcript()
    #expect(transcript.run("authenticate") == .done)
    let response = try response(of: transcript)
    let clientData = #"{"type":"webauthn.get","challenge":"AAAA","origin":"https://example.com","crossOrigin":false}"#
    #expect(
      transcript.outputText == """
        {"authenticatorAttachment":"platform","clientExtensionResults":{},"id":"AwMDAwMDAwMDAwMDAwMDAw",\
        "rawId":"AwMDAwMDAwMDAwMDAwMDAw","response":{"authenticatorData":"\
        \(Base64URL.encode(response.authenticatorData))","clientDataJSON":"\
        \(Base64URL.encode([UInt8](clientData.utf8)))","signature":"\(Base64URL.encode(response.signature))",\
        "userHandle":"Aw"},"type":"public-key"}

        """)
    guard case .es256(let x, let y) = daemon.accounts[2].key.publicKey else { return }
    #expect(
      SignatureVerifier.isValidES256(
        x: x, y: y, signature: response.signature,
        message: response.authenticatorData + SHA256.hash([UInt8](clientData.utf8))))
  }

  @Test func choosesAmongAccounts() throws {
    let byHandle = transcript()
    #expect(byHandle.run("authenticate --user-handle AQ") == .done)
    #expect(try response(of: byHandle).id == Self.id(1))
    #expect(daemon.ceremonies.dropFirst() == [.getNextAssertion, .getNextAssertion])
    let byCredential = transcript()
    #expect(byCredential.run("authenticate --credential \(Base64URL.encode(Self.id(2)))") == .done)
    #expect(try response(of: byCredential).userHandle == [2])
    let unknown = transcript()
    #expect(unknown.run("authenticate --user-handle CQ") == .noSuchCredential)
    #expect(
      unknown.errorText == "countersign: cannot authenticate: no discoverable credential of example.com is the chosen "
        + "one: check --user-handle or --credential\n")
  }

  @Test func honoursAllowLists() throws {
    let transcript = transcript(Self.allow([Self.id(7), Self.id(9)]))
    #expect(transcript.run("authenticate") == .done)
    #expect(try response(of: transcript).id == Self.id(9))
    #expect(try response(of: transcript).userHandle == nil)
    let chosen = self.transcript(Self.allow([Self.id(1), Self.id(2)]))
    #expect(chosen.run("authenticate --credential \(Base64URL.encode(Self.id(1)))") == .done)
    #expect(try response(of: chosen).id == Self.id(1))
  }

  @Test func neverSendsAnEmptyAllowList() {
    for ids in [[[UInt8](repeating: 1, count: 17)], (100..<120).map(Self.id)] {
      let transcript = transcript(Self.allow(ids))
      #expect(transcript.run("authenticate") == .noSuchCredential)
      #expect(transcript.outputText == "")
    }
    let otherType = transcript(Self.allow([Self.id(1)]).replacing("public-key", with: "x"))
    #expect(otherType.run("authenticate") == .noSuchCredential)
    #expect(
      daemon.ceremonies.allSatisfy {
        guard case .getAssertion(let request) = $0 else { return false }
        return request.options.up == false && request.allowList?.isEmpty == false
      })
  }

  @Test func looksUpLongAllowLists() throws {
    let transcript = transcript(Self.allow((100..<120).map(Self.id) + [Self.id(2)]))
    #expect(transcript.run("authenticate") == .done)
    #expect(try response(of: transcript).id == Self.id(2))
    guard case .getAssertion(let last) = try #require(daemon.ceremonies.last) else { return }
    #expect(last.allowList == [CredentialDescriptor(id: Self.id(2))])
    #expect(last.options.up == nil)
  }

  @Test func refusesContradictoryChoices() {
    let both = transcript()
    #expect(both.run("authenticate --user-handle AQ --credential AQ") == .usage)
    #expect(
      both.errorText
        == "countersign: wrong usage: --user-handle and --credential are both there: give one of them\n")
    let handle = transcript(Self.allow([Self.id(1)]))
    #expect(handle.run("authenticate --user-handle AQ") == .usage)
    #expect(handle.errorText.contains("leave --user-handle no choice: use --credential"))
    let foreign = transcript(Self.allow([Self.id(1)]))
    #expect(foreign.run("authenticate --credential AQ") == .usage)
    #expect(foreign.errorText.contains("is not among the allowCredentials"))
    #expect(transcript().run("authenticate --user-handle A=") == .usage)
    #expect(daemon.requests.isEmpty)
  }

  @Test func saysThatThereIsNoCredential() {
    daemon.accounts = []
    let transcript = transcript()
    #expect(transcript.run("authenticate --out x.json") == .noSuchCredential)
    #expect(
      transcript.errorText == "countersign: cannot authenticate: no credential of example.com fits "
        + "(CTAP2_ERR_NO_CREDENTIALS): register one, with residentKey or named in allowCredentials, or check rpId\n")
    #expect(transcript.files.isEmpty)
  }

  @Test func refusesUserVerificationThatIsNotThere() {
    let transcript = transcript(#","userVerification":"required""#)
    #expect(transcript.run("authenticate") == .refusedByPolicy)
    #expect(transcript.errorText.contains("the options require user verification"))
    #expect(transcript.errorText.contains("add userVerification to the rule"))
    #expect(daemon.ceremonies.isEmpty)
  }

  @Test func refusesAnotherCredentialThanAskedFor() {
    daemon.spoilData = { $0.relyingPartyIDHash[0] ^= 1 }
    #expect(transcript().run("authenticate") == .failure)
  }

  @Test(arguments: [
    (ClientError.timedOut, ExitCode.unreachable, "no answer from /s in time"),
    (.disconnected, .unreachable, "the daemon closed the connection"),
    (.malformed("x"), .unreachable, "what listens at /s does not speak the protocol (x)"),
    (.refused(.channelBusy), .failure, "the daemon is busy (ERR_CHANNEL_BUSY)"),
    (.refused(.invalidCommand), .failure, "the daemon refused the frame (ERR_INVALID_CMD)"),
  ])
  func translatesClientErrors(error: ClientError, exit: ExitCode, words: String) {
    daemon.failure = error
    let transcript = transcript()
    #expect(transcript.run("authenticate --socket /s") == exit)
    #expect(transcript.errorText.contains(words), "\(transcript.errorText)")
  }
}
