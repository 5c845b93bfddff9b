internal import CTAP
internal import Secrets

/// What a padded PIN holds (``PINFormat``).
struct PINText {
  /// Bytes.
  let count: Int
  /// Unicode code points.
  let codePoints: Int

  /// nil for what is longer than a PIN may be, has zeros inside or is not UTF-8.
  init?(_ padded: borrowing SecretBytes) {
    let measured: (count: Int, codePoints: Int)? = padded.reveal { span in
      var count = span.count
      while count > 0, span[count - 1] == 0 { count -= 1 }
      guard count <= PINFormat.maximumCount else { return nil }
      var points = 0
      var index = 0
      while index < count {
        guard let length = PINText.length(span, at: index, before: count) else { return nil }
        index += length
        points += 1
      }
      return (count, points)
    }
    guard let measured else { return nil }
    (count, codePoints) = measured
  }

  /// Bytes of the code point at an index (RFC 3629); nil where there is none.
  private static func length(_ span: Span<UInt8>, at index: Int, before end: Int) -> Int? {
    let first = span[index]
    let (count, second): (Int, ClosedRange<UInt8>) =
      switch first {
      case 0x01...0x7f: (1, 0x80...0xbf)
      case 0xc2...0xdf: (2, 0x80...0xbf)
      case 0xe0: (3, 0xa0...0xbf)
      case 0xed: (3, 0x80...0x9f)
      case 0xe1...0xef: (3, 0x80...0xbf)
      case 0xf0: (4, 0x90...0xbf)
      case 0xf1...0xf3: (4, 0x80...0xbf)
      case 0xf4: (4, 0x80...0x8f)
      default: (0, 0x80...0xbf)
      }
    guard count > 0, index + count <= end else { return nil }
    for offset in 1..<max(1, count) {
      let range = offset == 1 ? second : 0x80...0xbf
      guard range.contains(span[index + offset]) else { return nil }
    }
    return count
  }
}
