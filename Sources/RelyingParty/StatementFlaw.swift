package import Crypto
package import TPMStructures

/// The first requirement of a format (WebAuthn section 8) that an attestation statement does not meet.
package struct StatementFlaw: Error, Equatable, Sendable {
  package enum Requirement: Equatable, Sendable {
    /// The members of the statement, by its CDDL.
    case members(String)
    /// `alg` of self attestation is the credential key's.
    case algorithm(Int64)
    case signature

    // Certificates.
    case certificate(CertificateError)
    /// Its key is of a kind with which `alg` works.
    case certificateKey
    case version(Int)
    /// An attribute of the subject by its short name, as section 8.2.1 says.
    case subject(String)
    case emptySubject
    case notAuthority
    /// The AAGUID's extension is not critical, and holds an OCTET STRING of 16 bytes.
    case aaguidExtension
    case aaguid
    case alternativeName(String)
    case vendor(String)
    case extendedKeyUsage

    // TPM.
    case publicArea(TPMStructureError)
    case attestedKey
    case attributes
    case certificationInformation(TPMStructureError)
    case certified
    case extraData
    case name

    // U2F.
    case onlyES256
  }

  /// Of WebAuthn Level 3.
  package let section: String
  package let requirement: Requirement

  package init(_ section: String, _ requirement: Requirement) {
    self.section = section
    self.requirement = requirement
  }
}

extension StatementFlaw: CustomStringConvertible {
  package var description: String {
    switch requirement {
    case .members(let expected): "the attestation statement does not consist of \(expected)"
    case .algorithm(let algorithm): "the attestation's algorithm \(algorithm) is not that of the credential key"
    case .signature: "the attestation signature is wrong"
    case .certificate(let error): "a certificate of the attestation is malformed: \(error)"
    case .certificateKey: "the key of the attestation certificate is not one for the attestation's algorithm"
    case .version(let version): "the attestation certificate is of version \(version), not 3"
    case .subject(let attribute): "the attestation certificate's subject lacks the right \(attribute)"
    case .emptySubject: "the attestation certificate has a subject"
    case .notAuthority: "the attestation certificate does not say that it is no authority (basicConstraints)"
    case .aaguidExtension: "the AAGUID in the attestation certificate is critical, or not an OCTET STRING of 16 bytes"
    case .aaguid: "the AAGUID in the attestation certificate is not that of the authenticator data"
    case .alternativeName(let problem): "the attestation certificate's subjectAltName \(problem)"
    case .vendor(let identifier): "the attestation certificate names no registered maker of TPMs: \"\(identifier)\""
    case .extendedKeyUsage: "the attestation certificate's extendedKeyUsage is not tcg-kp-AIKCertificate alone"
    case .publicArea(let error): "pubArea is malformed: \(error)"
    case .attestedKey: "pubArea has another key than the credential's, or with a scheme of another algorithm"
    case .attributes: "pubArea does not say that the TPM made the key and keeps it, and that it is for signing"
    case .certificationInformation(let error): "certInfo is malformed: \(error)"
    case .certified: "certInfo is no certification of a key"
    case .extraData: "certInfo is about other authenticator data or client data (extraData)"
    case .name: "certInfo is about another key than pubArea (attested.name)"
    case .onlyES256: "fido-u2f is for ES256 keys only, of the credential and of the certificate"
    }
  }
}

/// Why a statement that is right in itself is not trusted (WebAuthn section 7.1 steps 23 and 24).
package enum Distrust: Equatable, Sendable {
  case kind(AttestationKind)
  case chain(CertificateChain.Failure)
  case aaguid([UInt8])
  case vendor(TPMVendor)
}
