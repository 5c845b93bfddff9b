internal import Crypto
internal import TPMStructures

/// A TPMT_PUBLIC of an attestation key, as bytes: those who carry it need not know the structure.
package struct TPMTPublicBytes: Equatable, Sendable {
  package let bytes: [UInt8]
  /// DER.
  package let subjectPublicKeyInfo: [UInt8]
  /// The Name.
  package let name: [UInt8]

  /// - Throws: ``EnrolmentRefusal`` where it is no restricted signing key for ECDSA on P-256 with SHA-256, that was made
  ///   in its TPM and is fixed to it
  package init(attestationKey bytes: [UInt8]) throws(EnrolmentRefusal) {
    let area = try reading { () throws in try TPMTPublic(parsing: bytes) }
    let needed = TPMObjectAttributes.bornAndKeptHere.union([.restricted, .sign])
    guard case .ecc(TPMCurve.p256, nil, _, _) = area.key, let key = KeyNumbers.subjectPublicKeyInfo(of: area),
      let name = KeyNumbers.name(of: area), area.symmetric == nil,
      area.scheme == .init(algorithm: TPMAlgorithm.ecdsa, hash: TPMAlgorithm.sha256),
      area.attributes.isSuperset(of: needed), !area.attributes.contains(.decrypt)
    else {
      throw EnrolmentRefusal(
        "the attestation key is no restricted signing key (ECDSA P-256 with SHA-256) that its TPM made and keeps")
    }
    self.bytes = bytes
    subjectPublicKeyInfo = key
    self.name = name
  }
}

/// Extensions and purposes of attestation certificates (WebAuthn sections 8.2.1 and 8.3.1).
enum AttestationExtension {
  /// id-fido-gen-ce-aaguid.
  static let aaguid = ObjectIdentifier([1, 3, 6, 1, 4, 1, 45724, 1, 1, 4])
  /// tcg-kp-EKCertificate.
  static let endorsementKey = ObjectIdentifier([2, 23, 133, 8, 1])
  /// tcg-kp-AIKCertificate.
  static let attestationKey = ObjectIdentifier([2, 23, 133, 8, 3])
  static let tpmManufacturer = ObjectIdentifier([2, 23, 133, 2, 1])
  static let tpmModel = ObjectIdentifier([2, 23, 133, 2, 2])
  static let tpmVersion = ObjectIdentifier([2, 23, 133, 2, 3])
}
