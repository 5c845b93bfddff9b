import CBOR

/// What decodes re-encodes byte for byte, and a prefix is read as the same item alone would be.
func checkCBOR(_ input: [UInt8]) throws {
  for depth in [CanonicalCBOR.maximumDepth, 64] {
    guard let (value, byteCount) = try? CanonicalCBOR.decodePrefix(input.span, maximumDepth: depth) else { continue }
    let item = Array(input.prefix(byteCount))
    try require(CanonicalCBOR.encode(value) == item, "what decodes re-encodes byte for byte")
    try require(
      (try? CanonicalCBOR.decode(item, maximumDepth: depth)) == value, "an item decodes alone as it does as a prefix")
    try require(
      ((try? CanonicalCBOR.decode(input, maximumDepth: depth)) != nil) == (byteCount == input.count),
      "nothing may follow an item")
  }
}
