/// What an issuer says in a certificate (RFC 5280 section 4.1.2), to be signed by ECDSA with SHA-256.
package struct CertificateTemplate: Sendable {
  /// 1 to 3.
  package var version = 3
  /// Big-endian and positive.
  package var serialNumber: [UInt8]
  package var issuer: DistinguishedName
  package var subject: DistinguishedName
  /// Seconds since 1970-01-01 UTC.
  package var notBefore: Int64
  package var notAfter: Int64
  /// A DER SubjectPublicKeyInfo.
  package var publicKey: [UInt8]
  package var extensions: [CertificateExtension] = []

  package init(
    serialNumber: [UInt8], issuer: DistinguishedName, subject: DistinguishedName, notBefore: Int64, notAfter: Int64,
    publicKey: [UInt8], extensions: [CertificateExtension] = []
  ) {
    self.serialNumber = serialNumber
    self.issuer = issuer
    self.subject = subject
    self.notBefore = notBefore
    self.notAfter = notAfter
    self.publicKey = publicKey
    self.extensions = extensions
  }

  /// The TBSCertificate.
  package var signed: [UInt8] {
    var content = version == 1 ? [] : DER.element(.context0, DER.integer([UInt8(version - 1)]))
    content += DER.integer(serialNumber) + IssuerSignature.algorithm + issuer.encoded
    content += DER.element(.sequence, CertificateTime.encode(notBefore) + CertificateTime.encode(notAfter))
    content += subject.encoded + publicKey
    if !extensions.isEmpty {
      content += DER.element(.context3, DER.element(.sequence, extensions.flatMap(\.encoded)))
    }
    return DER.element(.sequence, content)
  }
}

/// What an issuer says in a revocation list (RFC 5280 section 5.1.2), to be signed by ECDSA with SHA-256.
package struct RevocationListTemplate: Sendable {
  package struct Entry: Equatable, Sendable {
    package var serialNumber: [UInt8]
    /// Seconds since 1970-01-01 UTC.
    package var time: Int64

    package init(serialNumber: [UInt8], time: Int64) {
      self.serialNumber = serialNumber
      self.time = time
    }
  }

  package var number: UInt64
  package var issuer: DistinguishedName
  /// Key identifier of the issuer (RFC 5280 section 4.2.1.1).
  package var keyIdentifier: [UInt8]
  /// Seconds since 1970-01-01 UTC.
  package var thisUpdate: Int64
  package var nextUpdate: Int64
  package var entries: [Entry]

  package init(
    number: UInt64, issuer: DistinguishedName, keyIdentifier: [UInt8], thisUpdate: Int64, nextUpdate: Int64,
    entries: [Entry]
  ) {
    self.number = number
    self.issuer = issuer
    self.keyIdentifier = keyIdentifier
    self.thisUpdate = thisUpdate
    self.nextUpdate = nextUpdate
    self.entries = entries
  }

  /// The TBSCertList.
  package var signed: [UInt8] {
    var content = DER.integer([1]) + IssuerSignature.algorithm + issuer.encoded
    content += CertificateTime.encode(thisUpdate) + CertificateTime.encode(nextUpdate)
    // An empty list is left out.
    if !entries.isEmpty {
      content += DER.element(
        .sequence,
        entries.flatMap {
          DER.element(.sequence, DER.integer($0.serialNumber) + CertificateTime.encode($0.time))
        })
    }
    let digits = (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * $0)) }
    let extensions = [
      CertificateExtension.authorityKeyIdentifier(keyIdentifier),
      CertificateExtension(CertificateExtension.crlNumber, DER.integer(digits)),
    ]
    content += DER.element(.context0, DER.element(.sequence, extensions.flatMap(\.encoded)))
    return DER.element(.sequence, content)
  }
}

/// The signature of an issuer: ECDSA with SHA-256.
package enum IssuerSignature {
  /// ecdsa-with-SHA256, without parameters (RFC 5758 section 3.2).
  static let algorithm = DER.element(.sequence, DER.objectIdentifier([1, 2, 840, 10045, 4, 3, 2]))

  /// The certificate or list, of what has been signed and a DER ECDSA-Sig-Value.
  package static func assemble(_ signed: [UInt8], signature: [UInt8]) -> [UInt8] {
    DER.element(.sequence, signed + algorithm + DER.bitString(signature))
  }
}

/// Extensions of RFC 5280 section 4.2 and section 5.2.
extension CertificateExtension {
  package static let subjectKeyIdentifier = ObjectIdentifier([2, 5, 29, 14])
  package static let keyUsage = ObjectIdentifier([2, 5, 29, 15])
  package static let subjectAlternativeName = ObjectIdentifier([2, 5, 29, 17])
  package static let basicConstraints = ObjectIdentifier([2, 5, 29, 19])
  package static let crlNumber = ObjectIdentifier([2, 5, 29, 20])
  package static let authorityKeyIdentifier = ObjectIdentifier([2, 5, 29, 35])
  package static let extendedKeyUsage = ObjectIdentifier([2, 5, 29, 37])

  package static func authorityKeyIdentifier(_ identifier: [UInt8]) -> CertificateExtension {
    CertificateExtension(authorityKeyIdentifier, DER.element(.sequence, DER.element(.primitive0, identifier)))
  }

  package static func subjectKeyIdentifier(_ identifier: [UInt8]) -> CertificateExtension {
    CertificateExtension(subjectKeyIdentifier, DER.element(.octetString, identifier))
  }

  package static func basicConstraints(isAuthority: Bool) -> CertificateExtension {
    // cA has the default false, which DER leaves out.
    CertificateExtension(
      basicConstraints, isCritical: true, DER.element(.sequence, isAuthority ? DER.element(.boolean, [0xff]) : []))
  }

  /// digitalSignature alone.
  package static let signing = CertificateExtension(keyUsage, isCritical: true, DER.element(.bitString, [7, 0x80]))
  /// keyCertSign and cRLSign.
  package static let issuing = CertificateExtension(keyUsage, isCritical: true, DER.element(.bitString, [1, 0x06]))

  package static func extendedKeyUsage(_ purposes: [ObjectIdentifier]) -> CertificateExtension {
    CertificateExtension(
      extendedKeyUsage, DER.element(.sequence, purposes.flatMap { DER.element(.objectIdentifier, $0.content) }))
  }

  /// Only a directoryName.
  package static func subjectAlternativeName(
    _ name: DistinguishedName, isCritical: Bool = true
  ) -> CertificateExtension {
    CertificateExtension(
      subjectAlternativeName, isCritical: isCritical, DER.element(.sequence, DER.element(.context4, name.encoded)))
  }
}
