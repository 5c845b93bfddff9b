import CBOR
import Crypto
import RelyingParty
import TestSupport
import Testing
import WebAuthn

@Suite struct PackedStatementTests {
  @Test(arguments: COSEAlgorithm.allCases)
  func accepts(algorithm: COSEAlgorithm) throws {
    let attested = AttestedRegistration(.packed, algorithm)
    let record = try attested.verify()
    #expect(record.attestationFormat == "packed")
    #expect(record.attestationType == .basic)
    #expect(record.attestationAnchor == SHA256.hash(attested.policy.anchors[0].der))
    #expect(record.tpm == nil)
    #expect(try CredentialRecord(parsing: record.json.serialized()) == record)
  }

  @Test func acceptsCertificatesWithoutAAGUID() {
    #expect(AttestedRegistration.failure(.packed) { $0.aaguid = nil } == nil)
  }

  /// Section 8.2.
  @Test func refusesWrongStatements() {
    let members = flaw("8.2", .members("alg and sig, or alg, sig and x5c"))
    #expect(AttestedRegistration.failure(.packed) { $0.changeStatement = { $0["alg"] = nil } } == members)
    #expect(AttestedRegistration.failure(.packed) { $0.changeStatement = { $0["sig"] = nil } } == members)
    #expect(AttestedRegistration.failure(.packed) { $0.changeStatement = { $0["ver"] = "2.0" } } == members)
    #expect(AttestedRegistration.failure(.packed) { $0.signer = TestKey() } == flaw("8.2", .signature))
    #expect(
      AttestedRegistration.failure(.packed) { $0.changeStatement = { $0["alg"] = -257 } }
        == flaw("8.2", .certificateKey))
    #expect(
      AttestedRegistration.failure(.packed) { $0.changeStatement = { $0["alg"] = -8 } } == flaw("8.2", .certificateKey))
    // Signed by the credential's own key, as self attestation is.
    #expect(AttestedRegistration.failure(.packed) { $0.signer = $0.registration.key } == flaw("8.2", .signature))
    #expect(
      AttestedRegistration.failure(.packed) { $0.aaguid = AttestedRegistration.aaguid(0xa6) } == flaw("8.2", .aaguid))
    for chain: CBORValue in [.array([]), .array(Array(repeating: .bytes([]), count: 9)), "x"] {
      #expect(
        AttestedRegistration.failure(.packed) { $0.changeStatement = { $0["x5c"] = chain } }
          == flaw("8.2", .members("an x5c of 1 to 8 certificates, among others")))
    }
    #expect(
      AttestedRegistration.failure(.packed) { $0.changeStatement = { $0["x5c"] = .array(["x"]) } }
        == flaw("8.2", .members("an x5c of byte strings, among others")))
    #expect(
      AttestedRegistration.failure(.packed) { $0.changeStatement = { $0["x5c"] = .array([.bytes([0x30, 0])]) } }
        == flaw("8.2", .certificate(CertificateError("encoding"))))
  }

  /// Section 8.2.1.
  @Test func refusesOtherCertificates() {
    func failure(subject index: Int, _ attribute: NameAttribute?) -> VerificationError? {
      AttestedRegistration.failure(.packed) {
        var names = AttestedRegistration.subject
        if let attribute { names[index] = [attribute] } else { names.remove(at: index) }
        $0.template.subject = DistinguishedName(names)
      }
    }
    for (index, name) in ["C", "O", "OU", "CN"].enumerated() {
      let type = AttestedRegistration.subject[index][0].type
      #expect(failure(subject: index, nil) == flaw("8.2.1", .subject(name)))
      #expect(failure(subject: index, NameAttribute(type, "")) == flaw("8.2.1", .subject(name)))
      // The other type of string.
      let tag: DER.Tag = name == "C" ? .utf8String : .printableString
      let text = ["AA", "Operator", "Authenticator Attestation", "Runner"][index]
      #expect(failure(subject: index, NameAttribute(type, tag: tag, text)) == flaw("8.2.1", .subject(name)))
    }
    let country = AttestedRegistration.subject[0][0].type
    #expect(
      failure(subject: 0, NameAttribute(country, tag: .printableString, "AAA")) == flaw("8.2.1", .subject("C")))
    let unit = AttestedRegistration.subject[2][0].type
    #expect(failure(subject: 2, NameAttribute(unit, "authenticator attestation")) == flaw("8.2.1", .subject("OU")))
    #expect(
      AttestedRegistration.failure(.packed) {
        $0.template.subject = DistinguishedName(AttestedRegistration.subject + AttestedRegistration.subject)
      } == flaw("8.2.1", .subject("C")))
    #expect(
      AttestedRegistration.failure(.packed) {
        $0.template.version = 1
        $0.template.extensions = []
        $0.aaguid = nil
      } == flaw("8.2.1", .version(1)))
    for replacement in [nil, CertificateExtension.basicConstraints(isAuthority: true)] {
      #expect(
        AttestedRegistration.failure(.packed) { $0.set(CertificateExtension.basicConstraints, replacement) }
          == flaw("8.2.1", .notAuthority))
    }
    #expect(
      AttestedRegistration.failure(.packed) { $0.aaguid = AttestedRegistration.aaguid(0xa5, isCritical: true) }
        == flaw("8.2.1", .aaguidExtension))
    #expect(
      AttestedRegistration.failure(.packed) {
        $0.aaguid = CertificateExtension(AttestedRegistration.aaguid(1).id, [UInt8](repeating: 0xa5, count: 16))
      } == flaw("8.2.1", .aaguidExtension))
  }
}

