internal import CDeflate

/// DEFLATE (RFC 1951), in which large blobs are stored.
enum Deflate {
  /// nil only without memory.
  static func compress(_ bytes: [UInt8]) -> [UInt8]? {
    var output = [UInt8](repeating: 0, count: cs_deflate_bound(bytes.count))
    var count = 0
    let status = unsafe output.withUnsafeMutableBufferPointer { output in
      unsafe cs_deflate(bytes, bytes.count, output.baseAddress, output.count, &count)
    }
    guard status == 1 else { return nil }
    output.removeLast(output.count - count)
    return output
  }

  /// The inverse of ``compress(_:)``; nil for what is malformed or has another length.
  static func decompress(_ bytes: [UInt8], count: Int) -> [UInt8]? {
    var output = [UInt8](repeating: 0, count: count)
    var got = 0
    let status = unsafe output.withUnsafeMutableBufferPointer { output in
      unsafe cs_inflate(bytes, bytes.count, output.baseAddress, output.count, &got)
    }
    return status == 1 && got == count ? output : nil
  }
}
