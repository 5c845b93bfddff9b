internal import CCBOR

/// What libcbor's encoders write: an integer, or the head of a string, array or map, always in its shortest form.
enum Head {
  case unsigned(UInt64)
  case negative(UInt64)
  case bytes(Int)
  case text(Int)
  case array(Int)
  case map(Int)
  case boolean(Bool)
  case null
  case undefined
  case simple(UInt8)

  /// The longest head: one byte and a 64-bit argument.
  private static let maximumByteCount = 9

  func append(to output: inout [UInt8]) {
    var buffer = InlineArray<9, UInt8>(repeating: 0)
    var span = buffer.mutableSpan
    let count = unsafe span.withUnsafeMutableBufferPointer { bytes in
      unsafe encode(into: bytes.baseAddress, bytes.count)
    }
    precondition(count > 0, "every head fits into \(Head.maximumByteCount) bytes")
    for index in 0..<count {
      output.append(buffer[index])
    }
  }

  private func encode(into bytes: UnsafeMutablePointer<UInt8>?, _ size: Int) -> Int {
    switch self {
    case .unsigned(let value): unsafe cbor_encode_uint(value, bytes, size)
    case .negative(let value): unsafe cbor_encode_negint(value, bytes, size)
    case .bytes(let count): unsafe cbor_encode_bytestring_start(count, bytes, size)
    case .text(let count): unsafe cbor_encode_string_start(count, bytes, size)
    case .array(let count): unsafe cbor_encode_array_start(count, bytes, size)
    case .map(let count): unsafe cbor_encode_map_start(count, bytes, size)
    case .boolean(let value): unsafe cbor_encode_bool(value, bytes, size)
    case .null: unsafe cbor_encode_null(bytes, size)
    case .undefined: unsafe cbor_encode_undef(bytes, size)
    case .simple(let value): unsafe cbor_encode_ctrl(value, bytes, size)
    }
  }
}
