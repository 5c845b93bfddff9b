/// Two digits for each byte, lower case: how logs show what is no text.
package func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
  var text: [UInt8] = []
  appendHexadecimal(Array(bytes), to: &text)
  return String(decoding: text, as: UTF8.self)
}

/// Adds the digits of ``hexadecimal(_:)`` in ASCII: logs are written on the way of every signature.
package func appendHexadecimal(_ bytes: [UInt8], to text: inout [UInt8]) {
  func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }
  for byte in bytes {
    text.append(digit(byte >> 4))
    text.append(digit(byte & 0xF))
  }
}

/// Adds the decimal digits of a number in ASCII, zeros before them where there are fewer than `width`.
package func appendDecimal(_ number: UInt64, width: Int = 1, to text: inout [UInt8]) {
  let start = text.count
  var rest = number
  repeat {
    text.append(UInt8(ascii: "0") + UInt8(rest % 10))
    rest /= 10
  } while rest > 0 || text.count - start < width
  text[start...].reverse()
}

/// The inverse, in upper or lower case; nil for what is not two digits for each byte.
package func bytes(hexadecimal text: String) -> [UInt8]? {
  let digits = text.utf8.map { Character(Unicode.Scalar($0)).hexDigitValue }
  guard digits.count.isMultiple(of: 2), !digits.contains(nil) else { return nil }
  return stride(from: 0, to: digits.count, by: 2).map { UInt8((digits[$0] ?? 0) << 4 | (digits[$0 + 1] ?? 0)) }
}
