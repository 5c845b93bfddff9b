/// The order of map keys (CTAP 2.1 section 8): by major type, then by length, then bytewise, all of the encoded key.
enum KeyOrder {
  case before, same, after

  /// Compares two encoded keys, neither of which is empty.
  static func of(_ left: Span<UInt8>, _ right: Span<UInt8>) -> KeyOrder {
    // The major type is the upper three bits of the first byte.
    if left[0] >> 5 != right[0] >> 5 { return left[0] >> 5 < right[0] >> 5 ? .before : .after }
    if left.count != right.count { return left.count < right.count ? .before : .after }
    for index in left.indices where left[index] != right[index] {
      return left[index] < right[index] ? .before : .after
    }
    return .same
  }

  /// Compares two keys. Small integers, which nearly all keys of CTAP are, are compared without being encoded.
  static func of(_ left: CBORValue, _ right: CBORValue) -> KeyOrder {
    switch (left, right) {
    case (.unsigned(let left), .unsigned(let right)), (.negative(let left), .negative(let right)):
      left == right ? .same : left < right ? .before : .after
    default:
      of(CanonicalCBOR.encode(left).span, CanonicalCBOR.encode(right).span)
    }
  }
}
