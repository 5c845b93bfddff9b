internal import Crypto

/// The X.509 certificate (RFC 5280) that a registration of U2F must contain. The credential's own key signs it: there is
/// no key of a batch of authenticators here, and one per machine would make its credentials linkable.
package enum U2FSelfCertificate {
  /// What the key is to sign with SHA-256.
  ///
  /// - Parameters:
  ///   - x: 32 bytes
  ///   - y: 32 bytes
  ///   - credentialID: gives the serial number, which so is as unique as it is
  /// - Returns: a TBSCertificate
  package static func tbs(x: [UInt8], y: [UInt8], credentialID: [UInt8]) -> [UInt8] {
    let content =
      DER.element(.context0, DER.integer([version3])) + serialNumber(credentialID) + signatureAlgorithm + name
      + validity + name + SubjectPublicKeyInfo.encodeP256(x: x, y: y)
      + DER.element(.context3, DER.element(.sequence, basicConstraints))
    return DER.element(.sequence, content)
  }

  /// - Parameters:
  ///   - tbs: what has been signed
  ///   - signature: a DER ECDSA-Sig-Value
  /// - Returns: the certificate
  package static func assemble(tbs: [UInt8], signature: [UInt8]) -> [UInt8] {
    DER.element(.sequence, tbs + signatureAlgorithm + DER.bitString(signature))
  }

  private static let version3: UInt8 = 2
  private static let commonName = "Countersign U2F"
  private static let serialNumberCount = 16

  /// Of the same length for all, and not zero: the first bits are 01.
  private static func serialNumber(_ credentialID: [UInt8]) -> [UInt8] {
    var bytes = Array(SHA256.hash(credentialID).prefix(serialNumberCount))
    bytes[0] = bytes[0] & 0x3f | 0x40
    return DER.integer(bytes)
  }

  /// ecdsa-with-SHA256, 1.2.840.10045.4.3.2, without parameters (RFC 5758 section 3.2).
  private static let signatureAlgorithm = DER.element(
    .sequence, DER.element(.objectIdentifier, [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]))

  /// Issuer and subject: a common name, 2.5.4.3, and nothing else.
  private static let name = DER.element(
    .sequence,
    DER.element(
      .set,
      DER.element(
        .sequence,
        DER.element(.objectIdentifier, [0x55, 0x04, 0x03]) + DER.element(.utf8String, Array(commonName.utf8)))))

  /// From 2020-01-01 to the date that says "no end" (RFC 5280 section 4.1.2.5), which is past what UTCTime can say. The
  /// machine's clock is not asked: a certificate does not tell when a credential was made.
  private static let validity = DER.element(
    .sequence,
    DER.element(.utcTime, Array("200101000000Z".utf8)) + DER.element(.generalizedTime, Array("99991231235959Z".utf8)))

  /// 2.5.29.19, critical: an empty sequence, in which cA has its default, false.
  private static let basicConstraints = DER.element(
    .sequence,
    DER.element(.objectIdentifier, [0x55, 0x1d, 0x13]) + DER.element(.boolean, [0xff])
      + DER.element(.octetString, DER.element(.sequence, [])))
}
