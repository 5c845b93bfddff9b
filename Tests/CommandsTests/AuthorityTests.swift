import Attestation
import Commands
import Crypto
import Platform
import TPMStructures
import TestSupport
import Testing
import WebAuthn

/// The authority's commands over a folder in memory.
@Suite struct AuthorityTests {
  let transcript = Transcript()
  let runner = TestRunner()

  init() throws {
    transcript.unixSeconds = TestAuthority.now
    transcript.files["passphrase"] = Array("correct horse\n".utf8)
    transcript.files["request.json"] = runner.signed.json.serialized()
    #expect(transcript.run("ca init --ca ca --organization Operator --country DE" + passphrase) == .done)
    transcript.files["ca/endorsement-keys"]? += Array((runner.endorsementHash.hexadecimal + "\n").utf8)
  }

  let passphrase = " --passphrase-file passphrase"

  func issue(_ file: String) -> ExitCode { transcript.run("ca issue --ca ca --in \(file)" + passphrase) }

  @Test(arguments: [("hardware", .done), ("software", .done), ("not known yet", .failure)] as [(String, ExitCode)])
  func writesNoStatementOfATPMThatIsNotKnown(_ kind: String, _ status: ExitCode) {
    let daemon = FakeAuthenticator()
    daemon.administration = { _ in .object(["tpm": .object(["kind": .string(kind)])]) }
    transcript.daemon = daemon
    #expect(transcript.run("attestation metadata --root ca/ca.pem") == status)
    #expect(transcript.outputText.isEmpty == (status != .done))
    guard status != .done else { return }
    #expect(transcript.errorText.contains("the kind of the TPM is \"not known yet\""))
    #expect(transcript.errorText.contains("countersign status"))
  }

  @Test func makesAnAuthority() throws {
    #expect(transcript.folders == ["ca", "ca/vendors"])
    #expect(transcript.modes["ca/ca.key"] == 0o600)
    #expect(transcript.modes["ca/register.json"] == 0o600)
    #expect(transcript.modes["ca/ca.pem"] == 0o644)
    let pem = try #require(transcript.files["ca/ca.pem"])
    let certificate = try Certificate(der: try #require(PEM.decode(pem, label: PEM.certificate)?.first))
    let crl = try #require(transcript.files["ca/ca.crl"])
    let list = try RevocationList(der: try #require(PEM.decode(crl, label: PEM.revocationList)?.first))
    // It is one that relying parties can use.
    #expect(
      try CertificateChain.validate(
        certificate, intermediates: [], anchors: [certificate], revocationLists: [list], at: TestAuthority.now)
        == certificate)
    #expect(transcript.run("ca init --ca ca --organization Operator --country DE" + passphrase) == .usage)
    #expect(transcript.errorText.contains("holds an authority already"))
  }

  @Test func answersRequests() throws {
    #expect(issue("request.json") == .done)
    let challenge = try ActivationChallenge(try JSONValue.parse(Array(transcript.outputText.utf8)))
    #expect(challenge.request == runner.request.digest)
    // The register knows it when the challenge is out.
    let register = try AuthorityRegister(try JSONValue.parse(try #require(transcript.files["ca/register.json"])))
    #expect(register.listNumber == 2)
    transcript.files["challenge.json"] = challenge.json.serialized()
    #expect(issue("challenge.json") == .verificationFailed)
    #expect(transcript.errorText.contains("it is an attestation challenge, which is for the runner"))
    let wrong = ActivationResponse(
      id: challenge.id, request: challenge.request, proof: [UInt8](repeating: 0, count: 32))
    transcript.files["response.json"] = wrong.json.serialized()
    #expect(issue("response.json") == .verificationFailed)
    #expect(transcript.errorText.contains("the response is not the right one to its challenge"))
    #expect(transcript.run("ca list --ca ca --json") == .done)
    #expect(transcript.outputText == "{\"issued\":[]}\n")
  }

  @Test func acceptsTheVendorsOfItsFolder() {
    let maker = TestAuthority("Maker")
    var runner = TestRunner()
    runner.request.endorsementCertificate = runner.certify(by: maker)
    transcript.files["request.json"] = runner.signed.json.serialized()
    #expect(issue("request.json") == .verificationFailed)
    #expect(transcript.errorText.contains("it leads to no certificate that is trusted here"))
    transcript.files["ca/vendors/maker.pem"] = Array(PEM.encode(maker.certificate.der, label: PEM.certificate).utf8)
    #expect(issue("request.json") == .done)
  }

  @Test(arguments: [
    ("ca issue --in request.json", ExitCode.usage, "--ca is missing"),
    ("ca issue --ca ca --in request.json", .usage, "no passphrase is given, and nobody is there to type it"),
    ("ca issue --ca ca --in request.json --passphrase-file wrong", .refusedByPolicy, "the passphrase does not open"),
    ("ca issue --ca ca --in request.json --days 0", .usage, "--days \"0\" is not a number from 1 to 3650"),
    (
      "ca issue --ca ca --in junk --passphrase-file passphrase", .verificationFailed,
      "no file of Countersign's enrolment"
    ),
    ("ca revoke --ca ca 00 --passphrase-file passphrase", .noSuchCredential, "no certificate has this serial number"),
    ("ca init --ca other --organization O --country de --passphrase-file passphrase", .usage, "no code of two capital"),
    ("ca init --ca other --organization O", .usage, "--organization or --country is missing"),
    ("ca list --ca none", .usage, "cannot be read"),
  ])
  func explainsWrongUse(line: String, status: ExitCode, complaint: String) {
    transcript.files["wrong"] = [1]
    transcript.files["junk"] = Array("{}".utf8)
    #expect(transcript.run(line) == status)
    #expect(transcript.errorText.contains(complaint), "\(transcript.errorText)")
  }

  @Test func isForOneProcessAtATime() {
    transcript.locked = ["ca/lock"]
    #expect(issue("request.json") == .failure)
    #expect(transcript.errorText.contains("another process is using \"ca\""))
  }

  @Test func asksForThePassphraseTwice() {
    transcript.person = ["one", "two"]
    #expect(transcript.run("ca init --ca other --organization Operator --country DE") == .usage)
    #expect(transcript.errorText.contains("the two passphrases differ"))
    #expect(transcript.files["other/ca.key"] == nil)
    transcript.person = ["one", "one"]
    #expect(transcript.run("ca init --ca other --organization Operator --country DE") == .done)
    transcript.person = ["one"]
    #expect(transcript.run("ca crl --ca other") == .done)
  }
}
