import CBOR
import CTAP
import TestSupport
import Testing

/// A message of CTAP as a table: what members it has, of what type, and which of them must be there.
struct MessageSpecification: Sendable, CustomTestStringConvertible {
  enum Kind: Sendable {
    case bytes, text, map, array, unsigned, integer, boolean

    func includes(_ value: CBORValue) -> Bool {
      switch (self, value) {
      case (.bytes, .bytes), (.text, .text), (.map, .map), (.array, .array), (.unsigned, .unsigned),
        (.integer, .unsigned), (.integer, .negative), (.boolean, .boolean):
        true
      default: false
      }
    }
  }

  struct Member: Sendable {
    /// Keys of maps and, as integers, places in arrays.
    let path: [CBORValue]
    let kind: Kind
    let isRequired: Bool

    static func required(_ path: CBORValue..., kind: Kind) -> Member {
      Member(path: path, kind: kind, isRequired: true)
    }

    static func optional(_ path: CBORValue..., kind: Kind) -> Member {
      Member(path: path, kind: kind, isRequired: false)
    }
  }

  let name: String
  /// The whole message: one byte and one map.
  let bytes: [UInt8]
  let members: [Member]
  /// Maps in which unknown members are ignored, besides the outermost.
  let openMaps: [[CBORValue]]
  /// What becomes of a map without members.
  var ofEmptyMap: CTAPStatus = .missingParameter
  /// What becomes of the first byte alone.
  var ofNoMap: CTAPStatus = .invalidCBOR
  /// Decodes and encodes again.
  let recode: @Sendable ([UInt8]) throws(CTAPStatus) -> [UInt8]

  var testDescription: String { name }

  var map: CBORValue {
    get throws { try CanonicalCBOR.decode([UInt8](bytes.dropFirst())) }
  }

  func status(of map: CBORValue) -> CTAPStatus {
    status(of: [bytes[0]] + CanonicalCBOR.encode(map))
  }

  func status(of message: [UInt8]) -> CTAPStatus {
    do throws(CTAPStatus) {
      _ = try recode(message)
      return .ok
    } catch {
      return error
    }
  }
}

extension CBORValue {
  /// One value of every type.
  static let samples: [CBORValue] = [
    1, -1, .bytes([1]), "a", .array([]), .map([:]), true, .null, .undefined, .simple(32), .float16(0), .float32(0),
    .float64(0),
  ]

  /// This value with another one, or none, at the end of a path.
  func replacing(_ path: some Collection<CBORValue>, with replacement: CBORValue?) -> CBORValue? {
    guard let key = path.first else { return replacement }
    switch self {
    case .map(var map):
      map[key] = path.count > 1 ? map[key]?.replacing(path.dropFirst(), with: replacement) : replacement
      return .map(map)
    case .array(var elements):
      guard let index = key.integer.map(Int.init), elements.indices.contains(index) else { return nil }
      if let element = elements[index].replacing(path.dropFirst(), with: replacement) {
        elements[index] = element
      } else {
        elements.remove(at: index)
      }
      return .array(elements)
    default: return nil
    }
  }
}
