import Attestation
import Crypto
import Platform
import Secrets
import TPMStructures
import TestSupport
import Testing
import WebAuthn

/// The authority's side, without a TPM.
@Suite struct AuthorityTests {
  static func random(_ count: Int) -> [UInt8] { SystemRandom().bytes(count) }

  static func authority() throws -> CertificateAuthority {
    try CertificateAuthority(
      new: AuthorityRegister(organization: "Operator", country: "DE"), at: TestAuthority.now, random: random)
  }

  /// Why a request is refused; nil where it is not.
  func refusal(
    _ policy: EnrolmentPolicy? = nil, _ change: (inout TestRunner) -> Void
  ) throws -> String? {
    var runner = TestRunner()
    change(&runner)
    var authority = try Self.authority()
    do {
      _ = try authority.challenge(runner.signed, under: policy ?? runner.policy, random: Self.random)
      return nil
    } catch let refusal as EnrolmentRefusal {
      return refusal.description
    }
  }

  @Test(arguments: [COSEAlgorithm.es256, .rs256])
  func challengesKnownTPMs(algorithm: COSEAlgorithm) throws {
    let runner = TestRunner(endorsementKey: algorithm)
    var authority = try Self.authority()
    let challenge = try authority.challenge(runner.signed, under: runner.policy, random: Self.random)
    #expect(challenge.request == runner.request.digest)
    #expect(challenge.expires == TestAuthority.now + 7 * 86_400)
    #expect(challenge.blob.encryptedSecret.count == (algorithm == .es256 ? 68 : 256))
    #expect(try ActivationChallenge(challenge.json) == challenge)
    let signed = runner.signed
    #expect(try AttestationRequest(signed.json) == signed)
  }

  @Test func refusesStrangers() throws {
    let runner = TestRunner()
    let none = EnrolmentPolicy(vendors: [], allowed: [], time: TestAuthority.now)
    #expect(try refusal(none) { _ in }?.hasSuffix("is not on the list") == true)
    let other = EnrolmentPolicy(vendors: [], allowed: [runner.endorsementHash], time: TestAuthority.now)
    #expect(try refusal(other) { _ in }?.hasSuffix("is not on the list") == true)
    #expect(try refusal { $0.request.manufacturer = "ACME" } == "the TPM names no registered maker")
  }

