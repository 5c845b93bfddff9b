package import Crypto
internal import TPMStructures

/// Which TPMs an authority accepts: those whose endorsement certificate leads to a maker, and those that the operator
/// knows.
package struct EnrolmentPolicy: Sendable {
  /// Certificates of makers of TPMs: roots and what is below them.
  package var vendors: [Certificate]
  /// SHA-256 of endorsement keys (DER SubjectPublicKeyInfo).
  package var allowed: Set<[UInt8]>
  /// Who made the TPMs of some of these, as the operator says: names as in ``TPMVendor``.
  package var makers: [[UInt8]: String] = [:]
  /// Seconds since 1970-01-01 UTC.
  package var time: Int64

  package init(vendors: [Certificate], allowed: Set<[UInt8]>, time: Int64) {
    self.vendors = vendors
    self.allowed = allowed
    self.time = time
  }
}

/// A request that is consistent in itself, of a TPM that is accepted.
struct AcceptedRequest {
  let request: AttestationRequest
  let attestationKey: TPMTPublicBytes
  let endorsementKey: TPMTPublic
  /// SHA-256 of its SubjectPublicKeyInfo.
  let endorsementHash: [UInt8]
  let vendor: TPMVendor
}

extension EnrolmentPolicy {
  /// - Throws: ``EnrolmentRefusal``
  func accept(_ request: AttestationRequest) throws(EnrolmentRefusal) -> AcceptedRequest {
    let attestationKey = try TPMTPublicBytes(attestationKey: request.attestationKey)
    try checkQuote(request, attestationKey)
    let endorsementKey = try reading { () throws in try TPMTPublic(parsing: request.endorsementKey) }
    guard let key = KeyNumbers.subjectPublicKeyInfo(of: endorsementKey) else {
      throw EnrolmentRefusal("the endorsement key is of a kind that is not known here")
    }
    guard let vendor = TPMVendor(name: String(request.manufacturer.prefix { $0 != " " })) else {
      throw EnrolmentRefusal("the TPM names no registered maker")
    }
    let hash = SHA256.hash(key)
    var isMakerKnown = false
    if allowed.contains(hash) {
      isMakerKnown = makers[hash] != nil
      let maker = makers[hash] ?? EnrolmentPolicy.software
      guard vendor.name == maker else {
        throw EnrolmentRefusal(
          "the TPM says that \(vendor.name) made it, and the list \(isMakerKnown ? maker : "nothing of it"): write its "
            + "maker behind \(hash.hexadecimal) if you know it")
      }
    } else if let der = request.endorsementCertificate {
      isMakerKnown = try checkCertificate(der, of: key, vendor)
    } else {
      throw EnrolmentRefusal(
        "the TPM has no endorsement certificate, and its endorsement key \(hash.hexadecimal) is not on the list")
    }
    try checkModel(request.aaguid, isMakerKnown: isMakerKnown)
    return AcceptedRequest(
      request: request, attestationKey: attestationKey, endorsementKey: endorsementKey, endorsementHash: hash,
      vendor: vendor)
  }

  /// Of the TPMs whose maker nobody has named: software, which anybody can make.
  private static let software = "IBM"

  /// What the request says of itself goes into the certificates: no more than others vouch for.
  private func checkModel(_ aaguid: [UInt8], isMakerKnown: Bool) throws(EnrolmentRefusal) {
    guard aaguid == CountersignModel.hardware || aaguid == CountersignModel.software else {
      throw EnrolmentRefusal("its AAGUID is not one of Countersign's")
    }
    guard aaguid == CountersignModel.software || isMakerKnown else {
      throw EnrolmentRefusal(
        "nobody but the runner says who made its TPM, so that it cannot pass for hardware: its maker's certificate or the "
          + "list must name the maker")
    }
  }

