internal import Crypto
internal import Glibc
internal import Platform

/// What the end of a file says of the chain.
struct ChainTail: Equatable {
  /// The last record; nil where the file has none.
  var end: ChainEnd?
  /// From the beginning of that record's line to the end of the file; the whole file where it has none.
  var region: [UInt8]
  /// How much of the region stands behind that line.
  var strayCount: Int

  /// Whether the file ends in the middle of a line.
  var isTorn: Bool { region.last != UInt8(ascii: "\n") }

  /// So much is read back at first, and at most. No record is as long as the first.
  private static let window = 1 << 17
  private static let maximumWindow = 1 << 26

  /// - Parameter file: open for reading
  /// - Returns: nil where the file is empty
  /// - Throws: `SystemError`; EFBIG where the last 64 MiB hold no record
  static func read(_ file: borrowing Descriptor) throws(SystemError) -> ChainTail? {
    guard let size = try file.fileSize(), size > 0 else { return nil }
    var count = min(Int64(window), size)
    while true {
      let bytes = try file.bytes(at: size - count, count: Int(count))
      if let tail = ChainTail(bytes) { return tail }
      guard count < size else { return ChainTail(end: nil, region: bytes, strayCount: bytes.count) }
      guard count < maximumWindow else { throw SystemError(call: "read (64 MiB without a record)", code: EFBIG) }
      count = min(count * 8, size, Int64(maximumWindow))
    }
  }

  private init(end: ChainEnd?, region: [UInt8], strayCount: Int) {
    self.end = end
    self.region = region
    self.strayCount = strayCount
  }

  /// nil where the last record may stand before these bytes. A line that has lost its beginning is none.
  private init?(_ bytes: [UInt8]) {
    var lineEnd = bytes.endIndex
    while let newline = bytes[..<lineEnd].lastIndex(of: UInt8(ascii: "\n")) {
      let start = bytes[..<newline].lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.startIndex
      if let record = ChainLine(Array(bytes[start..<newline])) {
        self.init(
          end: ChainEnd(sequence: record.sequence, hash: SHA256.hash(Array(bytes[start...newline]))),
          region: Array(bytes[start...]), strayCount: bytes.count - newline - 1)
        return
      }
      guard start > bytes.startIndex else { return nil }
      lineEnd = start
    }
    return nil
  }
}