@Suite struct FIDOU2FStatementTests {
  @Test func accepts() throws {
    let record = try AttestedRegistration(.fidoU2F).verify()
    #expect(record.attestationFormat == "fido-u2f")
    #expect(record.attestationType == .basic)
    #expect(record.attestationAnchor != nil)
  }

  /// Section 8.6.
  @Test func refusesWrongStatements() {
    let members = flaw("8.6", .members("sig and x5c with one certificate"))
    #expect(AttestedRegistration.failure(.fidoU2F) { $0.changeStatement = { $0["sig"] = nil } } == members)
    #expect(AttestedRegistration.failure(.fidoU2F) { $0.changeStatement = { $0["alg"] = -7 } } == members)
    #expect(AttestedRegistration.failure(.fidoU2F) { $0.path = [$0.authority.certificate] } == members)
    #expect(AttestedRegistration.failure(.fidoU2F) { $0.changeStatement = { $0["x5c"] = nil } } == members)
    #expect(AttestedRegistration.failure(.fidoU2F) { $0.signer = TestKey() } == flaw("8.6", .signature))
    #expect(AttestedRegistration.failure(.fidoU2F) { $0.registration.key = TestKey(.es384) } == flaw("8.6", .onlyES256))
    #expect(
      AttestedRegistration.failure(.fidoU2F) { $0.template.publicKey = TestKey(.es384).publicKey.subjectPublicKeyInfo }
        == flaw("8.6", .onlyES256))
  }
}

/// Section 7.1 steps 23 and 24, section 13.4.5.
@Suite struct TrustTests {
  @Test(arguments: [AttestationKind.packed, .tpm, .fidoU2F])
  func refusesWhatIsNotTrusted(kind: AttestationKind) {
    func failure(_ change: (inout AttestedRegistration) -> Void) -> VerificationError? {
      AttestedRegistration.failure(kind, change)
    }
    func chain(_ failure: CertificateChain.Failure) -> VerificationError { .attestationTrust(.chain(failure)) }
    let aaguid = [UInt8](repeating: 0xa5, count: 16)
    #expect(failure { _ in } == nil)
    #expect(failure { $0.policy.anchors = [] } == chain(.noAnchor))
    #expect(failure { $0.policy = .unattested } == .attestationTrust(.kind(kind)))
    #expect(failure { $0.policy.kinds.remove(kind) } == .attestationTrust(.kind(kind)))
    #expect(failure { $0.policy.anchors = [TestAuthority("Other").certificate] } == chain(.noAnchor))
    #expect(failure { $0.policy.time = TestAuthority.begin - 1 } == chain(.notYetValid))
    #expect(failure { $0.template.notAfter = TestAuthority.now - 1 } == chain(.expired))
    #expect(failure { $0.policy.revocationLists = [$0.authority.revocationList(of: [[9]])] } == nil)
    #expect(failure { $0.policy.revocationLists = [$0.authority.revocationList(of: [[7]])] } == chain(.revoked))
    #expect(
      failure { $0.policy.revocationLists = [TestAuthority("Other").revocationList(of: [])] }
        == chain(.noRevocationList))
    #expect(
      failure {
        $0.policy.revocationLists = [$0.authority.revocationList(of: [], until: TestAuthority.now - 1)]
      } == chain(.revocationListExpired))
    #expect(failure { $0.policy.aaguids = [aaguid] } == nil)
    #expect(
      failure { $0.policy.aaguids = [[UInt8](repeating: 0, count: 16)] } == .attestationTrust(.aaguid(aaguid)))
    // The attestation certificate itself may be the one that is trusted.
    #expect(
      failure {
        var template = $0.template
        template.extensions += $0.aaguid.map { [$0] } ?? []
        let leaf = $0.authority.issue(template)
        $0.policy.anchors = [leaf]
        let der = leaf.der
        $0.changeStatement = { $0["x5c"] = .array([.bytes(der)]) }
      } == nil)
  }

  @Test func knowsWhatAPolicyAcceptsByItself() {
    #expect(AttestationPolicy.unattested.kinds == [.none, .packedSelf])
    let anchored = AttestationPolicy(anchors: [TestAuthority().certificate], time: 0)
    #expect(anchored.kinds == [.packed, .tpm, .fidoU2F])
  }

  @Test func survivesEveryFlippedBit() {
    for kind in [AttestationKind.packed, .tpm, .fidoU2F] {
      let good = AttestedRegistration(kind)
      let response = good.response
      let policy = RelyingPartyPolicy(attestation: good.policy)
      // fido-u2f signs neither AAGUID nor flags nor counter: there only nothing may trap.
      for index in response.attestationObject.indices {
        var other = response
        other.attestationObject[index] ^= 0x01
        other.authenticatorData = nil
        let record = try? RegistrationVerifier.verify(
          other, of: Registration.options(), origin: "https://login.example.com", relyingPartyID: "example.com",
          under: policy)
        if kind != .fidoU2F { #expect(record == nil, "\(kind) with byte \(index) flipped") }
      }
    }
  }
}
