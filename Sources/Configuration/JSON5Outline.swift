internal import Platform

/// Where everything stands in a JSON5 text. `JSONDecoder` says neither where a text is broken nor where a value stood,
/// and silently takes one of two equal keys; this reads the text before it does.
///
/// A little stricter than JSON5 where a configuration gains by it: no NaN and Infinity, no escapes in keys, no
/// continued lines.
struct JSON5Outline {
  enum Kind: String {
    case object = "an object"
    case list = "a list"
    case text = "text"
    case number = "a number"
    case boolean = "true or false"
    case null = "null"
  }

  struct SyntaxError: Error, Equatable {
    let position: SourcePosition
    let keyPath: String?
    let problem: String
    let advice: String
  }

  /// By key path (`rules[0].name`; the empty path is the whole text): where its key or list element begins.
  private var places: [String: (offset: Int, kind: Kind)] = [:]
  private let bytes: [UInt8]
  private var next = 0

  private static let deepest = 16

  /// - Parameter bytes: the whole file
  /// - Throws: ``SyntaxError`` at the first place where it cannot be read
  init(_ bytes: [UInt8]) throws(SyntaxError) {
    self.bytes = bytes
    if let offset = Self.firstInvalidByte(bytes) {
      throw error(at: offset, "the text is not UTF-8", "save the file in UTF-8")
    }
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { next = 3 }
    try skipSpace()
    try readValue(path: "", from: next, depth: 0)
    try skipSpace()
    if next < bytes.count {
      throw error(at: next, "found \(found) after the end of the configuration", "remove what follows the last bracket")
    }
  }

  func kind(of path: String) -> Kind? { places[path]?.kind }

  /// Where `path` stands; where the nearest thing around it stands, if the text does not have it.
  func position(of path: String) -> SourcePosition {
    var path = path[...]
    while true {
      if let place = places[String(path)] { return position(at: place.offset) }
      guard let end = path.lastIndex(where: { $0 == "." || $0 == "[" }) else { break }
      path = path[..<end]
    }
    return position(at: places[""]?.offset ?? 0)
  }

  /// A path one key deeper.
  static func path(_ parent: String, key: String) -> String {
    let isPlain = !key.isEmpty && key.utf8.allSatisfy { isWordByte($0) && $0 < 0x80 }
    return (parent.isEmpty ? "" : parent + ".") + (isPlain ? key : quoted(key, limit: 64))
  }

  /// A path one list element deeper.
  static func path(_ parent: String, index: Int) -> String {
    "\(parent)[\(index)]"
  }
}

extension JSON5Outline {
  private mutating func readValue(path: String, from start: Int, depth: Int) throws(SyntaxError) {
    guard depth <= Self.deepest else {
      throw error(at: next, "brackets are nested more than \(Self.deepest) deep", "remove brackets")
    }
    switch peek {
    case UInt8(ascii: "{"):
      places[path] = (start, .object)
      try readObject(path, depth)
    case UInt8(ascii: "["):
      places[path] = (start, .list)
      try readList(path, depth)
    case UInt8(ascii: "\""), UInt8(ascii: "'"):
      places[path] = (start, .text)
      try readText()
    default:
      places[path] = (start, try readWord())
    }
  }

  private mutating func readObject(_ path: String, _ depth: Int) throws(SyntaxError) {
    let start = next
    next += 1
    while true {
      try skipSpace()
      if take("}") { return }
      let keyStart = next
      let key = try readKey(objectAt: start)
      let child = Self.path(path, key: key)
      if let earlier = places[child] {
        throw SyntaxError(
          position: position(at: keyStart), keyPath: child,
          problem: "the same key stands on line \(position(at: earlier.offset).line) already",
          advice: "remove one of the two")
      }
      try skipSpace()
      guard take(":") else {
        throw error(at: next, "found \(found) after key \(quoted(key, limit: 64))", "write \":\" and a value")
      }
      try skipSpace()
      try readValue(path: child, from: keyStart, depth: depth + 1)
      try readSeparator(before: "}", of: "object", openedAt: start)
    }
  }

