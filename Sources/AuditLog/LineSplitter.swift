/// Splits what is read piece by piece into lines, in bounded memory.
package struct LineSplitter {
  /// Of a longer line only so much is kept: it is none of the daemon's.
  package static let maximumCount = 8 << 20

  private var rest: [UInt8] = []

  package init() {}

  /// - Parameters:
  ///   - piece: any bytes
  ///   - body: is given each line that has come to its end, without its line feed
  package mutating func take(_ piece: [UInt8], _ body: ([UInt8]) -> Void) {
    var start = piece.startIndex
    while let end = piece[start...].firstIndex(of: UInt8(ascii: "\n")) {
      if rest.isEmpty {
        body(Array(piece[start..<end]))
      } else {
        keep(piece[start..<end])
        body(rest)
        rest = []
      }
      start = end + 1
    }
    keep(piece[start...])
  }

  /// What stands behind the last line feed; nil where nothing does.
  package mutating func finish() -> [UInt8]? {
    defer { rest = [] }
    return rest.isEmpty ? nil : rest
  }

  private mutating func keep(_ part: ArraySlice<UInt8>) {
    rest += part.prefix(LineSplitter.maximumCount - rest.count)
  }
}