  @Test func checksTheMakersCertificate() throws {
    let maker = TestAuthority("Maker")
    let policy = EnrolmentPolicy(vendors: [maker.certificate], allowed: [], time: TestAuthority.now)
    #expect(try refusal(policy) { $0.request.endorsementCertificate = $0.certify(by: maker) } == nil)
    // IBM's other number, which is none of the registry, says nothing.
    #expect(
      try refusal(policy) { $0.request.endorsementCertificate = $0.certify(by: maker, manufacturer: "id:00001014") }
        == nil)
    let untrusted = "the endorsement certificate is not trusted: "
    #expect(
      try refusal(policy) { $0.request.endorsementCertificate = $0.certify(by: TestAuthority("Other")) }
        == untrusted + "it leads to no certificate that is trusted here")
    #expect(
      try refusal(policy) {
        $0.request.endorsementCertificate = $0.certify(by: maker) { $0.notAfter = TestAuthority.now - 1 }
      } == untrusted + "a certificate has expired")
    #expect(
      try refusal(policy) { $0.request.endorsementCertificate = TestRunner().certify(by: maker) }
        == "the endorsement certificate is for another key than the endorsement key")
    #expect(
      try refusal(policy) { $0.request.endorsementCertificate = $0.certify(by: maker, manufacturer: "id:49465800") }
        == "the endorsement certificate names the maker IFX, the TPM IBM")
    #expect(
      try refusal(policy) {
        $0.request.endorsementCertificate = $0.certify(by: maker) {
          $0.extensions.removeLast()
          $0.extensions.append(.extendedKeyUsage([ObjectIdentifier([1, 3, 6, 1, 5, 5, 7, 3, 1])]))
        }
      } == "the endorsement certificate is for another purpose (extendedKeyUsage)")
  }

  /// Its AAGUID and maker are the runner's own word, until somebody else says so.
  @Test func refusesModelsThatNobodyVouchesFor() throws {
    #expect(
      try refusal { $0.request.aaguid = [UInt8](repeating: 0xa5, count: 16) }
        == "its AAGUID is not one of Countersign's")
    #expect(try refusal { $0.request.aaguid = CountersignModel.hardware }?.contains("cannot pass for hardware") == true)
    #expect(try refusal { $0.request.manufacturer = "IFX" }?.contains("the list nothing of it") == true)
    // What the operator has written behind the key.
    var runner = TestRunner()
    runner.request.aaguid = CountersignModel.hardware
    runner.request.manufacturer = "IFX"
    for (maker, isAccepted) in [("IFX", true), ("STM", false)] {
      var policy = runner.policy
      policy.makers = [runner.endorsementHash: maker]
      var authority = try Self.authority()
      let challenge = try? authority.challenge(runner.signed, under: policy, random: Self.random)
      #expect((challenge != nil) == isAccepted)
    }
    // What the maker's certificate says, and one that says nothing.
    let maker = TestAuthority("Maker")
    let policy = EnrolmentPolicy(vendors: [maker.certificate], allowed: [], time: TestAuthority.now)
    for (named, isAccepted) in [("id:49424D00", true), ("id:00001014", false)] {
      let refused = try refusal(policy) {
        $0.request.aaguid = CountersignModel.hardware
        $0.request.endorsementCertificate = $0.certify(by: maker, manufacturer: named)
      }
      #expect((refused == nil) == isAccepted)
    }
  }

  @Test func refusesAlteredRequests() throws {
    let altered = "the request was altered: its quote is about something else"
    for change: (inout AttestationRequest) -> Void in [
      { $0.created += 1 }, { $0.aaguid[0] ^= 1 }, { $0.model = "x" }, { $0.firmwareVersion = 1 },
      { $0.pcrValues[0][0] ^= 1 }, { $0.endorsementCertificate = [1] },
      { $0.endorsementKey = TestRunner().request.endorsementKey },
    ] {
      let runner = TestRunner()
      var request = runner.signed
      change(&request)
      var authority = try Self.authority()
      #expect(throws: EnrolmentRefusal(altered)) {
        try authority.challenge(request, under: runner.policy, random: Self.random)
      }
    }
    let notThose = "the request was altered: the PCRs are not those of its quote"
    #expect(try refusal { $0.changeQuote = { $0.extraData = [] } } == altered)
    #expect(
      try refusal { $0.changeQuote = { $0.attested = .certify(name: [], qualifiedName: []) } } == altered)
    #expect(
      try refusal { $0.changeQuote = { $0.attested = .quote(selections: [], digest: []) } } == notThose)
    let runner = TestRunner()
    var request = runner.signed
    request.signature = TestKey().sign(request.quote)
    var authority = try Self.authority()
    #expect(throws: EnrolmentRefusal("the request was altered: its quote is not signed by the attestation key")) {
      try authority.challenge(request, under: runner.policy, random: Self.random)
    }
  }

  @Test func refusesOtherAttestationKeys() throws {
    let complaint =
      "the attestation key is no restricted signing key (ECDSA P-256 with SHA-256) that its TPM made and keeps"
    for change: (inout TPMTPublic) -> Void in [
      { $0.attributes.remove(.restricted) }, { $0.attributes.remove(.fixedTPM) }, { $0.attributes.insert(.decrypt) },
      { $0.attributes.remove(.sensitiveDataOrigin) }, { $0.scheme = nil },
      { $0.scheme = .init(algorithm: TPMAlgorithm.ecdsa, hash: TPMAlgorithm.sha384) },
      { $0.nameAlgorithm = TPMAlgorithm.sha1 },
    ] {
      let refused = try refusal {
        var area = TestRunner.attestationArea($0.attestationKey)
        change(&area)
        $0.request.attestationKey = area.serialized()
      }
      #expect(refused == complaint)
    }
    #expect(try refusal { $0.request.attestationKey = [1] } == "it ends before the end of type")
  }

  /// Nothing but a new request is answered.
  @Test func refusesOldRequests() throws {
    #expect(
      try refusal { $0.request.created += 86_401 } == "the request is from the future: set the clocks of both machines")
    #expect(try refusal { $0.request.created += 86_399 } == nil)
    let runner = TestRunner()
    var late = runner.policy
    late.time += 7 * 86_400
    #expect(try refusal(late) { $0 = runner } == nil)
    late.time += 1
    #expect(
      try refusal(late) { $0 = runner }
        == "the request has expired: make a new one with countersign attestation request")
  }

  @Test func refusesWrongResponses() throws {
    let runner = TestRunner()
    var authority = try Self.authority()
    let challenge = try authority.challenge(runner.signed, under: runner.policy, random: Self.random)
    func refusal(
      _ response: ActivationResponse, _ policy: EnrolmentPolicy, _ authority: inout CertificateAuthority
    ) throws -> String? {
      do {
        _ = try authority.issue(response, under: policy, days: 1, random: Self.random)
        return nil
      } catch let refusal as EnrolmentRefusal {
        return refusal.description
      }
    }
    let wrong = ActivationResponse(
      id: challenge.id, request: challenge.request, proof: [UInt8](repeating: 0, count: 32))
    #expect(
      try refusal(wrong, runner.policy, &authority) == "the response is not the right one to its challenge")
    var late = runner.policy
    late.time = challenge.expires + 1
    #expect(
      try refusal(wrong, late, &authority) == "the challenge has expired: begin again with a new request")
    let other = ActivationResponse(id: [UInt8](repeating: 1, count: 16), request: challenge.request, proof: wrong.proof)
    #expect(
      try refusal(other, runner.policy, &authority)
        == "no challenge waits for this response: it was answered already, or is another authority's")
    var stranger = try Self.authority()
    #expect(try refusal(wrong, runner.policy, &stranger)?.hasPrefix("no challenge waits") == true)
    #expect(authority.register.issued.isEmpty)
  }

  @Test func tellsFilesApart() throws {
    let runner = TestRunner()
    var authority = try Self.authority()
    let challenge = try authority.challenge(runner.signed, under: runner.policy, random: Self.random)
    #expect(throws: EnrolmentRefusal("it is an attestation challenge, not an attestation request", isMalformed: true)) {
      try AttestationRequest(challenge.json)
    }
    #expect(throws: EnrolmentRefusal.self) { try ActivationChallenge(.object([:])) }
    guard case .object(var members) = challenge.json else { return }
    members["version"] = .integer(2)
    #expect {
      try ActivationChallenge(.object(members))
    } throws: {
      "\($0)".contains("of a version that this program does not know")
    }
    members["version"] = .integer(1)
    members["credentialBlob"] = nil
    #expect {
      try ActivationChallenge(.object(members))
    } throws: {
      "\($0)" == "credentialBlob: expected base64url text, found nothing"
    }
  }

  @Test func keepsItsRegister() throws {
    let runner = TestRunner()
    var authority = try Self.authority()
    _ = try authority.challenge(runner.signed, under: runner.policy, random: Self.random)
    let register = authority.register
    #expect(try AuthorityRegister(register.json) == register)
    #expect(throws: EnrolmentRefusal.self) { try AuthorityRegister(.object([:])) }
    #expect(throws: EnrolmentRefusal.self) { try AuthorityRegister(organization: "", country: "DE") }
    #expect(throws: EnrolmentRefusal.self) { try AuthorityRegister(organization: "x", country: "de") }
  }

  @Test func keepsItsKeyUnderAPassphrase() throws {
    let authority = try Self.authority()
    let good = try secret("correct")
    let bad = try secret("wrong")
    let pem = try authority.encryptedKey(by: good)
    #expect(String(decoding: pem, as: UTF8.self).hasPrefix("-----BEGIN ENCRYPTED PRIVATE KEY-----"))
    let key = try IssuerKey(pem: pem, passphrase: good)
    #expect(key.publicKey == authority.certificate.publicKey)
    #expect(throws: CryptoError.self) { _ = try IssuerKey(pem: pem, passphrase: bad) }
    #expect(throws: CryptoError.self) { _ = try IssuerKey(pem: [1, 2, 3], passphrase: good) }
    let certificate = try Self.authority().certificate
    let register = authority.register
    #expect(throws: EnrolmentRefusal.self) {
      _ = try CertificateAuthority(
        register, certificate: certificate, key: try IssuerKey(pem: pem, passphrase: good))
    }
  }

  private func secret(_ text: String) throws -> SecretBytes {
    try SecretBytes(count: text.utf8.count) { span in
      for (index, byte) in text.utf8.enumerated() { span[index] = byte }
    }
  }
}
