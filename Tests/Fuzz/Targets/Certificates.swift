import Crypto
import TPMStructures

/// The same bytes as each structure of a `tpm` attestation statement, and as what holds certificates.
func checkCertificates(_ input: [UInt8]) throws {
  if let area = try? TPMTPublic(parsing: input) {
    try require(area.serialized() == input, "a public area re-encodes byte for byte")
  }
  if let attest = try? TPMSAttest(parsing: input) {
    try require(attest.serialized() == input, "an attestation re-encodes byte for byte")
  }
  if let key = SubjectPublicKeyInfo.decode(input) {
    try require(key.encoded == input, "a SubjectPublicKeyInfo re-encodes byte for byte")
  }
  for block in PEM.decode(input, label: PEM.certificate) ?? [] {
    let text = PEM.encode(block, label: PEM.certificate)
    try require(PEM.decode(Array(text.utf8), label: PEM.certificate) == [block], "a block survives its encoding")
    try checkCertificate(block)
  }
  try checkCertificate(input)
}

private func checkCertificate(_ der: [UInt8]) throws {
  let list = try? RevocationList(der: der)
  guard let certificate = try? Certificate(der: der) else { return }
  try require((1...3).contains(certificate.version), "a certificate has a version")
  try require(Set(certificate.extensions.map(\.id)).count == certificate.extensions.count, "each extension once")
  for identifier in certificate.extensions.map(\.id) + certificate.subject.attributes.map(\.type) {
    try require(!identifier.description.contains(" "), "an object identifier has a text")
  }
  // As an anchor of itself, and as one that has to lead to itself by way of itself.
  _ = try? CertificateChain.validate(
    certificate, intermediates: [certificate], anchors: [certificate], revocationLists: list.map { [$0] } ?? [],
    at: certificate.notBefore)
}
