/// The CTAP2 canonical CBOR encoding form (CTAP 2.1 section 8): one encoding for each value, and nothing else accepted.
package enum CanonicalCBOR {
  /// Levels of arrays and maps that CTAP2 allows in a message.
  package static let maximumDepth = 4

  /// The bound of every caller's bound, since values are released, compared and encoded by recursion.
  private static let greatestDepth = 64

  /// Decodes exactly one item.
  ///
  /// - Parameters:
  ///   - bytes: the item and nothing else
  ///   - maximumDepth: how many arrays and maps may stand within one another
  /// - Returns: the value, whose encoding is exactly `bytes`
  /// - Throws: why `bytes` are not in the canonical form
  package static func decode(
    _ bytes: Span<UInt8>, maximumDepth: Int = maximumDepth
  ) throws(CBORError) -> CBORValue {
    let (value, byteCount) = try decodePrefix(bytes, maximumDepth: maximumDepth)
    guard byteCount == bytes.count else { throw .trailingBytes }
    return value
  }

  /// Decodes exactly one item.
  package static func decode(
    _ bytes: [UInt8], maximumDepth: Int = maximumDepth
  ) throws(CBORError) -> CBORValue {
    try decode(bytes.span, maximumDepth: maximumDepth)
  }

  /// Decodes the item at the start, as authenticator data has them one behind the other.
  ///
  /// - Returns: the item and how many bytes it took
  package static func decodePrefix(
    _ bytes: Span<UInt8>, maximumDepth: Int = maximumDepth
  ) throws(CBORError) -> (value: CBORValue, byteCount: Int) {
    precondition((0...greatestDepth).contains(maximumDepth), "no more than \(greatestDepth) levels")
    var builder = ValueBuilder(maximumDepth: maximumDepth)
    var offset = 0
    while true {
      let item = try StreamItem.read(from: bytes.extracting(offset...))
      let end = offset + item.byteCount
      if let value = try builder.add(item, from: offset, to: end, of: bytes) {
        return (value, end)
      }
      offset = end
    }
  }

  /// The one encoding of a value.
  package static func encode(_ value: CBORValue) -> [UInt8] {
    var output: [UInt8] = []
    append(value, to: &output)
    return output
  }

  private static func append(_ value: CBORValue, to output: inout [UInt8]) {
    switch value {
    case .unsigned(let number): Head.unsigned(number).append(to: &output)
    case .negative(let number): Head.negative(number).append(to: &output)
    case .bytes(let bytes):
      Head.bytes(bytes.count).append(to: &output)
      output += bytes
    case .text(let text):
      Head.text(text.utf8.count).append(to: &output)
      output += text.utf8
    case .array(let elements):
      Head.array(elements.count).append(to: &output)
      for element in elements {
        append(element, to: &output)
      }
    case .map(let map):
      Head.map(map.count).append(to: &output)
      for entry in map.entries {
        append(entry.key, to: &output)
        append(entry.value, to: &output)
      }
    case .boolean(let value): Head.boolean(value).append(to: &output)
    case .null: Head.null.append(to: &output)
    case .undefined: Head.undefined.append(to: &output)
    case .simple(let number):
      precondition(!(20..<32).contains(number), "simple values 20 to 31 are named or reserved")
      Head.simple(number).append(to: &output)
    // By hand: libcbor's encoders take numbers, through which the bits of a NaN do not pass unharmed.
    case .float16(let bits): appendFloat(0xf9, bits, to: &output)
    case .float32(let bits): appendFloat(0xfa, bits, to: &output)
    case .float64(let bits): appendFloat(0xfb, bits, to: &output)
    }
  }

  private static func appendFloat(_ initial: UInt8, _ bits: some FixedWidthInteger, to output: inout [UInt8]) {
    output.append(initial)
    for shift in stride(from: bits.bitWidth - 8, through: 0, by: -8) {
      output.append(UInt8(truncatingIfNeeded: bits >> shift))
    }
  }
}
