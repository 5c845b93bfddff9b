/// TPMT_PUBLIC (TPM 2.0 Library, part 2, section 12.2.4) of an RSA or ECC key: what makes up its Name.
package struct TPMTPublic: Equatable, Sendable {
  /// TPMT_SYM_DEF_OBJECT (section 11.1.7); nil stands for TPM_ALG_NULL.
  package struct Symmetric: Equatable, Sendable {
    package var algorithm: UInt16
    package var keyBits: UInt16
    package var mode: UInt16

    package init(algorithm: UInt16, keyBits: UInt16, mode: UInt16) {
      self.algorithm = algorithm
      self.keyBits = keyBits
      self.mode = mode
    }
  }

  /// TPMT_RSA_SCHEME, TPMT_ECC_SCHEME or TPMT_KDF_SCHEME (sections 11.2.1 to 11.2.5); nil stands for TPM_ALG_NULL.
  package struct Scheme: Equatable, Sendable {
    package var algorithm: UInt16
    /// nil for RSAES, which has none.
    package var hash: UInt16?
    /// Of ECDAA only.
    package var count: UInt16?

    package init(algorithm: UInt16, hash: UInt16?, count: UInt16? = nil) {
      self.algorithm = algorithm
      self.hash = hash
      self.count = count
    }
  }

  package enum Key: Equatable, Sendable {
    /// TPMS_ECC_PARMS and TPMS_ECC_POINT. Coordinates are big-endian and, of many TPMs, without leading zeros.
    case ecc(curve: UInt16, kdf: Scheme?, x: [UInt8], y: [UInt8])
    /// TPMS_RSA_PARMS and the modulus. An exponent of 0 stands for 65537.
    case rsa(keyBits: UInt16, exponent: UInt32, modulus: [UInt8])
  }

  /// TPM_ALG_ID of the hash in the Name.
  package var nameAlgorithm: UInt16
  package var attributes: TPMObjectAttributes
  package var authPolicy: [UInt8]
  package var symmetric: Symmetric?
  package var scheme: Scheme?
  package var key: Key

  package init(
    nameAlgorithm: UInt16 = TPMAlgorithm.sha256, attributes: TPMObjectAttributes, authPolicy: [UInt8] = [],
    symmetric: Symmetric? = nil, scheme: Scheme? = nil, key: Key
  ) {
    self.nameAlgorithm = nameAlgorithm
    self.attributes = attributes
    self.authPolicy = authPolicy
    self.symmetric = symmetric
    self.scheme = scheme
    self.key = key
  }
}

extension TPMTPublic {
  /// The longest digest, SHA-512's.
  private static let maximumDigest = 64
  /// The longest coordinate, of a curve of 638 bits.
  private static let maximumCoordinate = 80
  /// The longest modulus, of 4096 bits.
  private static let maximumModulus = 512

  /// Parses any bytes: exactly a TPMT_PUBLIC, without the size of a TPM2B_PUBLIC before it.
  ///
  /// - Throws: ``TPMStructureError``
  package init(parsing bytes: [UInt8]) throws(TPMStructureError) {
    var reader = StructureReader(bytes)
    let type = try reader.uint16("type")
    guard type == TPMAlgorithm.ecc || type == TPMAlgorithm.rsa else { throw .wrong("type") }
    nameAlgorithm = try reader.uint16("nameAlg")
    attributes = TPMObjectAttributes(rawValue: try reader.uint32("objectAttributes"))
    authPolicy = try reader.sized("authPolicy", upTo: TPMTPublic.maximumDigest)
    symmetric = try TPMTPublic.symmetric(&reader)
    scheme = try TPMTPublic.scheme(&reader, "scheme")
    if type == TPMAlgorithm.ecc {
      let curve = try reader.uint16("curveID")
      let kdf = try TPMTPublic.scheme(&reader, "kdf")
      key = .ecc(
        curve: curve, kdf: kdf, x: try reader.sized("unique.x", upTo: TPMTPublic.maximumCoordinate),
        y: try reader.sized("unique.y", upTo: TPMTPublic.maximumCoordinate))
    } else {
      let keyBits = try reader.uint16("keyBits")
      let exponent = try reader.uint32("exponent")
      key = .rsa(
        keyBits: keyBits, exponent: exponent, modulus: try reader.sized("unique", upTo: TPMTPublic.maximumModulus))
    }
    try reader.end()
  }

  private static func symmetric(_ reader: inout StructureReader) throws(TPMStructureError) -> Symmetric? {
    let algorithm = try reader.uint16("symmetric")
    guard algorithm != TPMAlgorithm.null else { return nil }
    guard algorithm == TPMAlgorithm.aes else { throw .wrong("symmetric") }
    let keyBits = try reader.uint16("symmetric.keyBits")
    return Symmetric(algorithm: algorithm, keyBits: keyBits, mode: try reader.uint16("symmetric.mode"))
  }

  private static func scheme(
    _ reader: inout StructureReader, _ member: String
  ) throws(TPMStructureError) -> Scheme? {
    let algorithm = try reader.uint16(member)
    switch algorithm {
    case TPMAlgorithm.null: return nil
    case TPMAlgorithm.rsaes: return Scheme(algorithm: algorithm, hash: nil)
    case TPMAlgorithm.ecdaa:
      let hash = try reader.uint16(member)
      return Scheme(algorithm: algorithm, hash: hash, count: try reader.uint16(member))
    // Signature, key exchange and key derivation schemes (0x20 to 0x22) with a hash.
    case 0x0007, 0x0014, 0x0016...0x0019, 0x001B...0x001D, 0x0020...0x0022:
      return Scheme(algorithm: algorithm, hash: try reader.uint16(member))
    default: throw .wrong(member)
    }
  }

  /// As it is hashed into the Name.
  package func serialized() -> [UInt8] {
    var writer = StructureWriter()
    if case .ecc = key { writer.integer(TPMAlgorithm.ecc) } else { writer.integer(TPMAlgorithm.rsa) }
    writer.integer(nameAlgorithm)
    writer.integer(attributes.rawValue)
    writer.sized(authPolicy)
    if let symmetric {
      writer.integer(symmetric.algorithm)
      writer.integer(symmetric.keyBits)
      writer.integer(symmetric.mode)
    } else {
      writer.integer(TPMAlgorithm.null)
    }
    TPMTPublic.write(scheme, &writer)
    switch key {
    case .ecc(let curve, let kdf, let x, let y):
      writer.integer(curve)
      TPMTPublic.write(kdf, &writer)
      writer.sized(x)
      writer.sized(y)
    case .rsa(let keyBits, let exponent, let modulus):
      writer.integer(keyBits)
      writer.integer(exponent)
      writer.sized(modulus)
    }
    return writer.bytes
  }

  private static func write(_ scheme: Scheme?, _ writer: inout StructureWriter) {
    writer.integer(scheme?.algorithm ?? TPMAlgorithm.null)
    if let hash = scheme?.hash { writer.integer(hash) }
    if let count = scheme?.count { writer.integer(count) }
  }
}
