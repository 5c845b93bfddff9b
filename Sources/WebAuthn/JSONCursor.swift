/// A JSON value and the way to it, so that every complaint can name its key path.
///
/// A member that is `null` counts as absent.
package struct JSONCursor: Sendable {
  package let value: JSONValue
  package let keyPath: String

  package init(_ value: JSONValue, keyPath: String = "") {
    self.value = value
    self.keyPath = keyPath
  }

  package func complaint(expected: String, found: String? = nil) -> JSONInputError {
    JSONInputError(keyPath: keyPath, expected: expected, found: found ?? value.kind)
  }

  // MARK: Members

  /// nil where it is absent or null.
  package func optional(_ name: String) throws(JSONInputError) -> JSONCursor? {
    guard case .object(let members) = value else { throw complaint(expected: "an object") }
    guard let member = members[name], member != .null else { return nil }
    return JSONCursor(member, keyPath: path(of: name))
  }

  package func required(_ name: String, _ expected: String) throws(JSONInputError) -> JSONCursor {
    guard let member = try optional(name) else {
      throw JSONInputError(keyPath: path(of: name), expected: expected, found: "nothing")
    }
    return member
  }

  private func path(of name: String) -> String {
    keyPath.isEmpty ? name : keyPath + "." + name
  }

  // MARK: Types

  package func string() throws(JSONInputError) -> String {
    guard case .string(let text) = value else { throw complaint(expected: "a string") }
    return text
  }

  package func boolean() throws(JSONInputError) -> Bool {
    guard case .boolean(let boolean) = value else { throw complaint(expected: "true or false") }
    return boolean
  }

  package func integer(in range: ClosedRange<Int64>) throws(JSONInputError) -> Int64 {
    let expected = "an integer from \(range.lowerBound) to \(range.upperBound)"
    let integer: Int64
    switch value {
    case .integer(let value): integer = value
    // JavaScript knows one type of number: 6e4 is an integer.
    case .number(let value):
      guard let exact = Int64(exactly: value) else { throw complaint(expected: expected, found: "\(value)") }
      integer = exact
    default: throw complaint(expected: expected)
    }
    guard range.contains(integer) else { throw complaint(expected: expected, found: String(integer)) }
    return integer
  }

  package func bytes(
    _ count: ClosedRange<Int> = 0...Int.max, expected: String = "base64url text without padding"
  ) throws(JSONInputError) -> [UInt8] {
    guard case .string(let text) = value else { throw complaint(expected: expected) }
    guard let bytes = Base64URL.decode(text) else {
      throw complaint(expected: expected, found: "a string that is not base64url")
    }
    guard count.contains(bytes.count) else { throw complaint(expected: expected, found: "\(bytes.count) bytes") }
    return bytes
  }

  package func elements() throws(JSONInputError) -> [JSONCursor] {
    guard case .array(let elements) = value else { throw complaint(expected: "an array") }
    return elements.enumerated().map { JSONCursor($1, keyPath: "\(keyPath)[\($0)]") }
  }

  package func object() throws(JSONInputError) -> [String: JSONValue] {
    guard case .object(let members) = value else { throw complaint(expected: "an object") }
    return members
  }

  package func strings() throws(JSONInputError) -> [String] {
    var strings: [String] = []
    for element in try elements() { strings.append(try element.string()) }
    return strings
  }
}
