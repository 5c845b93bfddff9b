/// A strict reader of JSON texts (RFC 8259). Refuses what FoundationEssentials' decoder lets pass (members named
/// twice, trailing commas) and says where.
struct JSONParser {
  /// Nesting that is read; the texts of WebAuthn have five levels.
  private static let maximumDepth = 64

  private let bytes: [UInt8]
  private var offset = 0
  private var depth = 0

  private init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// Reads one value and nothing else.
  static func parse(_ bytes: [UInt8]) throws(JSONInputError) -> JSONValue {
    guard !bytes.isEmpty else { throw JSONInputError(keyPath: "", expected: "a JSON text", found: "nothing") }
    guard String(validating: bytes, as: UTF8.self) != nil else {
      throw JSONInputError(keyPath: "", expected: "valid JSON", found: "bytes that are not UTF-8")
    }
    var parser = JSONParser(bytes)
    let value = try parser.value()
    parser.skipSpace()
    guard parser.peek == nil else { throw parser.complaint("more after the value") }
    return value
  }

  // MARK: Values

  private mutating func value() throws(JSONInputError) -> JSONValue {
    skipSpace()
    switch peek {
    case UInt8(ascii: "{"): return .object(try nested { parser throws(JSONInputError) in try parser.members() })
    case UInt8(ascii: "["): return .array(try nested { parser throws(JSONInputError) in try parser.elements() })
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "-"), .some(0x30...0x39): return try number()
    case UInt8(ascii: "t") where take("true"): return true
    case UInt8(ascii: "f") where take("false"): return false
    case UInt8(ascii: "n") where take("null"): return .null
    default: throw unexpected()
    }
  }

  private mutating func nested<Content>(
    _ content: (inout JSONParser) throws(JSONInputError) -> Content
  ) throws(JSONInputError) -> Content {
    guard depth < JSONParser.maximumDepth else {
      throw complaint("more than \(JSONParser.maximumDepth) levels of nesting")
    }
    depth += 1
    defer { depth -= 1 }
    offset += 1
    return try content(&self)
  }

  private mutating func members() throws(JSONInputError) -> [String: JSONValue] {
    var members: [String: JSONValue] = [:]
    skipSpace()
    if take("}") { return members }
    repeat {
      skipSpace()
      let start = offset
      guard peek == UInt8(ascii: "\"") else { throw unexpected() }
      let name = try string()
      skipSpace()
      guard take(":") else { throw unexpected() }
      guard members.updateValue(try value(), forKey: name) == nil else {
        offset = start
        throw complaint("a member named twice")
      }
      skipSpace()
    } while take(",")
    guard take("}") else { throw unexpected() }
    return members
  }

  private mutating func elements() throws(JSONInputError) -> [JSONValue] {
    var elements: [JSONValue] = []
    skipSpace()
    if take("]") { return elements }
    repeat {
      elements.append(try value())
      skipSpace()
    } while take(",")
    guard take("]") else { throw unexpected() }
    return elements
  }

  private mutating func number() throws(JSONInputError) -> JSONValue {
    let start = offset
    _ = take("-")
    if !take("0") { try digits() }
    var isInteger = true
    if take(".") {
      isInteger = false
      try digits()
    }
    if take("e") || take("E") {
      isInteger = false
      if !take("+") { _ = take("-") }
      try digits()
    }
    let text = String(decoding: bytes[start..<offset], as: UTF8.self)
    if isInteger, let integer = Int64(text) { return .integer(integer) }
    guard let number = Double(text), number.isFinite else {
      offset = start
      throw complaint("a number that is too large")
    }
    return .number(number)
  }

  private mutating func digits() throws(JSONInputError) {
    guard let first = peek, (0x30...0x39).contains(first) else { throw unexpected() }
    while let byte = peek, (0x30...0x39).contains(byte) { offset += 1 }
  }

  // MARK: Strings

  private mutating func string() throws(JSONInputError) -> String {
    offset += 1
    var text: [UInt8] = []
    while let byte = peek {
      switch byte {
      case UInt8(ascii: "\""):
        offset += 1
        return String(decoding: text, as: UTF8.self)
      case UInt8(ascii: "\\"):
        offset += 1
        text += try escape()
      case 0..<0x20: throw complaint("a control character in a string")
      default:
        text.append(byte)
        offset += 1
      }
    }
    throw unexpected()
  }

  private mutating func escape() throws(JSONInputError) -> [UInt8] {
    guard let byte = peek else { throw unexpected() }
    let plain: [UInt8: UInt8] = [
      0x22: 0x22, 0x5c: 0x5c, 0x2f: 0x2f, 0x62: 0x08, 0x66: 0x0c, 0x6e: 0x0a, 0x72: 0x0d, 0x74: 0x09,
    ]
    if let character = plain[byte] {
      offset += 1
      return [character]
    }
    guard byte == UInt8(ascii: "u") else { throw unexpected() }
    var units = [try codeUnit()]
    if UTF16.isLeadSurrogate(units[0]), take("\\"), peek == UInt8(ascii: "u") { units.append(try codeUnit()) }
    guard let text = String(validating: units, as: UTF16.self) else { throw complaint("half a surrogate pair") }
    return Array(text.utf8)
  }

  private mutating func codeUnit() throws(JSONInputError) -> UInt16 {
    offset += 1
    var unit: UInt16 = 0
    for _ in 0..<4 {
      guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { throw unexpected() }
      unit = unit << 4 | UInt16(digit)
      offset += 1
    }
    return unit
  }

  // MARK: Bytes

  private var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }

  private mutating func take(_ text: StaticString) -> Bool {
    let count = text.utf8CodeUnitCount
    guard bytes.count - offset >= count else { return false }
    let matches = text.description.utf8.elementsEqual(bytes[offset..<offset + count])
    if matches { offset += count }
    return matches
  }

  private mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d { offset += 1 }
  }

  private func unexpected() -> JSONInputError {
    guard let byte = peek else { return complaint("its end") }
    return complaint(
      (0x21...0x7e).contains(byte) ? "an unexpected \(Character(Unicode.Scalar(byte)))" : "an unexpected byte")
  }

  private func complaint(_ found: String) -> JSONInputError {
    let before = bytes[..<offset]
    let line = before.count { $0 == 0x0a } + 1
    let lineStart = before.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0
    return JSONInputError(
      keyPath: "", expected: "valid JSON", found: "\(found) at line \(line), column \(offset - lineStart + 1)")
  }
}
