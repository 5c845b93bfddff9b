import CBOR
import TestSupport

/// The notation of the expected values in the vector files: RFC 8949 section 8 with the type of each number.
func diagnostic(_ value: CBORValue) -> String {
  switch value {
  case .unsigned(let number): "unsigned \(number)"
  case .negative(.max): "negative -18446744073709551616"
  case .negative(let number): "negative -\(number + 1)"
  case .bytes(let bytes): "h'\(bytes.hex)'"
  case .text(let text): "\"\(text)\""
  case .array(let elements): "[" + elements.map(diagnostic).joined(separator: ", ") + "]"
  case .map(let map):
    "{" + map.entries.map { "\(diagnostic($0.key)): \(diagnostic($0.value))" }.joined(separator: ", ") + "}"
  case .boolean(let value): "\(value)"
  case .null: "null"
  case .undefined: "undefined"
  case .simple(let number): "simple \(number)"
  case .float16(let bits): "float16 \(Double(Float16(bitPattern: bits)))"
  case .float32(let bits): "float32 \(Double(Float(bitPattern: bits)))"
  case .float64(let bits): "float64 \(Double(bitPattern: bits))"
  }
}
