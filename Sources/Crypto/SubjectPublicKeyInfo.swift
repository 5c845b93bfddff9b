/// DER encodings of public keys (RFC 5280 section 4.1, RFC 5480, RFC 3279).
///
/// Encodes what it is given: whether a point lies on its curve is the verifier's question.
package enum SubjectPublicKeyInfo {
  /// A P-256 key with an uncompressed point; coordinates of 32 bytes.
  package static func encodeP256(x: [UInt8], y: [UInt8]) -> [UInt8] {
    // prime256v1, 1.2.840.10045.3.1.7
    encodeEC(curve: [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07], x, y)
  }

  /// A P-384 key with an uncompressed point; coordinates of 48 bytes.
  package static func encodeP384(x: [UInt8], y: [UInt8]) -> [UInt8] {
    // secp384r1, 1.3.132.0.34
    encodeEC(curve: [0x2B, 0x81, 0x04, 0x00, 0x22], x, y)
  }

  /// An RSA key; modulus and exponent big-endian.
  package static func encodeRSA(modulus: [UInt8], exponent: [UInt8]) -> [UInt8] {
    // rsaEncryption, 1.2.840.113549.1.1.1, with NULL parameters
    let algorithm = DER.element(
      .sequence,
      DER.element(.objectIdentifier, [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01]) + DER.element(.null, []))
    let key = DER.element(.sequence, DER.integer(modulus) + DER.integer(exponent))
    return DER.element(.sequence, algorithm + DER.bitString(key))
  }

  /// A key of a kind that is known here.
  package enum Key: Equatable, Sendable {
    case p256(x: [UInt8], y: [UInt8])
    case p384(x: [UInt8], y: [UInt8])
    /// Big-endian, no leading zeros.
    case rsa(modulus: [UInt8], exponent: [UInt8])

    package var encoded: [UInt8] {
      switch self {
      case .p256(let x, let y): SubjectPublicKeyInfo.encodeP256(x: x, y: y)
      case .p384(let x, let y): SubjectPublicKeyInfo.encodeP384(x: x, y: y)
      case .rsa(let modulus, let exponent): SubjectPublicKeyInfo.encodeRSA(modulus: modulus, exponent: exponent)
      }
    }
  }

  /// The inverse of the encodings here.
  ///
  /// - Parameter bytes: any
  /// - Returns: nil for what is not encoded exactly as here, as is every key of another kind
  package static func decode(_ bytes: [UInt8]) -> Key? {
    var outer = DER.Reader(bytes[...])
    guard let content = outer.next(.sequence), outer.isAtEnd else { return nil }
    var fields = DER.Reader(content)
    guard fields.next(.sequence) != nil, let bits = fields.next(.bitString), bits.first == 0 else { return nil }
    let key = bits.dropFirst()
    // Encoded again it must be the same bytes, which leaves no other algorithm and no second spelling.
    var candidates: [Key] = []
    if key.first == 0x04, key.count == 65 || key.count == 97 {
      let coordinates = key.dropFirst()
      let x = Array(coordinates.prefix(coordinates.count / 2))
      let y = Array(coordinates.suffix(coordinates.count / 2))
      candidates = [key.count == 65 ? .p256(x: x, y: y) : .p384(x: x, y: y)]
    }
    var sequence = DER.Reader(key)
    if let numbers = sequence.next(.sequence) {
      var numbers = DER.Reader(numbers)
      if let modulus = numbers.next(.integer), let exponent = numbers.next(.integer) {
        candidates.append(.rsa(modulus: Array(modulus.drop { $0 == 0 }), exponent: Array(exponent.drop { $0 == 0 })))
      }
    }
    return candidates.first { $0.encoded == bytes }
  }

  private static func encodeEC(curve: [UInt8], _ x: [UInt8], _ y: [UInt8]) -> [UInt8] {
    // id-ecPublicKey, 1.2.840.10045.2.1
    let publicKey = DER.element(.objectIdentifier, [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01])
    let algorithm = DER.element(.sequence, publicKey + DER.element(.objectIdentifier, curve))
    return DER.element(.sequence, algorithm + DER.bitString([0x04] + x + y))
  }
}
