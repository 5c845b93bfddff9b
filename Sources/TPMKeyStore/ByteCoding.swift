/// Appends big-endian integers and byte strings with a 16-bit length before them.
struct ByteWriter {
  private(set) var bytes: [UInt8] = []

  mutating func byte(_ value: UInt8) { bytes.append(value) }

  mutating func integer(_ value: UInt32) {
    for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(shift))) }
  }

  mutating func long(_ value: UInt64) {
    integer(UInt32(truncatingIfNeeded: value >> 32))
    integer(UInt32(truncatingIfNeeded: value))
  }

  /// - Parameter value: at most 65,535 bytes
  mutating func string(_ value: [UInt8]) {
    let count = UInt16(value.count)
    bytes += [UInt8(count >> 8), UInt8(truncatingIfNeeded: count)]
    bytes += value
  }
}

/// Reads what ``ByteWriter`` wrote; nil for anything else.
struct ByteReader {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) {
    rest = bytes[...]
  }

  var isAtEnd: Bool { rest.isEmpty }

  mutating func byte() -> UInt8? { rest.popFirst() }

  mutating func integer() -> UInt32? {
    guard let bytes = take(4) else { return nil }
    return bytes.reduce(0) { $0 << 8 | UInt32($1) }
  }

  mutating func long() -> UInt64? {
    guard let high = integer(), let low = integer() else { return nil }
    return UInt64(high) << 32 | UInt64(low)
  }

  /// A byte string of at most `limit` bytes.
  mutating func string(upTo limit: Int) -> [UInt8]? {
    guard let length = take(2) else { return nil }
    let count = length.reduce(0) { $0 << 8 | Int($1) }
    guard count <= limit else { return nil }
    return take(count)
  }

  private mutating func take(_ count: Int) -> [UInt8]? {
    guard rest.count >= count else { return nil }
    defer { rest.removeFirst(count) }
    return Array(rest.prefix(count))
  }
}
