internal import TPM

extension TPMSignature {
  /// As WebAuthn section 6.5.5 wants it: a DER ECDSA-Sig-Value (RFC 3279 section 2.2.3), or the PKCS #1 signature.
  var encoded: [UInt8] {
    switch self {
    case .ecdsa(let r, let s):
      let content = derInteger(r) + derInteger(s)
      return [0x30] + derLength(content.count) + content
    case .rsassa(let bytes): return bytes
    }
  }
}

/// A non-negative INTEGER in its shortest form.
private func derInteger(_ magnitude: [UInt8]) -> [UInt8] {
  var value = Array(magnitude.drop { $0 == 0 })
  if value.first.map({ $0 & 0x80 != 0 }) ?? true { value.insert(0, at: 0) }
  return [0x02] + derLength(value.count) + value
}

private func derLength(_ count: Int) -> [UInt8] {
  if count < 0x80 { return [UInt8(count)] }
  let bytes = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) }.drop { $0 == 0 }
  return [0x80 | UInt8(bytes.count)] + bytes
}
