internal import Glibc

/// Reads to the end of a file, or until the memory is full: so that a secret is read straight into the memory that is
/// made for it.
///
/// - Parameters:
///   - descriptor: open, and closed by somebody else
///   - memory: from its beginning
/// - Returns: bytes that were read
/// - Throws: ``SystemError`` of read(2)
package func readToEnd(
  of descriptor: Int32, into memory: inout MutableSpan<UInt8>
) throws(SystemError) -> Int {
  var count = 0
  while count < memory.count {
    let from = count
    let got = try checked("read") {
      unsafe memory.withUnsafeMutableBytes { bytes in
        unsafe Glibc.read(descriptor, bytes.baseAddress?.advanced(by: from), bytes.count - from)
      }
    }
    if got == 0 { break }
    count += got
  }
  return count
}
