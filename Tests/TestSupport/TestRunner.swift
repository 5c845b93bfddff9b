package import Attestation
package import Crypto
package import TPMStructures
package import WebAuthn

/// A runner whose TPM is keys in memory: good for everything but the opening of challenges.
package struct TestRunner {
  package let attestationKey = TestKey()
  package let endorsementKey: TestKey
  package var request: AttestationRequest
  /// What the quote says, before it is signed.
  package var changeQuote: (inout TPMSAttest) -> Void = { _ in }

  package static let attributes: TPMObjectAttributes = [
    .fixedTPM, .fixedParent, .sensitiveDataOrigin, .userWithAuth, .noDA, .restricted, .sign,
  ]

  package init(endorsementKey algorithm: COSEAlgorithm = .es256) {
    endorsementKey = TestKey(algorithm)
    request = AttestationRequest(
      created: TestAuthority.now, aaguid: CountersignModel.software, manufacturer: "IBM",
      model: "SW   TPM", firmwareVersion: 0x2024_0125_0012_0000,
      endorsementKey: TestRunner.endorsementArea(endorsementKey).serialized(), endorsementCertificate: nil,
      attestationKey: TestRunner.attestationArea(attestationKey).serialized(),
      pcrValues: AttestationRequest.pcrs.map { [UInt8](repeating: UInt8($0), count: 32) })
  }

  package static func attestationArea(_ key: TestKey) -> TPMTPublic {
    guard case .es256(let x, let y) = key.publicKey else { fatalError("attestation keys are P-256") }
    return TPMTPublic(
      attributes: attributes, scheme: .init(algorithm: TPMAlgorithm.ecdsa, hash: TPMAlgorithm.sha256),
      key: .ecc(curve: TPMCurve.p256, kdf: nil, x: x, y: y))
  }

  package static func endorsementArea(_ key: TestKey) -> TPMTPublic {
    let unique: TPMTPublic.Key =
      switch key.publicKey {
      case .es256(let x, let y): .ecc(curve: TPMCurve.p256, kdf: nil, x: x, y: y)
      case .es384(let x, let y): .ecc(curve: TPMCurve.p384, kdf: nil, x: x, y: y)
      case .rs256(let modulus, _): .rsa(keyBits: 2048, exponent: 0, modulus: modulus)
      }
    return TPMTPublic(
      attributes: [.fixedTPM, .fixedParent, .sensitiveDataOrigin, .adminWithPolicy, .restricted, .decrypt],
      authPolicy: [UInt8](repeating: 1, count: 32),
      symmetric: .init(algorithm: TPMAlgorithm.aes, keyBits: 128, mode: TPMAlgorithm.cfb), key: unique)
  }

  /// The request with its quote.
  package var signed: AttestationRequest {
    var signed = request
    var attest = TPMSAttest(
      qualifiedSigner: [], extraData: request.digest,
      clock: .init(clock: 1, resetCount: 2, restartCount: 3, isSafe: true), firmwareVersion: 4,
      attested: .quote(
        selections: [.init(hash: TPMAlgorithm.sha256, bits: [0xff, 0, 0])],
        digest: SHA256.hash(request.pcrValues.flatMap { $0 })))
    changeQuote(&attest)
    signed.quote = attest.serialized()
    signed.signature = attestationKey.sign(signed.quote)
    return signed
  }

  package var endorsementHash: [UInt8] { SHA256.hash(endorsementKey.publicKey.subjectPublicKeyInfo) }

  /// A policy that knows this endorsement key.
  package var policy: EnrolmentPolicy {
    EnrolmentPolicy(vendors: [], allowed: [endorsementHash], time: TestAuthority.now)
  }

  /// A maker's certificate of the endorsement key.
  package func certify(
    by maker: TestAuthority, manufacturer: String = "id:49424D00",
    _ change: (inout CertificateTemplate) -> Void = { _ in }
  ) -> [UInt8] {
    var template = maker.leaf(for: endorsementKey, subject: DistinguishedName([]))
    template.extensions += [
      .subjectAlternativeName(
        DistinguishedName([[NameAttribute(ObjectIdentifier([2, 23, 133, 2, 1]), manufacturer)]])),
      .extendedKeyUsage([ObjectIdentifier([2, 23, 133, 8, 1])]),
    ]
    change(&template)
    return maker.encoded(template)
  }
}
