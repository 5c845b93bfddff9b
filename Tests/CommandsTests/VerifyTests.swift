import Commands
import CTAP
import Platform
import Testing
import WebAuthn

@Suite struct VerifyTests {
  let transcript = Transcript(daemon: FakeAuthenticator())

  init() {
    transcript.files["create.json"] = Array(creationOptions(#","attestation":"direct""#).utf8)
    transcript.files["get.json"] = Array(#"{"challenge":"AQID","rpId":"example.com"}"#.utf8)
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
        + "credential may have been cloned: do not trust this response\n")
    #expect(transcript.files["credential.json"] == before)
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
      transcript.errorText == "countersign: registration not verified: the challenge is not the one of the options: "
        + "do not trust this response\n")
    #expect(transcript.files["new.json"] == nil)
  }

  @Test func comparesTheOrigin() {
    #expect(transcript.run("register --in create.json --origin https://a.example.com --out registration.json") == .done)
    let verify = "verify registration --options create.json --response registration.json"
    #expect(transcript.run(verify) == .verificationFailed)
    #expect(
      transcript.errorText == "countersign: registration not verified: the origin is https://a.example.com, expected "
        + "https://example.com: do not trust this response\n")
    #expect(transcript.run(verify + " --origin https://a.example.com") == .done)
    #expect(transcript.run(verify + " --origin https://example.org") == .usage)
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
        + "name, found nothing: see countersign register --help and authenticate --help for examples\n"
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
