/// Any JSON value. Objects are serialised with their members in lexicographic order, which is the order of WebIDL
/// dictionaries and so of a browser's `toJSON()`.
package enum JSONValue: Equatable, Sendable {
  case null
  case boolean(Bool)
  case integer(Int64)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  /// Parses one JSON text (RFC 8259), in UTF-8, strictly; no name may stand twice in an object.
  ///
  /// - Parameter bytes: the caller bounds their number
  /// - Returns: the value
  /// - Throws: ``JSONInputError`` without a key path, but with line and column
  package static func parse(_ bytes: [UInt8]) throws(JSONInputError) -> JSONValue {
    try JSONParser.parse(bytes)
  }

  /// The serialisation of `JSON.stringify`: no white space, no escapes but those that JSON demands.
  package func serialized() -> [UInt8] {
    var text: [UInt8] = []
    write(to: &text)
    return text
  }

  private func write(to text: inout [UInt8]) {
    switch self {
    case .null: text += "null".utf8
    case .boolean(let value): text += (value ? "true" : "false").utf8
    case .integer(let value): text += String(value).utf8
    case .number(let value): text += (value.isFinite ? value.description : "null").utf8
    case .string(let value): JSONValue.write(value, to: &text)
    case .array(let elements):
      text.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { text.append(UInt8(ascii: ",")) }
        element.write(to: &text)
      }
      text.append(UInt8(ascii: "]"))
    case .object(let members):
      text.append(UInt8(ascii: "{"))
      for (index, (name, value)) in members.sorted(by: { $0.key < $1.key }).enumerated() {
        if index > 0 { text.append(UInt8(ascii: ",")) }
        JSONValue.write(name, to: &text)
        text.append(UInt8(ascii: ":"))
        value.write(to: &text)
      }
      text.append(UInt8(ascii: "}"))
    }
  }

  private static func write(_ string: String, to text: inout [UInt8]) {
    text.append(UInt8(ascii: "\""))
    for byte in string.utf8 {
      switch byte {
      case 0x22: text += "\\\"".utf8
      case 0x5c: text += "\\\\".utf8
      case 0x08: text += "\\b".utf8
      case 0x09: text += "\\t".utf8
      case 0x0a: text += "\\n".utf8
      case 0x0c: text += "\\f".utf8
      case 0x0d: text += "\\r".utf8
      case 0..<0x20: text += unicodeEscape(byte)
      default: text.append(byte)
      }
    }
    text.append(UInt8(ascii: "\""))
  }

  /// `\u00xx` with lower-case digits.
  static func unicodeEscape(_ byte: UInt8) -> [UInt8] {
    let digits = [UInt8]("0123456789abcdef".utf8)
    return [UInt8]("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 0xf)]]
  }

  /// What a person would call it, for errors.
  var kind: String {
    switch self {
    case .null: "null"
    case .boolean: "a Boolean"
    case .integer, .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral {
  package init(stringLiteral value: String) { self = .string(value) }
  package init(booleanLiteral value: Bool) { self = .boolean(value) }
  package init(integerLiteral value: Int64) { self = .integer(value) }
}

/// JSON that is not what was expected: where, what was expected, and what stands there.
package struct JSONInputError: Error, Equatable, Sendable, CustomStringConvertible {
  /// As in JavaScript: `publicKey.excludeCredentials[0].id`; empty for the whole text.
  package let keyPath: String
  package let expected: String
  package let found: String

  package init(keyPath: String, expected: String, found: String) {
    self.keyPath = keyPath
    self.expected = expected
    self.found = found
  }

  package var description: String {
    (keyPath.isEmpty ? "" : keyPath + ": ") + "expected \(expected), found \(found)"
  }
}
