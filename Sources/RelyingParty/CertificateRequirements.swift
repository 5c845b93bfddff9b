internal import Crypto
internal import TPMStructures

extension ObjectIdentifier {
  /// id-fido-gen-ce-aaguid.
  static let aaguid = ObjectIdentifier([1, 3, 6, 1, 4, 1, 45724, 1, 1, 4])
  static let countryName = ObjectIdentifier([2, 5, 4, 6])
  static let organizationName = ObjectIdentifier([2, 5, 4, 10])
  static let organizationalUnitName = ObjectIdentifier([2, 5, 4, 11])
  static let commonName = ObjectIdentifier([2, 5, 4, 3])
  /// tcg-kp-AIKCertificate.
  static let attestationKey = ObjectIdentifier([2, 23, 133, 8, 3])
  static let tpmManufacturer = ObjectIdentifier([2, 23, 133, 2, 1])
  static let tpmModel = ObjectIdentifier([2, 23, 133, 2, 2])
  static let tpmVersion = ObjectIdentifier([2, 23, 133, 2, 3])
}

extension Certificate {
  /// Section 8.2.1.
  func checkPackedRequirements() throws(StatementFlaw) {
    try checkVersion("8.2.1")
    let country = try attribute(.countryName, "C", tag: .printableString)
    guard country.utf8.count == 2, country.utf8.allSatisfy({ (0x41...0x5a).contains($0) }) else {
      throw StatementFlaw("8.2.1", .subject("C"))
    }
    _ = try attribute(.organizationName, "O", tag: .utf8String)
    guard try attribute(.organizationalUnitName, "OU", tag: .utf8String) == "Authenticator Attestation" else {
      throw StatementFlaw("8.2.1", .subject("OU"))
    }
    _ = try attribute(.commonName, "CN", tag: .utf8String)
    try checkAAGUIDExtension("8.2.1")
    try checkNotAuthority("8.2.1")
  }

  /// Section 8.3.1.
  ///
  /// - Returns: what the certificate says of the TPM
  func checkTPMRequirements() throws(StatementFlaw) -> AttestedTPM {
    let section = "8.3.1"
    try checkVersion(section)
    guard subject.isEmpty else { throw StatementFlaw(section, .emptySubject) }
    let tpm = try attestedTPM(section)
    let purpose = CertificateExtension.extendedKeyUsage([.attestationKey])
    guard self[CertificateExtension.extendedKeyUsage]?.value == purpose.value else {
      throw StatementFlaw(section, .extendedKeyUsage)
    }
    try checkNotAuthority(section)
    try checkAAGUIDExtension(section)
    return tpm
  }

  /// That the AAGUID in the certificate, if one is there, is that of the authenticator data.
  func checkAAGUID(_ aaguid: [UInt8], section: String) throws(StatementFlaw) {
    guard let value = self[.aaguid]?.value else { return }
    guard value == DER.element(.octetString, aaguid) else { throw StatementFlaw(section, .aaguid) }
  }

  private func checkVersion(_ section: String) throws(StatementFlaw) {
    guard version == 3 else { throw StatementFlaw(section, .version(version)) }
  }

  /// cA false is the default, which DER leaves out.
  private func checkNotAuthority(_ section: String) throws(StatementFlaw) {
    guard self[CertificateExtension.basicConstraints]?.value == DER.element(.sequence, []) else {
      throw StatementFlaw(section, .notAuthority)
    }
  }

  private func checkAAGUIDExtension(_ section: String) throws(StatementFlaw) {
    guard let found = self[.aaguid] else { return }
    var reader = DER.Reader(found.value[...])
    guard !found.isCritical, reader.next(.octetString)?.count == 16, reader.isAtEnd else {
      throw StatementFlaw(section, .aaguidExtension)
    }
  }

  /// The attribute of the subject that is there once, of this type of string, and not empty.
  private func attribute(_ type: ObjectIdentifier, _ name: String, tag: DER.Tag) throws(StatementFlaw) -> String {
    let found = subject.attributes.filter { $0.type == type }
    guard found.count == 1, found[0].tag == tag.rawValue, !found[0].value.isEmpty,
      let text = String(validating: found[0].value, as: UTF8.self)
    else { throw StatementFlaw("8.2.1", .subject(name)) }
    return text
  }

  /// The subject alternative name of the TCG EK Credential Profile, section 3.2.9.
  private func attestedTPM(_ section: String) throws(StatementFlaw) -> AttestedTPM {
    guard let found = self[CertificateExtension.subjectAlternativeName] else {
      throw StatementFlaw(section, .alternativeName("is missing"))
    }
    // RFC 5280 section 4.2.1.6: critical where the subject is empty.
    guard found.isCritical else { throw StatementFlaw(section, .alternativeName("is not critical")) }
    var outer = DER.Reader(found.value[...])
    guard let names = outer.next(.sequence), outer.isAtEnd else {
      throw StatementFlaw(section, .alternativeName("is malformed"))
    }
    var reader = DER.Reader(names)
    guard let explicit = reader.next(.context4), reader.isAtEnd else {
      throw StatementFlaw(section, .alternativeName("is not one directoryName"))
    }
    var content = DER.Reader(explicit)
    guard let sequence = content.next(.sequence), content.isAtEnd, let name = DistinguishedName(content: sequence)
    else {
      throw StatementFlaw(section, .alternativeName("is malformed"))
    }
    var texts: [ObjectIdentifier: String] = [:]
    for attribute in name.attributes {
      guard attribute.tag == DER.Tag.utf8String.rawValue, !attribute.value.isEmpty,
        let text = String(validating: attribute.value, as: UTF8.self), texts[attribute.type] == nil
      else {
        throw StatementFlaw(
          section, .alternativeName("has an attribute twice, or one that is empty or no UTF8String"))
      }
      texts[attribute.type] = text
    }
    guard texts.count == 3, let manufacturer = texts[.tpmManufacturer], let model = texts[.tpmModel],
      let version = texts[.tpmVersion]
    else {
      throw StatementFlaw(
        section, .alternativeName("does not consist of manufacturer, model and version of the TPM"))
    }
    guard let vendor = TPMVendor(identifier: manufacturer) else { throw StatementFlaw(section, .vendor(manufacturer)) }
    return AttestedTPM(vendor: vendor, model: model, version: version)
  }
}
