package import Crypto
internal import WebAuthn

/// A certification authority in memory, and what it issues.
package struct TestAuthority {
  package let key = TestKey()
  package let name: DistinguishedName
  /// What it says of itself.
  package var template: CertificateTemplate

  /// From 2026 to 2036, self-signed.
  package static let begin: Int64 = 1_767_225_600
  package static let end: Int64 = 2_082_758_400
  /// In the middle of all that is valid here.
  package static let now: Int64 = 1_800_000_000

  package init(_ commonName: String = "Test CA") {
    name = DistinguishedName([[NameAttribute(ObjectIdentifier([2, 5, 4, 3]), commonName)]])
    template = CertificateTemplate(
      serialNumber: [1], issuer: name, subject: name, notBefore: TestAuthority.begin, notAfter: TestAuthority.end,
      publicKey: key.publicKey.subjectPublicKeyInfo,
      extensions: [
        .basicConstraints(isAuthority: true), .issuing, .subjectKeyIdentifier(TestAuthority.identifier(of: key)),
      ])
  }

  package var certificate: Certificate { issue(template) }

  /// A certificate of this authority for somebody else, that is none itself.
  package func leaf(for key: TestKey, subject: DistinguishedName) -> CertificateTemplate {
    CertificateTemplate(
      serialNumber: [7], issuer: name, subject: subject, notBefore: TestAuthority.begin, notAfter: TestAuthority.end,
      publicKey: key.publicKey.subjectPublicKeyInfo,
      extensions: [
        .basicConstraints(isAuthority: false), .signing,
        .authorityKeyIdentifier(TestAuthority.identifier(of: self.key)),
        .subjectKeyIdentifier(TestAuthority.identifier(of: key)),
      ])
  }

  package func issue(_ template: CertificateTemplate) -> Certificate {
    let der = encoded(template)
    guard let certificate = try? Certificate(der: der) else { fatalError("the certificate of the test is none") }
    return certificate
  }

  /// The same, not looked at.
  package func encoded(_ template: CertificateTemplate) -> [UInt8] {
    IssuerSignature.assemble(template.signed, signature: key.sign(template.signed))
  }

  package func revocationList(
    of serialNumbers: [[UInt8]], from: Int64 = TestAuthority.begin, until: Int64 = TestAuthority.end
  ) -> RevocationList {
    let template = RevocationListTemplate(
      number: 1, issuer: name, keyIdentifier: TestAuthority.identifier(of: key), thisUpdate: from, nextUpdate: until,
      entries: serialNumbers.map { .init(serialNumber: $0, time: from) })
    let der = IssuerSignature.assemble(template.signed, signature: key.sign(template.signed))
    guard let list = try? RevocationList(der: der) else { fatalError("the revocation list of the test is none") }
    return list
  }

  private static func identifier(of key: TestKey) -> [UInt8] {
    Array(SHA256.hash(key.publicKey.subjectPublicKeyInfo).prefix(20))
  }
}
