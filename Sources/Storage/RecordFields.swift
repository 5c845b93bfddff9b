internal import CBOR

/// Why something sealed is not what this version wrote; the text is for the log.
struct RecordError: Error, Equatable, CustomStringConvertible {
  let description: String
}

/// A canonical CBOR map with integer keys while it is taken apart: what is left at the end was not understood.
struct RecordFields<Key: RawRepresentable<Int64>> {
  private var map: CBORMap

  /// - Parameters:
  ///   - bytes: the map
  ///   - depth: levels of arrays and maps, the map itself included
  /// - Throws: ``RecordError``
  init(_ bytes: [UInt8], depth: Int) throws(RecordError) {
    do throws(CBORError) {
      guard case .map(let map) = try CanonicalCBOR.decode(bytes, maximumDepth: depth) else {
        throw CBORError.truncated
      }
      self.map = map
    } catch {
      throw RecordError(description: "its record is not a canonical CBOR map")
    }
  }

  mutating func take(_ key: Key) -> CBORValue? {
    let value = map[.integer(key.rawValue)]
    map[.integer(key.rawValue)] = nil
    return value
  }

  mutating func optionalText(_ key: Key) throws(RecordError) -> String? {
    switch take(key) {
    case .none: return nil
    case .some(.text(let text)): return text
    case .some: throw wrong(key)
    }
  }

  mutating func optionalBytes(_ key: Key) throws(RecordError) -> [UInt8]? {
    switch take(key) {
    case .none: return nil
    case .some(.bytes(let bytes)): return bytes
    case .some: throw wrong(key)
    }
  }

  mutating func bytes(_ key: Key) throws(RecordError) -> [UInt8] {
    guard let bytes = try optionalBytes(key) else { throw wrong(key) }
    return bytes
  }

  mutating func integer(_ key: Key) throws(RecordError) -> Int64 {
    guard let number = take(key)?.integer else { throw wrong(key) }
    return number
  }

  mutating func boolean(_ key: Key) throws(RecordError) -> Bool {
    guard case .some(.boolean(let value)) = take(key) else { throw wrong(key) }
    return value
  }

  /// A field that is left out where it is false, and so is never written so.
  mutating func flag(_ key: Key) throws(RecordError) -> Bool {
    switch take(key) {
    case .none: return false
    case .some(.boolean(true)): return true
    case .some: throw wrong(key)
    }
  }

  func finish() throws(RecordError) {
    guard map.isEmpty else {
      throw RecordError(description: "its record has fields that are unknown: written by a newer version?")
    }
  }

  func wrong(_ key: Key) -> RecordError {
    RecordError(description: "its record's field \(key) is missing, of the wrong type or out of range")
  }
}
