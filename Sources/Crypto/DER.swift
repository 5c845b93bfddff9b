/// The little of DER (X.690) that keys, certificates and messages of U2F need.
package enum DER {
  package enum Tag: UInt8, Sendable {
    case boolean = 0x01
    case integer = 0x02
    case bitString = 0x03
    case octetString = 0x04
    case null = 0x05
    case objectIdentifier = 0x06
    case enumerated = 0x0a
    case utf8String = 0x0c
    case printableString = 0x13
    case utcTime = 0x17
    case generalizedTime = 0x18
    case sequence = 0x30
    case set = 0x31
    /// [0], constructed.
    case context0 = 0xa0
    /// [3], constructed.
    case context3 = 0xa3
    /// [4], constructed.
    case context4 = 0xa4
    /// [0], primitive.
    case primitive0 = 0x80
  }

  package static func element(_ tag: Tag, _ content: [UInt8]) -> [UInt8] {
    element(tag: tag.rawValue, content)
  }

  /// The same of a tag that was read.
  static func element(tag: UInt8, _ content: [UInt8]) -> [UInt8] {
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
    return [tag] + length + content
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

  /// An object identifier of at least two components, of which the first is 0 to 2.
  package static func objectIdentifier(_ components: [UInt32]) -> [UInt8] {
    element(.objectIdentifier, ObjectIdentifier(components).content)
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

extension DER {
  /// Takes one element after the other of a sequence's content, each only if it has the tag that is expected.
  package struct Reader: Sendable {
    private var rest: ArraySlice<UInt8>

    package init(_ content: ArraySlice<UInt8>) {
      rest = content
    }

    package var isAtEnd: Bool { rest.isEmpty }
    /// The tag of the next element.
    package var tag: UInt8? { rest.first }

    /// The content of the next element; nil, and nothing is taken, where there is none with this tag.
    package mutating func next(_ tag: Tag) -> ArraySlice<UInt8>? {
      guard let (found, content, rest) = DER.first(of: rest), found == tag.rawValue else { return nil }
      self.rest = rest
      return content
    }

    /// The next element whole, with its tag and its content.
    package mutating func any() -> (tag: UInt8, content: ArraySlice<UInt8>, element: ArraySlice<UInt8>)? {
      guard let (tag, content, rest) = DER.first(of: rest) else { return nil }
      defer { self.rest = rest }
      return (tag, content, self.rest.prefix(self.rest.count - rest.count))
    }
  }
}

/// The content of an OBJECT IDENTIFIER (X.690 section 8.19).
package struct ObjectIdentifier: Hashable, Sendable {
  package let content: [UInt8]

  package init(content: [UInt8]) {
    self.content = content
  }

  /// - Parameter components: at least two, of which the first is 0 to 2
  package init(_ components: [UInt32]) {
    var content: [UInt8] = []
    for component in [components[0] * 40 + components[1]] + components.dropFirst(2) {
      var digits = [UInt8(component & 0x7f)]
      var rest = component >> 7
      while rest > 0 {
        digits.insert(UInt8(rest & 0x7f) | 0x80, at: 0)
        rest >>= 7
      }
      content += digits
    }
    self.content = content
  }
}

extension ObjectIdentifier: CustomStringConvertible {
  /// In dots; components beyond 32 bits are shown as `?`.
  package var description: String {
    var components: [String] = []
    var value: UInt64 = 0
    var isTooLong = false
    for byte in content {
      isTooLong = isTooLong || value >> 32 != 0
      value = value << 7 & 0xffff_ffff_ffff | UInt64(byte & 0x7f)
      guard byte & 0x80 == 0 else { continue }
      if components.isEmpty, !isTooLong {
        let first = min(value / 40, 2)
        components = [String(first), String(value - first * 40)]
      } else {
        components.append(isTooLong ? "?" : String(value))
      }
      (value, isTooLong) = (0, false)
    }
    return components.joined(separator: ".")
  }
}
