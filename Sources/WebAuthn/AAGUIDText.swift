/// An AAGUID as people write it: the text of a UUID (RFC 9562 section 4).
package enum AAGUIDText {
  /// - Parameter bytes: 16 of them
  /// - Returns: lower-case hexadecimal digits in groups of 8, 4, 4, 4 and 12
  package static func encode(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef")
    var text = ""
    for (index, byte) in bytes.enumerated() {
      if [4, 6, 8, 10].contains(index) { text.append("-") }
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 0xf)])
    }
    return text
  }

  /// - Returns: 16 bytes; nil for every text that ``encode(_:)`` does not write
  package static func decode(_ text: String) -> [UInt8]? {
    var digits: [UInt8] = []
    for character in text.utf8 where character != UInt8(ascii: "-") {
      guard let digit = Character(Unicode.Scalar(character)).hexDigitValue else { return nil }
      digits.append(UInt8(digit))
    }
    guard digits.count == 32 else { return nil }
    let bytes = stride(from: 0, to: 32, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    return encode(bytes) == text ? bytes : nil
  }
}
