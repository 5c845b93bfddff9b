import CBOR
import Crypto
import RelyingParty
import TPMStructures
import TestSupport
import WebAuthn

/// A registration with an attestation by certificate, of which each property can be removed alone: what depends on the
/// property is made anew, and signed by the right key.
struct AttestedRegistration {
  let authority = TestAuthority()
  let attestationKey = TestKey()
  var kind: AttestationKind
  var registration: Registration
  /// The leaf, before it is signed.
  var template: CertificateTemplate
  /// In the certificate, if at all.
  var aaguid: CertificateExtension?
  var path: [Certificate] = []
  var pubArea: TPMTPublic
  var extraHash = SHA256.hash
  var changeAttest: (inout TPMSAttest) -> Void = { _ in }
  var changeCertInfo: (inout [UInt8]) -> Void = { _ in }
  var changeStatement: (inout CBORMap) -> Void = { _ in }
  /// Another key in the place of the one in the certificate.
  var signer: TestKey?
  var policy: AttestationPolicy

  static let subject: [[NameAttribute]] = [
    [NameAttribute(ObjectIdentifier([2, 5, 4, 6]), tag: .printableString, "AA")],
    [NameAttribute(ObjectIdentifier([2, 5, 4, 10]), "Operator")],
    [NameAttribute(ObjectIdentifier([2, 5, 4, 11]), "Authenticator Attestation")],
    [NameAttribute(ObjectIdentifier([2, 5, 4, 3]), "Runner")],
  ]

  static let tpm: [NameAttribute] = [
    NameAttribute(ObjectIdentifier([2, 23, 133, 2, 1]), "id:49465800"),
    NameAttribute(ObjectIdentifier([2, 23, 133, 2, 2]), "SLB9672"),
    NameAttribute(ObjectIdentifier([2, 23, 133, 2, 3]), "id:000F0017"),
  ]

  static func aaguid(_ byte: UInt8, isCritical: Bool = false) -> CertificateExtension {
    CertificateExtension(
      ObjectIdentifier([1, 3, 6, 1, 4, 1, 45724, 1, 1, 4]), isCritical: isCritical,
      DER.element(.octetString, [UInt8](repeating: byte, count: 16)))
  }

  static let purpose = ObjectIdentifier([2, 23, 133, 8, 3])

  init(_ kind: AttestationKind, _ algorithm: COSEAlgorithm = .es256) {
    self.kind = kind
    registration = Registration(key: TestKey(algorithm))
    registration.format = kind.rawValue
    template = authority.leaf(
      for: attestationKey, subject: DistinguishedName(kind == .tpm ? [] : AttestedRegistration.subject))
    if kind == .tpm {
      template.extensions += [
        .subjectAlternativeName(DistinguishedName([AttestedRegistration.tpm])),
        .extendedKeyUsage([AttestedRegistration.purpose]),
      ]
    }
    aaguid = AttestedRegistration.aaguid(0xa5)
    let key: TPMTPublic.Key =
      switch registration.key.publicKey {
      case .es256(let x, let y): .ecc(curve: TPMCurve.p256, kdf: nil, x: x, y: y)
      case .es384(let x, let y): .ecc(curve: TPMCurve.p384, kdf: nil, x: x, y: y)
      case .rs256(let modulus, _): .rsa(keyBits: 2048, exponent: 0, modulus: modulus)
      }
    pubArea = TPMTPublic(attributes: [.fixedTPM, .fixedParent, .sensitiveDataOrigin, .noDA, .sign], key: key)
    policy = AttestationPolicy(anchors: [authority.certificate], time: TestAuthority.now)
  }

  /// Replaces an extension, or takes it away.
  mutating func set(_ id: ObjectIdentifier, _ replacement: CertificateExtension?) {
    template.extensions.removeAll { $0.id == id }
    if let replacement { template.extensions.append(replacement) }
  }

  var response: RegistrationResponseJSON { complete.response }

  func verify() throws(VerificationError) -> CredentialRecord { try complete.verify() }

  private var complete: Registration {
    var template = template
    if let aaguid { template.extensions.append(aaguid) }
    let chain = CBORValue.array([.bytes(authority.encoded(template))] + path.map { .bytes($0.der) })
    var complete = registration
    complete.policy.attestation = policy
    complete.makeStatement = { data, hash in
      var statement = self.statement(data, hash)
      statement["x5c"] = chain
      self.changeStatement(&statement)
      return statement
    }
    return complete
  }

  private func statement(_ data: [UInt8], _ hash: [UInt8]) -> CBORMap {
    let signer = signer ?? attestationKey
    switch kind {
    case .tpm:
      let area = pubArea.serialized()
      let digest = pubArea.nameAlgorithm == TPMAlgorithm.sha384 ? SHA384.hash(area) : SHA256.hash(area)
      var attest = TPMSAttest(
        qualifiedSigner: [], extraData: extraHash(data + hash),
        clock: .init(clock: 1, resetCount: 2, restartCount: 3, isSafe: true), firmwareVersion: 4,
        attested: .certify(name: [0, UInt8(pubArea.nameAlgorithm)] + digest, qualifiedName: []))
      changeAttest(&attest)
      var certInfo = attest.serialized()
      changeCertInfo(&certInfo)
      return [
        "ver": "2.0", "alg": -7, "sig": .bytes(signer.sign(certInfo)), "certInfo": .bytes(certInfo),
        "pubArea": .bytes(area),
      ]
    case .fidoU2F:
      guard case .es256(let x, let y) = registration.key.publicKey else { return ["sig": .bytes([])] }
      let message = [0] + data.prefix(32) + hash + registration.credentialID + [4] + x + y
      return ["sig": .bytes(signer.sign(message))]
    default:
      return ["alg": -7, "sig": .bytes(signer.sign(data + hash))]
    }
  }

  /// The error of a good registration after one change.
  static func failure(
    _ kind: AttestationKind, _ change: (inout AttestedRegistration) -> Void
  ) -> VerificationError? {
    var attested = AttestedRegistration(kind)
    change(&attested)
    do {
      _ = try attested.verify()
      return nil
    } catch {
      return error
    }
  }
}

func flaw(_ section: String, _ requirement: StatementFlaw.Requirement) -> VerificationError {
  .attestationStatement(StatementFlaw(section, requirement))
}
