internal import FoundationEssentials
internal import Platform

/// The text has a shape that the configuration does not have.
enum ShapeError: Error {
  /// - `expected`: continues "write …"
  case mismatch(keyPath: String, expected: String)
  case unknownKey(keyPath: String, valid: [String], nearest: String?)
}

/// Any key at all, to see which ones are there.
private struct AnyKey: CodingKey {
  let stringValue: String
  let intValue: Int? = nil

  init(stringValue: String) {
    self.stringValue = stringValue
  }

  init?(intValue: Int) {
    nil
  }
}

extension Decoder {
  /// A container in which no key may stand that `Keys` does not have.
  func strictContainer<Keys: CodingKey & CaseIterable>(
    keyedBy keys: Keys.Type
  ) throws -> KeyedDecodingContainer<Keys> {
    let present = try container(keyedBy: AnyKey.self).allKeys.map(\.stringValue).sorted()
    if let unknown = present.first(where: { Keys(stringValue: $0) == nil }) {
      let valid = Keys.allCases.map(\.stringValue)
      throw ShapeError.unknownKey(
        keyPath: JSON5Outline.path(rendered(codingPath), key: unknown), valid: valid,
        nearest: nearest(to: unknown, among: valid))
    }
    return try container(keyedBy: keys)
  }
}

extension KeyedDecodingContainer {
  /// nil only if the key is absent: unlike with `decodeIfPresent`, null is an error, since a `user: null` that counted
  /// as absent would widen a rule.
  func optional<Value: Decodable>(_ key: Key, as type: Value.Type = Value.self) throws -> Value? {
    contains(key) ? try decode(type, forKey: key) : nil
  }
}

/// `rules[0].callers[1].user`.
func rendered(_ path: [any CodingKey]) -> String {
  path.reduce("") { parent, key in
    key.intValue.map { JSON5Outline.path(parent, index: $0) } ?? JSON5Outline.path(parent, key: key.stringValue)
  }
}

/// The candidate that was most likely meant; nil if none is near.
func nearest(to word: String, among candidates: [String]) -> String? {
  if word.count > 2, let longer = candidates.first(where: { $0.lowercased().hasPrefix(word.lowercased()) }) {
    return longer
  }
  let distances = candidates.map { (candidate: $0, distance: editDistance(word.lowercased(), $0.lowercased())) }
  guard let best = distances.min(by: { $0.distance < $1.distance }) else { return nil }
  return best.distance <= max(2, best.candidate.count / 3) ? best.candidate : nil
}

/// Insertions, deletions, substitutions and swaps of neighbours that make `a` of `b`.
func editDistance(_ a: String, _ b: String) -> Int {
  let (a, b) = (Array(a.unicodeScalars.prefix(64)), Array(b.unicodeScalars.prefix(64)))
  var beforeLast: [Int] = []
  var last = Array(0...b.count)
  for i in a.indices {
    var row = [i + 1]
    for j in b.indices {
      var best = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
        best = min(best, beforeLast[j - 1] + 1)
      }
      row.append(best)
    }
    (beforeLast, last) = (last, row)
  }
  return last[b.count]
}

extension JSONDecoder {
  /// - Throws: ``ShapeError``, or what the decoder threw where it has no word for it
  static func decodeStrictly<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
    let decoder = JSONDecoder()
    decoder.allowsJSON5 = true
    do {
      return try decoder.decode(type, from: Data(bytes))
    } catch DecodingError.typeMismatch(let expected, let context),
      DecodingError.valueNotFound(let expected, let context)
    {
      throw ShapeError.mismatch(keyPath: rendered(context.codingPath), expected: named(expected))
    }
  }

  private static func named(_ type: any Any.Type) -> String {
    switch type {
    case is String.Type: "text in quotes"
    case is Bool.Type: "true or false"
    case is Double.Type: "a number"
    case is [String: Any].Type: "an object { … }"
    default: "a list [ … ]"
    }
  }
}
