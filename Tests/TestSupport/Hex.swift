extension Array where Element == UInt8 {
  /// Bytes from hexadecimal digits; spaces are allowed anywhere. Anything else is a mistake in the test.
  package init(hex: String) {
    let digits = hex.filter { $0 != " " && $0 != "\n" }.map { digit in
      guard let value = digit.hexDigitValue else { fatalError("not a hexadecimal digit: \(digit)") }
      return UInt8(value)
    }
    precondition(digits.count.isMultiple(of: 2), "an odd number of hexadecimal digits")
    self = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }

  package var hex: String {
    map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}
