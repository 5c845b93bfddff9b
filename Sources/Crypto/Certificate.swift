internal import COpenSSL

/// Bytes that are no X.509 certificate; says which part is not as RFC 5280 has it.
package struct CertificateError: Error, Equatable, Sendable, CustomStringConvertible {
  package let part: String

  package init(_ part: String) {
    self.part = part
  }

  package var description: String { "its \(part) is not as RFC 5280 has it" }
}

/// An attribute of a name (RFC 5280 section 4.1.2.4).
package struct NameAttribute: Equatable, Sendable {
  package let type: ObjectIdentifier
  /// A DER tag, e.g. 0x0c for a UTF8String.
  package let tag: UInt8
  package let value: [UInt8]

  package init(_ type: ObjectIdentifier, tag: DER.Tag = .utf8String, _ value: String) {
    self.type = type
    self.tag = tag.rawValue
    self.value = Array(value.utf8)
  }

  fileprivate init(type: ObjectIdentifier, tag: UInt8, value: [UInt8]) {
    self.type = type
    self.tag = tag
    self.value = value
  }
}

/// A Name: relative distinguished names, each of one attribute or more.
package struct DistinguishedName: Equatable, Sendable {
  package let relativeNames: [[NameAttribute]]

  package init(_ relativeNames: [[NameAttribute]]) {
    self.relativeNames = relativeNames
  }

  package var attributes: [NameAttribute] { relativeNames.flatMap { $0 } }
  package var isEmpty: Bool { relativeNames.isEmpty }

  /// - Parameter content: of the SEQUENCE
  package init?(content: ArraySlice<UInt8>) {
    var names: [[NameAttribute]] = []
    var reader = DER.Reader(content)
    while !reader.isAtEnd {
      guard let set = reader.next(.set) else { return nil }
      var members = DER.Reader(set)
      var attributes: [NameAttribute] = []
      while !members.isAtEnd {
        guard let pair = members.next(.sequence) else { return nil }
        var parts = DER.Reader(pair)
        guard let type = parts.next(.objectIdentifier), let value = parts.any(), parts.isAtEnd else { return nil }
        attributes.append(
          NameAttribute(type: ObjectIdentifier(content: Array(type)), tag: value.tag, value: Array(value.content)))
      }
      guard !attributes.isEmpty else { return nil }
      names.append(attributes)
    }
    relativeNames = names
  }

  package var encoded: [UInt8] {
    DER.element(
      .sequence,
      relativeNames.flatMap { attributes in
        // A SET OF is in the order of its encodings (X.690 section 11.6).
        let members = attributes.map {
          DER.element(.sequence, DER.element(.objectIdentifier, $0.type.content) + DER.element(tag: $0.tag, $0.value))
        }
        return DER.element(.set, members.sorted { $0.lexicographicallyPrecedes($1) }.flatMap { $0 })
      })
  }
}

/// An extension of a certificate.
package struct CertificateExtension: Equatable, Sendable {
  package let id: ObjectIdentifier
  package let isCritical: Bool
  /// The content of its OCTET STRING.
  package let value: [UInt8]

  package init(_ id: ObjectIdentifier, isCritical: Bool = false, _ value: [UInt8]) {
    self.id = id
    self.isCritical = isCritical
    self.value = value
  }

  package var encoded: [UInt8] {
    DER.element(
      .sequence,
      DER.element(.objectIdentifier, id.content) + (isCritical ? DER.element(.boolean, [0xff]) : [])
        + DER.element(.octetString, value))
  }
}

/// An X.509 certificate (RFC 5280 section 4), read but not trusted.
package struct Certificate: Equatable, Sendable {
  package let der: [UInt8]
  /// 1 to 3.
  package let version: Int
  /// Big-endian, as encoded.
  package let serialNumber: [UInt8]
  package let issuer: DistinguishedName
  package let subject: DistinguishedName
  /// Seconds since 1970-01-01 UTC.
  package let notBefore: Int64
  package let notAfter: Int64
  /// A DER SubjectPublicKeyInfo.
  package let publicKey: [UInt8]
  /// Each at most once.
  package let extensions: [CertificateExtension]

  /// Reads any bytes; what OpenSSL does not read is none either.
  ///
  /// - Throws: ``CertificateError``
  package init(der: [UInt8]) throws(CertificateError) {
    self.der = der
    guard unsafe cs_x509_is_certificate(der, der.count) == 1 else { throw CertificateError("encoding") }
    var outer = DER.Reader(der[...])
    guard let signed = outer.next(.sequence) else { throw CertificateError("encoding") }
    var parts = DER.Reader(signed)
    guard let tbs = parts.next(.sequence) else { throw CertificateError("TBSCertificate") }
    var fields = DER.Reader(tbs)
    version = try Certificate.version(&fields)
    guard let serialNumber = fields.next(.integer) else { throw CertificateError("serialNumber") }
    self.serialNumber = Array(serialNumber)
    guard fields.next(.sequence) != nil else { throw CertificateError("signature") }
    issuer = try Certificate.name(&fields, "issuer")
    guard let validity = fields.next(.sequence) else { throw CertificateError("validity") }
    var times = DER.Reader(validity)
    guard let notBefore = CertificateTime.read(&times), let notAfter = CertificateTime.read(&times) else {
      throw CertificateError("validity")
    }
    (self.notBefore, self.notAfter) = (notBefore, notAfter)
    subject = try Certificate.name(&fields, "subject")
    guard let key = fields.any(), key.tag == DER.Tag.sequence.rawValue else {
      throw CertificateError("subjectPublicKeyInfo")
    }
    publicKey = Array(key.element)
    extensions = try Certificate.extensions(&fields)
  }

  /// The extension, where it is there.
  package subscript(id: ObjectIdentifier) -> CertificateExtension? {
    extensions.first { $0.id == id }
  }

  private static func version(_ fields: inout DER.Reader) throws(CertificateError) -> Int {
    guard let explicit = fields.next(.context0) else { return 1 }
    var reader = DER.Reader(explicit)
    guard let number = reader.next(.integer), number.count == 1, let value = number.first, value <= 2 else {
      throw CertificateError("version")
    }
    return Int(value) + 1
  }

  private static func name(
    _ fields: inout DER.Reader, _ part: String
  ) throws(CertificateError) -> DistinguishedName {
    guard let content = fields.next(.sequence), let name = DistinguishedName(content: content) else {
      throw CertificateError(part)
    }
    return name
  }

  private static func extensions(_ fields: inout DER.Reader) throws(CertificateError) -> [CertificateExtension] {
    guard !fields.isAtEnd else { return [] }
    guard let explicit = fields.next(.context3), fields.isAtEnd else { throw CertificateError("extensions") }
    var outer = DER.Reader(explicit)
    guard let list = outer.next(.sequence), outer.isAtEnd else { throw CertificateError("extensions") }
    var reader = DER.Reader(list)
    var found: [CertificateExtension] = []
    while !reader.isAtEnd {
      guard let one = reader.next(.sequence) else { throw CertificateError("extensions") }
      var parts = DER.Reader(one)
      guard let id = parts.next(.objectIdentifier) else { throw CertificateError("extensions") }
      let critical = parts.next(.boolean)
      guard critical == nil || critical?.elementsEqual([0xff]) == true, let value = parts.next(.octetString),
        parts.isAtEnd
      else { throw CertificateError("extensions") }
      let new = CertificateExtension(
        ObjectIdentifier(content: Array(id)), isCritical: critical != nil, Array(value))
      guard !found.contains(where: { $0.id == new.id }) else { throw CertificateError("extensions") }
      found.append(new)
    }
    return found
  }
}
