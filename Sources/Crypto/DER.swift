/// The little of DER (X.690) that keys, certificates and messages of U2F need.
package enum DER {
  package enum Tag: UInt8, Sendable {
    case boolean = 0x01
    case integer = 0x02
    case bitString = 0x03
    case octetString = 0x04
    case null = 0x05
    case objectIdentifier = 0x06
    case utf8String = 0x0c
    case utcTime = 0x17
    case generalizedTime = 0x18
    case sequence = 0x30
    case set = 0x31
    /// [0], constructed.
    case context0 = 0xa0
    /// [3], constructed.
    case context3 = 0xa3
  }

  package static func element(_ tag: Tag, _ content: [UInt8]) -> [UInt8] {
    var length: [UInt8] = [UInt8(truncatingIfNeeded: content.count)]
    if content.count >= 0x80 {
      var rest = content.count
      length = []
      while rest > 0 {
        length.insert(UInt8(truncatingIfNeeded: rest), at: 0)
        rest >>= 8
      }
      length.insert(0x80 | UInt8(length.count), at: 0)
    }
    return [tag.rawValue] + length + content
  }

  /// A number that is not negative; big-endian, with or without leading zeros.
  package static func integer(_ magnitude: [UInt8]) -> [UInt8] {
    var digits = Array(magnitude.drop { $0 == 0 })
    // DER integers are signed: a leading one bit wants a zero byte before it, and zero is one byte.
    if digits.first.map({ $0 >= 0x80 }) ?? true { digits.insert(0, at: 0) }
    return element(.integer, digits)
  }

  /// Whole bytes: no bits of the last one are unused.
  package static func bitString(_ bytes: [UInt8]) -> [UInt8] {
    element(.bitString, [0] + bytes)
  }

  /// Takes the first element of any bytes apart.
  ///
  /// - Returns: its tag, its content, which is not looked at, and what follows it; nil where there is no element whose
  ///   tag has one byte and whose length is encoded as DER wants it
  package static func first(
    of bytes: ArraySlice<UInt8>
  ) -> (tag: UInt8, content: ArraySlice<UInt8>, rest: ArraySlice<UInt8>)? {
    guard let tag = bytes.first, tag & 0x1f != 0x1f, let first = bytes.dropFirst().first else { return nil }
    var rest = bytes.dropFirst(2)
    var count = Int(first)
    if first >= 0x80 {
      // Four bytes of length are more than any message here can have.
      let digits = rest.prefix(Int(first & 0x7f))
      guard (1...4).contains(digits.count), digits.count == Int(first & 0x7f), digits.first != 0 else { return nil }
      count = digits.reduce(0) { $0 << 8 | Int($1) }
      guard count >= 0x80 else { return nil }
      rest = rest.dropFirst(digits.count)
    }
    guard count <= rest.count else { return nil }
    return (tag, rest.prefix(count), rest.dropFirst(count))
  }
}