  /// The quote holds the request together: who changes any of it cannot sign again.
  private func checkQuote(
    _ request: AttestationRequest, _ key: TPMTPublicBytes
  ) throws(EnrolmentRefusal) {
    let attest = try reading { () throws in try TPMSAttest(parsing: request.quote) }
    guard case .quote(let selections, let digest) = attest.attested, attest.extraData == request.digest else {
      throw EnrolmentRefusal("the request was altered: its quote is about something else")
    }
    guard case .p256(let x, let y)? = SubjectPublicKeyInfo.decode(key.subjectPublicKeyInfo),
      SignatureVerifier.isValidES256(x: x, y: y, signature: request.signature, message: request.quote)
    else { throw EnrolmentRefusal("the request was altered: its quote is not signed by the attestation key") }
    guard !request.pcrValues.isEmpty else { return }
    guard selections == [.init(hash: TPMAlgorithm.sha256, bits: [0xff, 0, 0])],
      request.pcrValues.count == AttestationRequest.pcrs.count,
      digest == SHA256.hash(request.pcrValues.flatMap { $0 })
    else { throw EnrolmentRefusal("the request was altered: the PCRs are not those of its quote") }
  }

  /// - Returns: whether it names the maker
  private func checkCertificate(
    _ der: [UInt8], of key: [UInt8], _ vendor: TPMVendor
  ) throws(EnrolmentRefusal) -> Bool {
    let certificate = try reading { () throws in try Certificate(der: der) }
    guard certificate.publicKey == key else {
      throw EnrolmentRefusal("the endorsement certificate is for another key than the endorsement key")
    }
    if let purposes = certificate[CertificateExtension.extendedKeyUsage] {
      let wanted = DER.element(.objectIdentifier, AttestationExtension.endorsementKey.content)
      guard purposes.value.contains(wanted) else {
        throw EnrolmentRefusal("the endorsement certificate is for another purpose (extendedKeyUsage)")
      }
    }
    let named = certificate.tpmManufacturer
    if let named, named != vendor {
      throw EnrolmentRefusal("the endorsement certificate names the maker \(named.name), the TPM \(vendor.name)")
    }
    do {
      // Makers' certificates lack one formality or the other.
      _ = try CertificateChain.validate(
        certificate, intermediates: [], anchors: vendors, revocationLists: [], at: time, isStrict: false)
    } catch {
      throw EnrolmentRefusal("the endorsement certificate is not trusted: \(error)")
    }
    return named != nil
  }
}

extension Certificate {
  /// Of the subject alternative name (TCG EK Credential Profile section 3.2.9), where it is one of the registry.
  fileprivate var tpmManufacturer: TPMVendor? {
    guard let value = self[CertificateExtension.subjectAlternativeName]?.value else { return nil }
    var outer = DER.Reader(value[...])
    guard let names = outer.next(.sequence) else { return nil }
    var reader = DER.Reader(names)
    while let explicit = reader.next(.context4) {
      var content = DER.Reader(explicit)
      guard let sequence = content.next(.sequence), let name = DistinguishedName(content: sequence) else { continue }
      for attribute in name.attributes where attribute.type == AttestationExtension.tpmManufacturer {
        return TPMVendor(identifier: String(decoding: attribute.value, as: UTF8.self))
      }
    }
    return nil
  }
}

extension [UInt8] {
  package var hexadecimal: String {
    let digits = [Character]("0123456789abcdef")
    var text = ""
    for byte in self { text.append(contentsOf: [digits[Int(byte >> 4)], digits[Int(byte & 0xf)]]) }
    return text
  }

  /// - Returns: nil for every text that ``hexadecimal`` does not write
  package init?(hexadecimal text: String) {
    let digits = text.utf8.map { Character(Unicode.Scalar($0)).hexDigitValue }
    guard digits.count % 2 == 0, digits.allSatisfy({ $0 != nil }), text == text.lowercased() else { return nil }
    let values = digits.compactMap { $0 }
    self = []
    for index in stride(from: 0, to: values.count, by: 2) { append(UInt8(values[index] << 4 | values[index + 1])) }
  }
}
