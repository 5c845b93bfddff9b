import Commands
import CTAP
import Crypto
import Platform
import Testing
import TestSupport
import WebAuthn

@Suite struct VerifyTests {
  let transcript = Transcript(daemon: FakeAuthenticator())

  init() {
    transcript.files["create.json"] = Array(creationOptions(#","attestation":"direct""#).utf8)
    transcript.files["get.json"] = Array(#"{"challenge":"AQIDBAUGBwgJCgsMDQ4PEA","rpId":"example.com"}"#.utf8)
  }

  /// A registration with a resident key and its record, in `registration.json` and `credential.json`.
  func registered() {
    let residentKey = #","attestation":"direct","authenticatorSelection":{"residentKey":"required"}"#
    transcript.files["create.json"] = Array(creationOptions(residentKey).utf8)
    #expect(transcript.run("register --in create.json --out registration.json") == .done)
    #expect(
      transcript.run(
        "verify registration --options create.json --response registration.json --out credential.json") == .done)
  }

  @Test func printsTheRecord() throws {
    registered()
    let record = try json(try #require(transcript.files["credential.json"]))
    #expect(try record.required("id", "").string() == "AQEBAQEBAQEBAQEBAQEBAQ")
    #expect(try record.required("aaguid", "").string() == "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf")
    #expect(try record.required("algorithm", "").integer(in: -7 ... -7) == -7)
    #expect(try record.required("signCount", "").integer(in: 1...1) == 1)
    #expect(try record.required("attestation", "").required("type", "").string() == "self")
    #expect(
      try record.required("flags", "").object() == [
        "backupEligible": false, "backupState": false, "userPresent": true, "userVerified": false,
      ])
  }

  @Test func verifiesAssertionsAndRaisesTheCounter() throws {
    registered()
    #expect(transcript.run("authenticate --in get.json --out assertion.json") == .done)
    let verify =
      "verify assertion --options get.json --response assertion.json --credential credential.json --out credential.json"
    #expect(transcript.run(verify) == .done)
    let record = try json(try #require(transcript.files["credential.json"]))
    #expect(try record.required("signCount", "").integer(in: 0...9) == 2)
    // The same once more is a replay.
    let before = transcript.files["credential.json"]
    #expect(transcript.run(verify) == .verificationFailed)
    #expect(
      transcript.errorText == "countersign: assertion not verified: the signature counter is 2, not above 2: the "
        + "credential may have been cloned (WebAuthn section 7.2 step 22): do not trust this response\n")
    #expect(transcript.files["credential.json"] == before)
  }

  /// What the daemon has signed of the job, in words and in the record.
  @Test func saysTheClaimsThatWereSigned() throws {
    registered()
    let claims = BoundClaims.serialized(["ref": "refs/heads/main"])
    let challenge = BoundClaims.challenge([UInt8](1...16), boundTo: claims)
    transcript.files["bound.json"] = Array(
      #"{"challenge":"\#(Base64URL.encode(challenge))","rpId":"example.com"}"#.utf8)
    #expect(transcript.run("authenticate --in bound.json --out assertion.json") == .done)
    let answer = String(decoding: try #require(transcript.files["assertion.json"]), as: UTF8.self)
    let text = String(decoding: JSONValue.string(String(decoding: claims, as: UTF8.self)).serialized(), as: UTF8.self)
    let shown = answer.replacing(
      #""clientExtensionResults":{}"#, with: #""clientExtensionResults":{"countersignClaims":\#(text)}"#)
    #expect(shown != answer)
    transcript.files["assertion.json"] = Array(shown.utf8)
    let verify =
      "verify assertion --options get.json --response assertion.json --credential credential.json --require-claims"
    #expect(transcript.run(verify) == .done)
    #expect(
      transcript.errorText.hasSuffix(
        "countersign: proven: the daemon has signed these claims of the job: {\"ref\":\"refs/heads/main\"}\n"))
    #expect(try json(transcript.output).required("claims", "").required("ref", "").string() == "refs/heads/main")
    #expect(transcript.run(verify + " --json") == .done)
    #expect(transcript.errorText == "")
    #expect(try json(transcript.output).required("claims", "").required("ref", "").string() == "refs/heads/main")
    // Claims that were not signed.
    transcript.files["assertion.json"] = Array(shown.replacing("heads/main", with: "heads/evil").utf8)
    #expect(transcript.run(verify) == .verificationFailed)
    #expect(!transcript.errorText.contains("evil"))
  }

  @Test func readsTheResponseFromStandardInput() throws {
    registered()
    transcript.input = try #require(transcript.files["registration.json"])
    #expect(transcript.run("verify registration --options create.json") == .done)
    #expect(Array(transcript.outputText.utf8) == transcript.files["credential.json"])
  }

  @Test func saysWhyItDoesNotVerify() {
    registered()
    transcript.files["create.json"] = Array(
      creationOptions().replacing("AAAAAAAAAAAAAAAAAAAAAA", with: "BAAAAAAAAAAAAAAAAAAAAA").utf8)
    #expect(
      transcript.run("verify registration --options create.json --response registration.json --out new.json")
        == .verificationFailed)
    #expect(
      transcript.errorText == "countersign: registration not verified: the challenge is not the one of the options "
        + "(WebAuthn section 7.1 step 8, 7.2 step 11): do not trust this response\n")
    #expect(transcript.files["new.json"] == nil)
  }

  @Test func comparesTheOrigin() {
    #expect(transcript.run("register --in create.json --origin https://a.example.com --out registration.json") == .done)
    let verify = "verify registration --options create.json --response registration.json"
    #expect(transcript.run(verify) == .verificationFailed)
    #expect(
      transcript.errorText == "countersign: registration not verified: the origin is https://a.example.com, expected "
        + "https://example.com (WebAuthn section 7.1 step 9, 7.2 step 12, 13.4.9): do not trust this response\n")
    #expect(transcript.run(verify + " --origin https://a.example.com") == .done)
    #expect(transcript.run(verify + " --origin https://example.org") == .usage)
  }

  /// The vector of Web Authentication Level 3 with packed attestation by certificate.
  func attested() throws {
    let path = #filePath.replacing(
      "CommandsTests/VerifyTests.swift", with: "RelyingPartyTests/Vectors/webauthn-level3.json")
    let file = try json(try Descriptor(opening: path, flags: 0).read(upTo: 1 << 16))
    let vector = try file.required("vectors", "").required("packed.ES256", "").required("registration", "")
    func text(_ name: String) throws -> String { try vector.required(name, "").string() }
    let (id, data, object) = (try text("id"), try text("clientDataJSON"), try text("attestationObject"))
    transcript.files["create.json"] = Array(
      """
      {"rp":{"id":"example.org","name":"R"},"user":{"id":"AQID","name":"n","displayName":"d"},
      "challenge":"\(try text("challenge"))","pubKeyCredParams":[{"type":"public-key","alg":-7}]}
      """.utf8)
    transcript.files["registration.json"] = Array(
      """
      {"id":"\(id)","rawId":"\(id)","type":"public-key",
      "response":{"clientDataJSON":"\(data)","attestationObject":"\(object)"}}
      """.utf8)
    let anchor = try file.required("anchor", "").bytes()
    transcript.files["root.der"] = anchor
    transcript.files["root.pem"] = Array(PEM.encode(anchor, label: PEM.certificate).utf8)
  }

