package import Crypto
package import Secrets
internal import TPMStructures

/// The operator's authority: decides about requests and signs certificates. Without files, clock and randomness of its
/// own, but for the secrets of its challenges.
package struct CertificateAuthority: ~Copyable {
  package private(set) var register: AuthorityRegister
  /// Self-signed.
  package let certificate: Certificate
  private let key: IssuerKey

  /// How far a runner's clock may be ahead of the authority's, in seconds.
  private static let clockTolerance: Int64 = 86_400
  /// How long a request may wait, and a challenge may be answered, in seconds.
  package static let challengeTime: Int64 = 7 * 86_400
  /// How long a revocation list holds.
  package static let listTime: Int64 = 30 * 86_400
  /// How long the authority's own certificate holds: ten years.
  private static let lifetime: Int64 = 3653 * 86_400
  private static let serialNumberCount = 16

  /// Takes up an authority.
  ///
  /// - Throws: ``EnrolmentRefusal`` where the certificate is not the key's
  package init(
    _ register: AuthorityRegister, certificate: Certificate, key: consuming IssuerKey
  ) throws(EnrolmentRefusal) {
    guard certificate.publicKey == key.publicKey else {
      throw EnrolmentRefusal("the authority's certificate is for another key than its private key")
    }
    self.register = register
    self.certificate = certificate
    self.key = key
  }

  /// A new authority.
  ///
  /// - Parameters:
  ///   - register: with its names
  ///   - time: seconds since 1970-01-01 UTC
  ///   - random: gives so many bytes
  /// - Throws: `CryptoError`, ``EnrolmentRefusal``
  package init(new register: AuthorityRegister, at time: Int64, random: (Int) -> [UInt8]) throws {
    let key = try IssuerKey()
    let name = DistinguishedName([
      [NameAttribute(Self.countryName, tag: .printableString, register.country)],
      [NameAttribute(Self.organizationName, register.organization)],
      [NameAttribute(Self.commonName, "\(register.organization) authenticator attestation")],
    ])
    let template = CertificateTemplate(
      serialNumber: Self.serialNumber(random), issuer: name, subject: name, notBefore: time,
      notAfter: time + Self.lifetime, publicKey: key.publicKey,
      extensions: [
        .basicConstraints(isAuthority: true), .issuing, .subjectKeyIdentifier(Self.identifier(of: key.publicKey)),
      ])
    let signed = template.signed
    certificate = try Certificate(der: IssuerSignature.assemble(signed, signature: try key.sign(signed)))
    self.register = register
    self.key = key
  }

  /// The private key for its file.
  ///
  /// - Throws: `CryptoError`
  package borrowing func encryptedKey(by passphrase: borrowing SecretBytes) throws -> [UInt8] {
    try key.encrypted(by: passphrase)
  }

  // MARK: Enrolment

  /// Decides about a request.
  ///
  /// - Parameters:
  ///   - request: from a runner
  ///   - policy: which TPMs are accepted
  ///   - random: gives so many bytes
  /// - Returns: what the runner must answer; it is in the register from now on
  /// - Throws: ``EnrolmentRefusal``, `CryptoError`, `SecretMemoryError`
  package mutating func challenge(
    _ request: AttestationRequest, under policy: EnrolmentPolicy, random: (Int) -> [UInt8]
  ) throws -> ActivationChallenge {
    let accepted = try policy.accept(request)
    guard request.created <= policy.time + Self.clockTolerance else {
      throw EnrolmentRefusal("the request is from the future: set the clocks of both machines")
    }
    guard request.created + Self.challengeTime >= policy.time else {
      throw EnrolmentRefusal("the request has expired: make a new one with countersign attestation request")
    }
    guard !register.issued.contains(where: { $0.request == request.digest }) else {
      throw EnrolmentRefusal(
        "the request was answered by certificates already: make a new one with countersign attestation request")
    }
    let secret = try SecretBytes.random(count: SHA256.count)
    let challenge = ActivationChallenge(
      id: random(16), request: request.digest, expires: policy.time + Self.challengeTime,
      blob: try CredentialActivation.make(secret, for: accepted.attestationKey.name, to: accepted.endorsementKey))
    let proof = HMACSHA256.authenticate(challenge.proofMessage, key: secret)
    register.pending.removeAll { $0.expires < policy.time || $0.request.digest == request.digest }
    register.pending.append(
      .init(id: challenge.id, proofHash: SHA256.hash(proof), expires: challenge.expires, request: request))
    return challenge
  }

  /// Issues certificates where the answer is right. It is right once.
  ///
  /// - Parameters:
  ///   - response: from the runner
  ///   - policy: which TPMs are accepted, still
  ///   - days: for which the certificates are to hold
  ///   - random: gives so many bytes
  /// - Returns: for the runner
  /// - Throws: ``EnrolmentRefusal``, `CryptoError`
  package mutating func issue(
    _ response: ActivationResponse, under policy: EnrolmentPolicy, days: Int64, random: (Int) -> [UInt8]
  ) throws -> AttestationCertificates {
    guard let index = register.pending.firstIndex(where: { $0.id == response.id }) else {
      throw EnrolmentRefusal("no challenge waits for this response: it was answered already, or is another authority's")
    }
    let pending = register.pending[index]
    guard pending.expires >= policy.time else {
      throw EnrolmentRefusal("the challenge has expired: begin again with a new request")
    }
    guard pending.request.digest == response.request,
      constantTimeEqual(SHA256.hash(response.proof), pending.proofHash)
    else { throw EnrolmentRefusal("the response is not the right one to its challenge") }
    let accepted = try policy.accept(pending.request)
    register.pending.remove(at: index)
    let notAfter = min(policy.time + days * 86_400, certificate.notAfter)
    let tpm = try issue("tpm", DistinguishedName([]), for: accepted, policy.time, notAfter, random)
    var names = [
      [NameAttribute(Self.countryName, tag: .printableString, register.country)],
      [NameAttribute(Self.organizationName, register.organization)],
      [NameAttribute(Self.organizationalUnitName, "Authenticator Attestation")],
      [NameAttribute(Self.commonName, "Countersign \(accepted.attestationKey.name.suffix(8).map { $0 }.hexadecimal)")],
    ]
    let packed = try issue("packed", DistinguishedName(names), for: accepted, policy.time, notAfter, random)
    // What stays with the TPM, whoever enrols it and however often.
    names.append([
      NameAttribute(Self.deviceName, tag: .printableString, accepted.endorsementHash.hexadecimal)
    ])
    let enterprise = try issue("enterprise", DistinguishedName(names), for: accepted, policy.time, notAfter, random)
    return AttestationCertificates(
      tpm: [tpm], packed: [packed], enterprise: [enterprise], authority: certificate.der)
  }

  private mutating func issue(
    _ format: String, _ subject: DistinguishedName, for accepted: AcceptedRequest, _ time: Int64, _ notAfter: Int64,
    _ random: (Int) -> [UInt8]
  ) throws -> [UInt8] {
    let publicKey = accepted.attestationKey.subjectPublicKeyInfo
    var extensions = [
      CertificateExtension.basicConstraints(isAuthority: false), .signing,
      .authorityKeyIdentifier(Self.identifier(of: key.publicKey)),
      .subjectKeyIdentifier(Self.identifier(of: publicKey)),
      CertificateExtension(AttestationExtension.aaguid, DER.element(.octetString, accepted.request.aaguid)),
    ]
    if format == "tpm" {
      let model = accepted.request.model.split(separator: " ").joined(separator: " ")
      extensions += [
        .subjectAlternativeName(
          DistinguishedName([
            [
              NameAttribute(AttestationExtension.tpmManufacturer, accepted.vendor.identifier),
              NameAttribute(AttestationExtension.tpmModel, model.isEmpty ? "unnamed" : model),
              NameAttribute(AttestationExtension.tpmVersion, "id:" + accepted.request.firmware),
            ]
          ])),
        .extendedKeyUsage([AttestationExtension.attestationKey]),
      ]
    }
    let serialNumber = Self.serialNumber(random)
    let template = CertificateTemplate(
      serialNumber: serialNumber, issuer: certificate.subject, subject: subject, notBefore: time, notAfter: notAfter,
      publicKey: publicKey, extensions: extensions)
    let signed = template.signed
    register.issued.append(
      .init(
        serialNumber: serialNumber.hexadecimal, format: format, endorsementKey: accepted.endorsementHash,
        attestationKey: accepted.attestationKey.name, request: accepted.request.digest, notBefore: time,
        notAfter: notAfter))
    return IssuerSignature.assemble(signed, signature: try key.sign(signed))
  }

  // MARK: Revocation

  /// Revokes every certificate of an attestation key, or one by its serial number.
  ///
  /// - Parameters:
  ///   - identifier: serial number, or Name of the attestation key, in lower-case hexadecimal
  ///   - time: seconds since 1970-01-01 UTC
  /// - Returns: how many were revoked now
  /// - Throws: ``EnrolmentRefusal`` where there is none
  package mutating func revoke(_ identifier: String, at time: Int64) throws(EnrolmentRefusal) -> Int {
    let found = register.issued.indices.filter {
      register.issued[$0].serialNumber == identifier || register.issued[$0].attestationKey.hexadecimal == identifier
    }
    guard !found.isEmpty else { throw EnrolmentRefusal("no certificate has this serial number or attestation key") }
    let new = found.filter { register.issued[$0].revoked == nil }
    for index in new { register.issued[index].revoked = time }
    return new.count
  }

  /// A revocation list of now.
  ///
  /// - Throws: `CryptoError`
  package mutating func revocationList(at time: Int64) throws -> [UInt8] {
    register.listNumber += 1
    let entries: [RevocationListTemplate.Entry] = register.issued.compactMap { issued in
      guard let revoked = issued.revoked, let serial = [UInt8](hexadecimal: issued.serialNumber) else { return nil }
      return .init(serialNumber: serial, time: revoked)
    }
    let template = RevocationListTemplate(
      number: register.listNumber, issuer: certificate.subject, keyIdentifier: Self.identifier(of: key.publicKey),
      thisUpdate: time, nextUpdate: time + Self.listTime, entries: entries)
    let signed = template.signed
    return IssuerSignature.assemble(signed, signature: try key.sign(signed))
  }

  // MARK: Numbers and names

  private static let countryName = ObjectIdentifier([2, 5, 4, 6])
  private static let organizationName = ObjectIdentifier([2, 5, 4, 10])
  private static let organizationalUnitName = ObjectIdentifier([2, 5, 4, 11])
  /// serialNumber of X.520: of a device.
  private static let deviceName = ObjectIdentifier([2, 5, 4, 5])
  private static let commonName = ObjectIdentifier([2, 5, 4, 3])

  /// Positive, and always of the same length.
  private static func serialNumber(_ random: (Int) -> [UInt8]) -> [UInt8] {
    var bytes = random(serialNumberCount)
    bytes[0] = bytes[0] & 0x3f | 0x40
    return bytes
  }

  private static func identifier(of publicKey: [UInt8]) -> [UInt8] { Array(SHA256.hash(publicKey).prefix(20)) }
}

extension AttestationRequest {
  /// TPM_PT_FIRMWARE_VERSION_1, as the EK Credential Profile shows versions.
  fileprivate var firmware: String {
    let digits = String(firmwareVersion >> 32, radix: 16, uppercase: true)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}