  private mutating func readList(_ path: String, _ depth: Int) throws(SyntaxError) {
    let start = next
    next += 1
    var index = 0
    while true {
      try skipSpace()
      if take("]") { return }
      try readValue(path: Self.path(path, index: index), from: next, depth: depth + 1)
      index += 1
      try readSeparator(before: "]", of: "list", openedAt: start)
    }
  }

  private mutating func readSeparator(
    before end: Unicode.Scalar, of what: String, openedAt start: Int
  ) throws(SyntaxError) {
    try skipSpace()
    if take(",") || peek == UInt8(ascii: end) { return }
    let opened = position(at: start)
    throw error(
      at: next, "found \(found) in the \(what) that begins on line \(opened.line), column \(opened.column)",
      "write \",\" before the next entry or \"\(end)\" to end the \(what)")
  }

  private mutating func readKey(objectAt start: Int) throws(SyntaxError) -> String {
    let keyStart = next
    if peek == UInt8(ascii: "\"") || peek == UInt8(ascii: "'") {
      try readText()
      let key = bytes[(keyStart + 1)..<(next - 1)]
      if key.contains(UInt8(ascii: "\\")) {
        throw error(at: keyStart, "the key has a \"\\\" in it", "write the key without escapes")
      }
      return String(decoding: key, as: UTF8.self)
    }
    while let byte = peek, Self.isWordByte(byte) { next += 1 }
    let key = String(decoding: bytes[keyStart..<next], as: UTF8.self)
    guard let first = key.utf8.first, !Self.isDigit(first) else {
      next = keyStart
      let line = position(at: start).line
      throw error(
        at: keyStart, "found \(found) where a key must stand",
        "write a key, or \"}\" to end the object that begins on line \(line)")
    }
    return key
  }

  private mutating func readText() throws(SyntaxError) {
    let start = next
    let quote = bytes[next]
    next += 1
    while let byte = peek, byte != quote {
      guard byte >= 0x20 else {
        throw byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r")
          ? error(at: start, "the text does not end on its line", "write the closing quote")
          : error(at: next, "the text holds a control character", "write it as an escape, such as \"\\t\"")
      }
      if byte == UInt8(ascii: "\\") {
        try readEscape()
      } else {
        next += 1
      }
    }
    guard next < bytes.count else {
      throw error(at: start, "the text does not end", "write the closing quote")
    }
    next += 1
  }

  private mutating func readEscape() throws(SyntaxError) {
    let start = next
    let letter = next + 1 < bytes.count ? Unicode.Scalar(bytes[next + 1]) : "x"
    let digits: Int
    switch letter {
    case "\"", "'", "\\", "/", "b", "f", "n", "r", "t": digits = 0
    case "x": digits = 2
    case "u": digits = 4
    default: throw error(at: start, "no escape begins so", "write \"\\\\\" for a backslash")
    }
    next += 2
    let code = bytes[min(next, bytes.count)...].prefix(digits)
    guard code.count == digits, code.allSatisfy({ Self.isHexadecimal($0) }) else {
      throw error(at: start, "the escape is not complete", "write \(digits) hexadecimal digits after it")
    }
    switch UInt32(String(decoding: code, as: UTF8.self), radix: 16) {
    case 0 where digits > 0:
      throw error(at: start, "the escape stands for NUL, which no text here can hold", "remove it")
    case .some(let value) where Unicode.Scalar(value) == nil:
      throw error(at: start, "the escape is half of a character", "write the character itself")
    default: break
    }
    next += digits
  }