  let registration = "verify registration --options create.json --response registration.json"

  @Test func trustsByTheRoot() throws {
    try attested()
    for root in ["root.der", "root.pem"] {
      #expect(transcript.run(registration + " --root \(root)") == .done)
      #expect(
        transcript.errorText == """
          countersign: proven: an authenticator that holds a certificate of the trusted anchor made this registration
          countersign: proven: AAGUID 876ca4f5-2071-c3e9-b255-09ef2cdf7ed6, attested
          countersign: proven: the user counts as present and verified\n
          """)
    }
    let record = try json(Array(transcript.outputText.utf8))
    #expect(try record.required("attestation", "").required("type", "").string() == "basic")
    #expect(try record.required("proven", "").strings().count == 3)
    #expect(transcript.run(registration + " --root root.pem --root root.der --json --format packed") == .done)
    #expect(transcript.errorText == "")
    let aaguid = "876ca4f5-2071-c3e9-b255-09ef2cdf7ed6"
    #expect(transcript.run(registration + " --root root.pem --aaguid \(aaguid)") == .done)
  }

  @Test func refusesWhatIsNotTrusted() throws {
    try attested()
    transcript.files["other.pem"] = Array(
      PEM.encode(TestAuthority().certificate.der, label: PEM.certificate).utf8)
    transcript.files["list.der"] = TestAuthority().revocationList(of: []).der
    for (options, reason) in [
      ("", "attestation of format packed is not accepted (WebAuthn section 7.1 step 24)"),
      (
        "--root other.pem",
        "the attestation certificate is not trusted: it leads to no certificate that is trusted here "
          + "(WebAuthn section 7.1 step 24)"
      ),
      ("--root root.pem --format tpm", "attestation of format packed is not accepted (WebAuthn section 7.1 step 24)"),
      (
        "--root root.pem --crl list.der",
        "the attestation certificate is not trusted: there is no revocation list of one of the issuers "
          + "(WebAuthn section 7.1 step 24, 13.4.5)"
      ),
      (
        "--root root.pem --aaguid 00000000-0000-0000-0000-000000000000",
        "AAGUID 876ca4f5-2071-c3e9-b255-09ef2cdf7ed6 is none of those that are accepted (WebAuthn section 7.1 step 23)"
      ),
    ] {
      #expect(transcript.run("\(registration) \(options)") == .verificationFailed)
      #expect(
        transcript.errorText == "countersign: registration not verified: \(reason): do not trust this response\n")
    }
    transcript.unixSeconds = 0
    #expect(transcript.run(registration + " --root root.pem") == .verificationFailed)
    #expect(transcript.errorText.contains("a certificate is not valid yet"))
  }

  @Test func explainsWrongPolicies() throws {
    try attested()
    transcript.files["empty"] = [10]
    transcript.files["broken"] = Array("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".utf8)
    for (options, complaint) in [
      ("--root empty", "\"empty\" holds no certificate: check --root"),
      (
        "--root broken",
        "\"broken\" holds a certificate that cannot be read: its encoding is not as RFC 5280 has it: check --root"
      ),
      ("--root root.der --crl root.pem", "--crl names no revocation list: check --crl"),
      (
        "--root root.der --crl root.der",
        "\"root.der\" holds a revocation list that cannot be read: its encoding is not as RFC 5280 has it: "
          + "check --crl"
      ),
      (
        "--format android-key",
        "--format does not know \"android-key\": give one of none, packed-self, packed, tpm, fido-u2f"
      ),
      ("--format tpm", "--format tpm needs a certificate that is trusted: give --root"),
      ("--aaguid A", "--aaguid \"A\" is no UUID in lower case: copy it from countersign info"),
      (
        "--vendor Infineon",
        "--vendor \"Infineon\" is no registered maker of TPMs: give e.g. IFX, or its identifier id:49465800"
      ),
      (
        "--top-origin x",
        "--top-origin \"x\" is not https://HOST or http://localhost: give it as https://HOST or https://HOST:PORT"
      ),
    ] {
      #expect(transcript.run("\(registration) \(options)") == .usage)
      #expect(transcript.errorText.hasSuffix(complaint + "\n"), "\(transcript.errorText)")
    }
    #expect(transcript.run(registration + " --root absent") == .usage)
    #expect(transcript.run(registration + " --json --json") == .usage)
  }

  @Test(arguments: [
    ("verify registration", "countersign: wrong usage: --options is missing: see countersign verify --help\n"),
    (
      "verify assertion --options get.json",
      "countersign: wrong usage: --credential is missing: see countersign verify --help\n"
    ),
    (
      "verify registration --options -",
      "countersign: wrong usage: --options and --response cannot all be standard input: "
        + "name files for all but one of them\n"
    ),
    (
      "verify registration --options absent.json --response x.json",
      "countersign: registration not verified: \"absent.json\" cannot be read (open absent.json: "
        + "No such file or directory): check --options\n"
    ),
    (
      "verify registration --options get.json --response x.json",
      "countersign: registration not verified: \"get.json\": rp: expected an object with the relying party's id and "
        + "name, found nothing: see countersign verify registration --help for what it takes\n"
    ),
    ("verify", "countersign: wrong usage: verify lacks its kind: give registration or assertion\n"),
    (
      "verify signature",
      "countersign: wrong usage: verify does not know \"signature\": give registration or assertion\n"
    ),
  ])
  func explainsWrongUsage(line: String, complaint: String) {
    #expect(transcript.run(line) == .usage)
    #expect(transcript.errorText == complaint)
  }
}
