/// Bytes that are no TPM structure of the kind that was expected.
package enum TPMStructureError: Error, Equatable, Sendable {
  /// It ends before the named member does.
  case truncated(String)
  /// Bytes follow it.
  case trailingBytes
  /// The named member has a value that the TPM 2.0 Library, part 2, does not allow there, or that is not known here.
  case wrong(String)
}

extension TPMStructureError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .truncated(let member): "it ends before the end of \(member)"
    case .trailingBytes: "bytes follow it"
    case .wrong(let member): "\(member) has a value that is not allowed or not known"
    }
  }
}

/// Takes one member after the other, big-endian as the TPM marshals, each only if it is there.
struct StructureReader {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) {
    rest = bytes[...]
  }

  mutating func uint8(_ member: String) throws(TPMStructureError) -> UInt8 {
    try take(1, member)[0]
  }

  mutating func uint16(_ member: String) throws(TPMStructureError) -> UInt16 {
    try take(2, member).reduce(0) { $0 << 8 | UInt16($1) }
  }

  mutating func uint32(_ member: String) throws(TPMStructureError) -> UInt32 {
    try take(4, member).reduce(0) { $0 << 8 | UInt32($1) }
  }

  mutating func uint64(_ member: String) throws(TPMStructureError) -> UInt64 {
    try take(8, member).reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// A TPM2B: a size of two bytes, and as many bytes.
  mutating func sized(_ member: String, upTo limit: Int) throws(TPMStructureError) -> [UInt8] {
    let count = Int(try uint16(member))
    guard count <= limit else { throw .wrong(member) }
    return try take(count, member)
  }

  mutating func take(_ count: Int, _ member: String) throws(TPMStructureError) -> [UInt8] {
    guard rest.count >= count else { throw .truncated(member) }
    defer { rest.removeFirst(count) }
    return Array(rest.prefix(count))
  }

  func end() throws(TPMStructureError) {
    guard rest.isEmpty else { throw .trailingBytes }
  }
}

/// The inverse of ``StructureReader``.
struct StructureWriter {
  private(set) var bytes: [UInt8] = []

  mutating func integer<Integer: FixedWidthInteger & UnsignedInteger>(_ value: Integer) {
    for shift in stride(from: Integer.bitWidth - 8, through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> Integer(shift)))
    }
  }

  mutating func raw(_ value: [UInt8]) { bytes += value }

  /// - Parameter value: at most 65,535 bytes
  mutating func sized(_ value: [UInt8]) {
    integer(UInt16(value.count))
    bytes += value
  }
}
