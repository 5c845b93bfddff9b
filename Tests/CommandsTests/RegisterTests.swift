import CBOR
import Client
import Commands
import Crypto
import CTAP
import CTAPHID
import Platform
import Testing
import TestSupport
import WebAuthn

/// Creation options with members added at their end, so that they win nothing but are there.
func creationOptions(_ members: String = "", rp: String = #"{"id":"example.com","name":"R"}"#) -> String {
  """
  {"rp":\(rp),"user":{"id":"AQID","name":"n","displayName":"d"},"challenge":"AAAAAAAAAAAAAAAAAAAAAA",\
  "pubKeyCredParams":[{"type":"public-key","alg":-7}]\(members)}
  """
}

@Suite struct RegisterTests {
  let daemon = FakeAuthenticator()

  func transcript(_ options: String) -> Transcript { Transcript(daemon: daemon, input: options) }

  func request() throws -> MakeCredentialRequest {
    guard case .makeCredential(let request) = try #require(daemon.ceremonies.last) else {
      throw CTAPStatus.invalidCommand
    }
    return request
  }

  @Test func printsWhatABrowserSends() throws {
    let transcript = transcript(creationOptions(#","extensions":{"credProps":true}"#))
    #expect(transcript.run("register --origin https://login.example.com:8443") == .done)
    #expect(transcript.errorText == "")
    #expect(transcript.connectedTo == ["/run/countersign/ctap.sock"])

    let key = try #require(daemon.accounts.first).key.publicKey
    let data = AuthenticatorData(
      relyingPartyIDHash: SHA256.hash([UInt8]("example.com".utf8)), flags: [.up, .at], signatureCounter: 1,
      attestedCredential: AttestedCredential(
        aaguid: [UInt8](repeating: 0, count: 16), credentialID: [UInt8](repeating: 1, count: 16), publicKey: key)
    ).encoded()
    let object = CanonicalCBOR.encode(.map(["fmt": "none", "attStmt": .map([:]), "authData": .bytes(data)]))
    let clientData =
      #"{"type":"webauthn.create","challenge":"AAAAAAAAAAAAAAAAAAAAAA","#
      + #""origin":"https://login.example.com:8443","crossOrigin":false}"#
    #expect(
      transcript.outputText == """
        {"authenticatorAttachment":"platform","clientExtensionResults":{"credProps":{"rk":false}},\
        "id":"AQEBAQEBAQEBAQEBAQEBAQ","rawId":"AQEBAQEBAQEBAQEBAQEBAQ","response":{\
        "attestationObject":"\(Base64URL.encode(object))","authenticatorData":"\(Base64URL.encode(data))",\
        "clientDataJSON":"\(Base64URL.encode([UInt8](clientData.utf8)))",\
        "publicKey":"\(Base64URL.encode(key.subjectPublicKeyInfo))","publicKeyAlgorithm":-7,\
        "transports":["internal"]},"type":"public-key"}

        """)
    #expect(try request().clientDataHash == SHA256.hash([UInt8](clientData.utf8)))
    #expect(try request().relyingParty == RelyingPartyEntity(id: "example.com", name: "R"))
    #expect(try request().user == UserEntity(id: [1, 2, 3], name: "n", displayName: "d"))
  }

  @Test(arguments: ["direct", "indirect", "enterprise"])
  func keepsTheAttestationWhereAsked(conveyance: String) throws {
    let transcript = transcript(creationOptions(#","attestation":"\#(conveyance)""#))
    #expect(transcript.run("register") == .done)
    let response = try RegistrationResponseJSON(parsing: Array(transcript.outputText.utf8))
    let object = try AttestationObject.decode(response.attestationObject)
    #expect(object.format == "packed")
    #expect(
      try AuthenticatorData.decode(object.authenticatorData).attestedCredential?.aaguid == FakeAuthenticator.aaguid)
  }

  @Test func keepsSelfAttestationThatTellsNothing() throws {
    daemon.spoilData = { $0.attestedCredential?.aaguid = [UInt8](repeating: 0, count: 16) }
    let transcript = transcript(creationOptions())
    #expect(transcript.run("register") == .done)
    let response = try RegistrationResponseJSON(parsing: Array(transcript.outputText.utf8))
    #expect(try AttestationObject.decode(response.attestationObject).format == "packed")
  }

  @Test func takesThePublicKeyWrapper() {
    #expect(transcript("{\"publicKey\":" + creationOptions() + "}").run("register") == .done)
  }

  @Test(
    arguments: [
      ("", nil), (#"{"residentKey":"discouraged"}"#, nil), (#"{"residentKey":"preferred"}"#, true),
      (#"{"residentKey":"required"}"#, true), (#"{"requireResidentKey":true}"#, true),
    ] as [(String, Bool?)])
  func asksForResidentKeys(selection: String, rk: Bool?) throws {
    let members = selection.isEmpty ? "" : ",\"authenticatorSelection\":" + selection
    #expect(transcript(creationOptions(members)).run("register") == .done)
    #expect(try request().options.rk == rk)
  }

  @Test func saysThatResidentKeysAreMissing() {
    daemon.info.options["rk"] = false
    let preferred = transcript(creationOptions(#","authenticatorSelection":{"residentKey":"preferred"}"#))
    #expect(preferred.run("register") == .done)
    let required = transcript(creationOptions(#","authenticatorSelection":{"residentKey":"required"}"#))
    #expect(required.run("register") == .failure)
    #expect(
      required.errorText
        == "countersign: cannot register: the options require a resident key, which this authenticator "
        + "has not: ask for residentKey \"preferred\" or \"discouraged\"\n")
    #expect(daemon.ceremonies.count == 1)
  }

  @Test func asksForUserVerificationWhereItIs() throws {
    let required = creationOptions(#","authenticatorSelection":{"userVerification":"required"}"#)
    let without = transcript(required)
    #expect(without.run("register") == .refusedByPolicy)
    #expect(
      without.errorText == "countersign: cannot register: the options require user verification, and nothing verifies "
        + "one here, neither a rule nor a PIN: have the operator add userVerification to the rule, or set a PIN "
        + "(countersign pin set) and give it with --pin-file or --pin-credential; or ask for \"preferred\"\n")
    #expect(daemon.ceremonies.isEmpty)
    daemon.info.options["uv"] = true
    daemon.info.options["makeCredUvNotRqd"] = true
    #expect(transcript(required).run("register") == .done)
    #expect(try request().options.uv == true)
    #expect(
      transcript(creationOptions(#","authenticatorSelection":{"userVerification":"discouraged"}"#)).run("register")
        == .done)
    #expect(try request().options.uv == nil)
  }

  @Test func refusesCrossPlatform() {
    let transcript = transcript(
      creationOptions(#","authenticatorSelection":{"authenticatorAttachment":"cross-platform"}"#))
    #expect(transcript.run("register") == .failure)
    #expect(
      transcript.errorText == "countersign: cannot register: the options ask for a cross-platform authenticator, and "
        + "this one belongs to its machine: ask for \"platform\", or leave authenticatorAttachment out\n")
    #expect(daemon.requests.isEmpty)
  }

  @Test func offersDefaultAlgorithms() throws {
    let options = creationOptions().replacing(#"[{"type":"public-key","alg":-7}]"#, with: "[]")
    #expect(transcript(options).run("register") == .done)
    #expect(try request().parameters.map(\.algorithm) == [-7, -257])
  }

  @Test func dropsParametersOfOtherTypes() throws {
    let mixed = creationOptions().replacing(#"[{"#, with: #"[{"type":"x","alg":-8},{"#)
    #expect(transcript(mixed).run("register") == .done)
    #expect(try request().parameters.map(\.algorithm) == [-7])
    let none = transcript(creationOptions().replacing("public-key", with: "x"))
    #expect(none.run("register") == .failure)
    #expect(none.errorText.contains("no entry of pubKeyCredParams has the type \"public-key\""))
  }

  @Test func excludesCredentials() throws {
    #expect(transcript(creationOptions()).run("register") == .done)
    let id = Base64URL.encode([UInt8](repeating: 1, count: 16))
    let excluding = transcript(creationOptions(",\"excludeCredentials\":[{\"type\":\"public-key\",\"id\":\"\(id)\"}]"))
    #expect(excluding.run("register") == .failure)
    #expect(
      excluding.errorText == "countersign: cannot register: a credential of excludeCredentials is here already "
        + "(CTAP2_ERR_CREDENTIAL_EXCLUDED): authenticate with that one\n")
    #expect(excluding.outputText == "")
  }

  @Test func looksUpLongExcludeLists() throws {
    #expect(transcript(creationOptions()).run("register") == .done)
    func descriptor(_ byte: UInt8, count: Int = 16) -> String {
      "{\"type\":\"public-key\",\"id\":\"\(Base64URL.encode([UInt8](repeating: byte, count: count)))\"}"
    }
    let strangers = (100..<130).map { descriptor($0) } + [descriptor(1, count: 17)]
    let without = creationOptions(",\"excludeCredentials\":[\(strangers.joined(separator: ","))]")
    #expect(transcript(without).run("register") == .done)
    #expect(try request().excludeList == nil)
    let with = creationOptions(",\"excludeCredentials\":[\((strangers + [descriptor(1)]).joined(separator: ","))]")
    #expect(transcript(with).run("register") == .failure)
    #expect(try request().excludeList == [CredentialDescriptor(id: [UInt8](repeating: 1, count: 16))])
    #expect(
      daemon.requests.allSatisfy {
        guard case .getAssertion(let request) = $0 else { return true }
        return request.options.up == false && request.allowList?.count ?? 0 <= 8
      })
  }

  @Test(arguments: [
    ("com", "https://example.com", "is a public suffix, under which strangers can register"),
    (
      "example.org", "https://example.com",
      "is neither the host of the origin https://example.com nor a domain above it"
    ),
    ("Example.com", "https://example.com", "has capital letters"),
  ])
  func refusesRelyingPartyIDs(id: String, origin: String, problem: String) {
    let transcript = transcript(creationOptions(rp: "{\"id\":\"\(id)\",\"name\":\"R\"}"))
    #expect(transcript.run("register --origin \(origin)") == .usage)
    #expect(
      transcript.errorText == "countersign: cannot register: RP ID \"\(id)\" \(problem): "
        + "give the page's origin with --origin, or correct the RP ID\n")
    #expect(daemon.requests.isEmpty)
  }

  @Test func takesTheRelyingPartyIDFromTheOrigin() throws {
    let options = creationOptions(rp: #"{"name":"R"}"#)
    let without = transcript(options)
    #expect(without.run("register") == .usage)
    #expect(
      without.errorText == "countersign: cannot register: the options have no RP ID, and there is no origin to take it "
        + "from: give --origin\n")
    #expect(transcript(options).run("register --origin=http://localhost:3000") == .done)
    #expect(try request().relyingParty.id == "localhost")
  }

  @Test func refusesInventedRelyingPartyIDs() {
    for id in ["192.0.2.1", "", "a/b", "example.com:8443", "bücher.example"] {
      let transcript = transcript(creationOptions(rp: "{\"id\":\"\(id)\",\"name\":\"R\"}"))
      #expect(transcript.run("register") == .usage, "\(id)")
    }
    #expect(daemon.requests.isEmpty)
  }

  @Test(arguments: [
    (
      CTAPStatus.operationDenied, ExitCode.refusedByPolicy,
      "the policy does not allow it to you now for example.com (CTAP2_ERR_OPERATION_DENIED): "
        + "have the operator look into the audit log for the reason: no rule; its rate, hours or number; user verification"
    ),
    (.tpmUnavailable, .tpmFailure, "the TPM is away or failed"),
    (
      .unsupportedAlgorithm, .failure,
      "the TPM can do none of the algorithms in pubKeyCredParams (CTAP2_ERR_UNSUPPORTED_ALGORITHM): "
        + "offer -7 (ES256); EdDSA is not in TPMs"
    ),
    (.keyStoreFull, .failure, "the daemon's store is full"), (.storageUnavailable, .failure, "store cannot be used"),
    (.auditUnavailable, .failure, "the audit log cannot be written, so nothing is signed"),
    (.other, .failure, "the authenticator refused (CTAP1_ERR_OTHER)"),
  ])
  func translatesStatuses(status: CTAPStatus, exit: ExitCode, words: String) {
    daemon.refusal = status
    let transcript = transcript(creationOptions())
    #expect(transcript.run("register --out out.json") == exit)
    #expect(transcript.errorText.hasPrefix("countersign: cannot register: "))
    #expect(transcript.errorText.contains(words), "\(transcript.errorText)")
    #expect(transcript.errorText.filter { $0 == "\n" }.count == 1)
    #expect(transcript.files.isEmpty)
  }

  @Test func refusesWrongAnswers() {
    for spoil: (inout AuthenticatorData) -> Void in [
      { $0.relyingPartyIDHash[0] ^= 1 }, { $0.attestedCredential = nil },
      {
        $0 = AuthenticatorData(
          relyingPartyIDHash: $0.relyingPartyIDHash, flags: [], signatureCounter: 1,
          attestedCredential: $0.attestedCredential)
      },
    ] {
      daemon.spoilData = spoil
      let transcript = transcript(creationOptions())
      #expect(transcript.run("register") == .failure)
      #expect(transcript.errorText.contains("the daemon's answer cannot be used"))
      #expect(transcript.outputText == "")
    }
    daemon.spoilData = { _ in }
    daemon.algorithm = .es384
    #expect(transcript(creationOptions()).run("register") == .failure)
  }

  @Test func refusesRequestsThatFitNoFrame() {
    let name = String(repeating: "n", count: 70_000)
    let transcript = transcript(creationOptions().replacing("\"name\":\"n\"", with: "\"name\":\"\(name)\""))
    #expect(transcript.run("register") == .usage)
    #expect(transcript.errorText.contains("more than a frame holds"))
  }
}

extension String {
  func replacing(_ old: String, with new: String) -> String {
    guard let range = firstRange(of: old) else { return self }
    var copy = self
    copy.replaceSubrange(range, with: new)
    return copy
  }
}