  private mutating func readWord() throws(SyntaxError) -> Kind {
    let start = next
    while let byte = peek, Self.isWordByte(byte) || "+-.".utf8.contains(byte) { next += 1 }
    let word = String(decoding: bytes[start..<next], as: UTF8.self)
    switch word {
    case "true", "false": return .boolean
    case "null": return .null
    case "":
      throw error(at: start, "found \(found) where a value must stand", "write a value")
    default:
      if Self.isNumber(word) { return .number }
      throw error(at: start, "\(quoted(word, limit: 64)) is no value", "put text in quotes")
    }
  }

  private mutating func skipSpace() throws(SyntaxError) {
    while let byte = peek {
      switch byte {
      case 0x09...0x0d, 0x20:
        next += 1
      case UInt8(ascii: "/"):
        try skipComment()
      default:
        return
      }
    }
  }

  private mutating func skipComment() throws(SyntaxError) {
    let start = next
    switch next + 1 < bytes.count ? bytes[next + 1] : 0 {
    case UInt8(ascii: "/"):
      while let byte = peek, byte != 0x0a, byte != 0x0d { next += 1 }
    case UInt8(ascii: "*"):
      next += 2
      while next + 1 < bytes.count, bytes[next] != UInt8(ascii: "*") || bytes[next + 1] != UInt8(ascii: "/") {
        next += 1
      }
      guard next + 1 < bytes.count else {
        throw error(at: start, "the comment does not end", "write \"*/\" at its end")
      }
      next += 2
    default:
      throw error(at: start, "found a \"/\" that begins no comment", "write \"//\" or \"/* … */\"")
    }
  }
}

extension JSON5Outline {
  private var peek: UInt8? { next < bytes.count ? bytes[next] : nil }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard peek == UInt8(ascii: character) else { return false }
    next += 1
    return true
  }

  /// What stands at `next`, for messages: a whole word, or one character.
  private var found: String {
    guard next < bytes.count else { return "the end of the file" }
    let word = bytes[next...].prefix { Self.isWordByte($0) }
    if !word.isEmpty { return quoted(String(decoding: word, as: UTF8.self), limit: 32) }
    return bytes[next] == UInt8(ascii: "\"") ? "a quote" : quoted(String(Unicode.Scalar(bytes[next])))
  }

  private func error(at offset: Int, _ problem: String, _ advice: String) -> SyntaxError {
    SyntaxError(position: position(at: offset), keyPath: nil, problem: problem, advice: advice)
  }

  private func position(at offset: Int) -> SourcePosition {
    let before = bytes[..<min(offset, bytes.count)]
    let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    let line = before.count { $0 == UInt8(ascii: "\n") } + 1
    return SourcePosition(line: line, column: before[lineStart...].count { $0 & 0xc0 != 0x80 } + 1)
  }

  private static func firstInvalidByte(_ bytes: [UInt8]) -> Int? {
    do {
      _ = try UTF8Span(validating: bytes.span)
      return nil
    } catch {
      return error.byteOffsets.lowerBound
    }
  }

  private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    isDigit(byte) || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "f"))
  }

  private static func isWordByte(_ byte: UInt8) -> Bool {
    isDigit(byte) || byte >= 0x80 || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "$")
      || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z"))
  }

  private static func isNumber(_ word: String) -> Bool {
    let unsigned = word.hasPrefix("+") || word.hasPrefix("-") ? word.dropFirst() : word[...]
    if unsigned.hasPrefix("0x") || unsigned.hasPrefix("0X") {
      let digits = unsigned.utf8.dropFirst(2)
      return (1...13).contains(digits.count) && digits.allSatisfy(isHexadecimal)
    }
    guard let first = unsigned.utf8.first, isDigit(first) || first == UInt8(ascii: "."),
      unsigned.utf8.allSatisfy({ isDigit($0) || ".eE+-".utf8.contains($0) }), let value = Double(word)
    else { return false }
    let hasLeadingZero = first == UInt8(ascii: "0") && unsigned.utf8.dropFirst().first.map(isDigit) == true
    return value.isFinite && !hasLeadingZero
  }
}
