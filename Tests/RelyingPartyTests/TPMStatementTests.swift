import CBOR
import Crypto
import RelyingParty
import TPMStructures
import TestSupport
import Testing
import WebAuthn

@Suite struct TPMStatementTests {
  @Test(arguments: COSEAlgorithm.allCases)
  func accepts(algorithm: COSEAlgorithm) throws {
    let attested = AttestedRegistration(.tpm, algorithm)
    let record = try attested.verify()
    #expect(record.attestationFormat == "tpm")
    #expect(record.attestationType == .attCA)
    #expect(record.attestationAnchor == SHA256.hash(attested.policy.anchors[0].der))
    #expect(record.tpm?.vendor.name == "IFX")
    #expect(record.tpm?.model == "SLB9672")
    #expect(record.tpm?.version == "id:000F0017")
    #expect(try CredentialRecord(parsing: record.json.serialized()) == record)
  }

  func failure(_ change: (inout AttestedRegistration) -> Void) -> VerificationError? {
    AttestedRegistration.failure(.tpm, change)
  }

  @Test func acceptsWhatTheStandardLeavesOpen() {
    #expect(failure { $0.aaguid = nil } == nil)
    #expect(failure { $0.pubArea.nameAlgorithm = TPMAlgorithm.sha384 } == nil)
    #expect(
      failure { $0.pubArea.scheme = .init(algorithm: TPMAlgorithm.ecdsa, hash: TPMAlgorithm.sha256) } == nil)
    #expect(failure { $0.changeAttest = { $0.clock.isSafe = false } } == nil)
    #expect(failure { $0.changeAttest = { $0.qualifiedSigner = [1, 2] } } == nil)
    // The three attributes in one relative name, or in one each.
    #expect(
      failure {
        $0.set(
          CertificateExtension.subjectAlternativeName,
          .subjectAlternativeName(DistinguishedName(AttestedRegistration.tpm.map { [$0] })))
      } == nil)
  }

  /// Section 8.3, the members.
  @Test func refusesOtherMembers() {
    let members = flaw("8.3", .members("ver \"2.0\", alg, x5c, sig, certInfo and pubArea"))
    for member: CBORValue in ["ver", "alg", "x5c", "sig", "certInfo", "pubArea"] {
      #expect(failure { $0.changeStatement = { $0[member] = nil } } == members)
      #expect(failure { $0.changeStatement = { $0[member] = true } } != nil)
    }
    #expect(failure { $0.changeStatement = { $0["ver"] = "1.2" } } == members)
    #expect(failure { $0.changeStatement = { $0["ecdaaKeyId"] = .bytes([1]) } } == members)
  }

  /// Section 8.3, pubArea.
  @Test func refusesOtherPublicAreas() {
    let other = TestKey()
    guard case .es256(let x, let y) = other.publicKey else { return }
    #expect(
      failure { $0.pubArea.key = .ecc(curve: TPMCurve.p256, kdf: nil, x: x, y: y) } == flaw("8.3", .attestedKey))
    #expect(failure { $0.pubArea.key = .rsa(keyBits: 2048, exponent: 0, modulus: x) } == flaw("8.3", .attestedKey))
    #expect(
      failure {
        guard case .ecc(let curve, _, let x, let y) = $0.pubArea.key else { return }
        $0.pubArea.key = .ecc(curve: curve, kdf: nil, x: [0] + x, y: y)
      } == flaw("8.3", .attestedKey))
    #expect(
      failure {
        guard case .ecc(_, _, let x, let y) = $0.pubArea.key else { return }
        $0.pubArea.key = .ecc(curve: TPMCurve.p384, kdf: nil, x: x, y: y)
      } == flaw("8.3", .attestedKey))
    #expect(
      failure { $0.pubArea.symmetric = .init(algorithm: TPMAlgorithm.aes, keyBits: 128, mode: TPMAlgorithm.cfb) }
        == flaw("8.3", .attestedKey))
    #expect(
      failure { $0.pubArea.scheme = .init(algorithm: TPMAlgorithm.ecdsa, hash: TPMAlgorithm.sha384) }
        == flaw("8.3", .attestedKey))
    for attribute: TPMObjectAttributes in [.fixedTPM, .fixedParent, .sensitiveDataOrigin, .sign] {
      #expect(failure { $0.pubArea.attributes.remove(attribute) } == flaw("8.3", .attributes))
    }
    #expect(
      failure { $0.changeStatement = { $0["pubArea"] = .bytes([]) } }
        == flaw("8.3", .publicArea(.truncated("type"))))
    #expect(failure { $0.pubArea.nameAlgorithm = TPMAlgorithm.sha1 } == flaw("8.3", .name))
  }

  /// Section 8.3, certInfo.
  @Test func refusesOtherCertifications() {
    #expect(
      failure { $0.changeCertInfo = { $0[0] = 0 } } == flaw("8.3", .certificationInformation(.wrong("magic"))))
    #expect(
      failure { $0.changeCertInfo = { $0[5] = 0x14 } } == flaw("8.3", .certificationInformation(.wrong("type"))))
    #expect(
      failure { $0.changeAttest = { $0.attested = .quote(selections: [], digest: []) } } == flaw("8.3", .certified))
    #expect(
      failure { $0.changeCertInfo = { $0.append(0) } } == flaw("8.3", .certificationInformation(.trailingBytes)))
    #expect(failure { $0.changeAttest = { $0.extraData[0] ^= 1 } } == flaw("8.3", .extraData))
    #expect(failure { $0.changeAttest = { $0.extraData = [] } } == flaw("8.3", .extraData))
    // The hash of another algorithm than alg's.
    #expect(failure { $0.extraHash = SHA384.hash } == flaw("8.3", .extraData))
    let name: [UInt8] = [0, 11] + SHA256.hash([1])
    #expect(
      failure { $0.changeAttest = { $0.attested = .certify(name: name, qualifiedName: []) } } == flaw("8.3", .name))
    // Signed by another key, or altered after it was signed.
    #expect(failure { $0.signer = TestKey() } == flaw("8.3", .signature))
    #expect(
      failure {
        $0.changeStatement = {
          guard case .bytes(var bytes)? = $0["certInfo"] else { return }
          bytes[50] ^= 1
          $0["certInfo"] = .bytes(bytes)
        }
      } == flaw("8.3", .signature))
    #expect(failure { $0.changeStatement = { $0["alg"] = -257 } } == flaw("8.3", .certificateKey))
    #expect(failure { $0.changeStatement = { $0["alg"] = -65535 } } == flaw("8.3", .extraData))
  }

  /// Section 8.3.1.
  @Test func refusesOtherCertificates() {
    #expect(failure { $0.aaguid = AttestedRegistration.aaguid(0xa6) } == flaw("8.3", .aaguid))
    #expect(
      failure { $0.aaguid = AttestedRegistration.aaguid(0xa5, isCritical: true) } == flaw("8.3.1", .aaguidExtension))
    #expect(
      failure { $0.template.subject = DistinguishedName(AttestedRegistration.subject) }
        == flaw("8.3.1", .emptySubject))
    #expect(
      failure {
        $0.template.version = 1
        $0.template.extensions = []
        $0.aaguid = nil
      } == flaw("8.3.1", .version(1)))
    for purposes in [[], [AttestedRegistration.purpose, ObjectIdentifier([1, 3, 6, 1, 5, 5, 7, 3, 2])]] {
      #expect(
        failure { $0.set(CertificateExtension.extendedKeyUsage, .extendedKeyUsage(purposes)) }
          == flaw("8.3.1", .extendedKeyUsage))
    }
    #expect(failure { $0.set(CertificateExtension.extendedKeyUsage, nil) } == flaw("8.3.1", .extendedKeyUsage))
    for replacement in [nil, CertificateExtension.basicConstraints(isAuthority: true)] {
      #expect(
        failure { $0.set(CertificateExtension.basicConstraints, replacement) } == flaw("8.3.1", .notAuthority))
    }
  }

  /// TCG EK Credential Profile, section 3.2.9.
  @Test func refusesOtherAlternativeNames() {
    func failure(_ replacement: CertificateExtension?) -> VerificationError? {
      self.failure { $0.set(CertificateExtension.subjectAlternativeName, replacement) }
    }
    func failure(_ attributes: [NameAttribute]) -> VerificationError? {
      failure(.subjectAlternativeName(DistinguishedName([attributes])))
    }
    func wrong(_ problem: String) -> VerificationError { flaw("8.3.1", .alternativeName(problem)) }
    let tpm = AttestedRegistration.tpm
    #expect(failure(nil) == wrong("is missing"))
    #expect(
      failure(.subjectAlternativeName(DistinguishedName([tpm]), isCritical: false)) == wrong("is not critical"))
    let directory = DER.element(.context4, DistinguishedName([tpm]).encoded)
    let id = CertificateExtension.subjectAlternativeName
    let two = CertificateExtension(id, isCritical: true, DER.element(.sequence, directory + directory))
    #expect(failure(two) == wrong("is not one directoryName"))
    #expect(
      failure(CertificateExtension(id, isCritical: true, DER.element(.sequence, [0x82, 1, 0x61])))
        == wrong("is not one directoryName"))
    #expect(failure(CertificateExtension(id, isCritical: true, [0x30])) == wrong("is malformed"))
    for index in 0..<3 {
      var fewer = tpm
      fewer.remove(at: index)
      #expect(failure(fewer) == wrong("does not consist of manufacturer, model and version of the TPM"))
      for attribute in [NameAttribute(tpm[index].type, ""), NameAttribute(tpm[index].type, tag: .printableString, "x")]
      {
        var other = tpm
        other[index] = attribute
        #expect(failure(other) == wrong("has an attribute twice, or one that is empty or no UTF8String"))
      }
    }
    #expect(
      failure(tpm + [NameAttribute(ObjectIdentifier([2, 5, 4, 3]), "x")])
        == wrong("does not consist of manufacturer, model and version of the TPM"))
    #expect(failure(tpm + [tpm[1]]) == wrong("has an attribute twice, or one that is empty or no UTF8String"))
  }

  @Test(arguments: ["id:00000000", "id:00001014", "IFX", "id:4946580", "id:49465861", "id:4946580g", "id:494e5443"])
  func refusesOtherVendors(identifier: String) {
    #expect(
      failure {
        var attributes = AttestedRegistration.tpm
        attributes[0] = NameAttribute(attributes[0].type, identifier)
        $0.set(
          CertificateExtension.subjectAlternativeName, .subjectAlternativeName(DistinguishedName([attributes])))
      } == flaw("8.3.1", .vendor(identifier)))
  }

  @Test func choosesVendors() throws {
    let vendor = try #require(TPMVendor(name: "IFX"))
    #expect(TPMVendor(identifier: "id:49465800") == vendor)
    #expect(TPMVendor(identifier: "id:414D4420")?.name == "AMD")
    #expect(TPMVendor(name: "ifx") == nil)
    #expect(failure { $0.policy.vendors = [vendor] } == nil)
    let other = try #require(TPMVendor(name: "IBM"))
    #expect(failure { $0.policy.vendors = [other] } == .attestationTrust(.vendor(vendor)))
  }
}
