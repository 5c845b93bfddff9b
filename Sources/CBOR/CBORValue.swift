/// One CBOR data item (RFC 8949) as CTAP2 allows it: no tags, no indefinite lengths.
///
/// Floats are kept as their bits, since CTAP2 leaves their width and payload alone. Two values are equal exactly when
/// their encodings are: texts are compared by their bytes, not by Unicode equivalence as `String` does it.
package enum CBORValue: Sendable {
  case unsigned(UInt64)
  /// The number -1 - n.
  case negative(UInt64)
  case bytes([UInt8])
  case text(String)
  case array([CBORValue])
  case map(CBORMap)
  case boolean(Bool)
  case null
  case undefined
  /// Simple values without a name: 0 to 19 and 32 to 255.
  case simple(UInt8)
  case float16(UInt16)
  case float32(UInt32)
  case float64(UInt64)
}

extension CBORValue: Equatable {
  package static func == (left: CBORValue, right: CBORValue) -> Bool {
    switch (left, right) {
    case (.unsigned(let left), .unsigned(let right)): left == right
    case (.negative(let left), .negative(let right)): left == right
    case (.bytes(let left), .bytes(let right)): left == right
    case (.text(let left), .text(let right)): left.utf8.elementsEqual(right.utf8)
    case (.array(let left), .array(let right)): left == right
    case (.map(let left), .map(let right)): left == right
    case (.boolean(let left), .boolean(let right)): left == right
    case (.null, .null), (.undefined, .undefined): true
    case (.simple(let left), .simple(let right)): left == right
    case (.float16(let left), .float16(let right)): left == right
    case (.float32(let left), .float32(let right)): left == right
    case (.float64(let left), .float64(let right)): left == right
    default: false
    }
  }
}

extension CBORValue {
  /// An integer of either sign.
  package static func integer(_ value: Int64) -> CBORValue {
    value < 0 ? .negative(UInt64(-1 - value)) : .unsigned(UInt64(value))
  }

  /// The value of an integer, nil for everything else and for integers beyond `Int64`.
  package var integer: Int64? {
    switch self {
    case .unsigned(let value): Int64(exactly: value)
    case .negative(let value): Int64(exactly: value).map { -1 - $0 }
    default: nil
    }
  }
}

extension CBORValue: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral, ExpressibleByBooleanLiteral {
  package init(integerLiteral value: Int64) {
    self = .integer(value)
  }

  package init(stringLiteral value: String) {
    self = .text(value)
  }

  package init(booleanLiteral value: Bool) {
    self = .boolean(value)
  }
}
