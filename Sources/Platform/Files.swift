internal import Glibc

extension Descriptor {
  /// Length in bytes (fstat(2)); nil where this is no regular file.
  package borrowing func fileSize() throws(SystemError) -> Int64? {
    var status = stat()
    let raw = raw
    try checked("fstat") { unsafe fstat(raw, &status) }
    return status.st_mode & S_IFMT == S_IFREG ? Int64(status.st_size) : nil
  }

  /// The byte at `offset` (pread(2)); nil at and after the end.
  package borrowing func byte(at offset: Int64) throws(SystemError) -> UInt8? {
    var byte: UInt8 = 0
    let raw = raw
    let got = try checked("pread") { unsafe pread(raw, &byte, 1, off_t(offset)) }
    return got == 1 ? byte : nil
  }

  /// Bytes from `offset` on (pread(2)); fewer only at the end.
  package borrowing func bytes(at offset: Int64, count: Int) throws(SystemError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let raw = raw
    var done = 0
    while done < count {
      let got = try checked("pread") {
        unsafe bytes.withUnsafeMutableBytes {
          unsafe pread(raw, $0.baseAddress?.advanced(by: done), $0.count - done, off_t(offset) + off_t(done))
        }
      }
      if got == 0 { break }
      done += got
    }
    bytes.removeLast(count - done)
    return bytes
  }

  /// ftruncate(2).
  package borrowing func truncate(to size: Int64) throws(SystemError) {
    let raw = raw
    try checked("ftruncate") { ftruncate(raw, off_t(size)) }
  }

  /// fchmod(2), which the umask does not weaken.
  package borrowing func setMode(_ mode: UInt32) throws(SystemError) {
    let raw = raw
    try checked("fchmod") { fchmod(raw, mode) }
  }

  /// Makes the names in a folder durable: fsync(2), since fdatasync(2) may leave them out.
  package static func synchronizeFolder(_ path: String) throws(SystemError) {
    let folder = try Descriptor(opening: path, flags: O_RDONLY | O_DIRECTORY)
    try checked("fsync \(path)") { fsync(folder.raw) }
  }
}

/// A path from the root, as it would be followed now.
package func absolutePath(_ path: String) -> String? {
  guard !path.hasPrefix("/") else { return path }
  guard let folder = unsafe getcwd(nil, 0) else { return nil }
  defer { unsafe free(folder) }
  return unsafe String(cString: folder) + "/" + path
}

/// A path from the root without symbolic links (realpath(3)); nil where it leads nowhere.
package func realPath(_ path: String) -> String? {
  guard let resolved = unsafe realpath(path, nil) else { return nil }
  defer { unsafe free(resolved) }
  return unsafe String(cString: resolved)
}

/// Where a symbolic link leads; nil where there is none.
package func target(ofLink path: String) -> String? {
  var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
  let count = unsafe readlink(path, &buffer, buffer.count)
  guard count > 0, count < buffer.count else { return nil }
  return String(validating: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Puts a symbolic link where it may replace any file but a folder, in one step (rename(2)).
///
/// - Parameters:
///   - path: of the link
///   - target: where it leads
/// - Throws: ``SystemError``
package func replaceWithLink(at path: String, to target: String) throws(SystemError) {
  let new = path + ".new"
  unsafe _ = unlink(new)
  try checked("symlink \(path)") { unsafe symlink(target, new) }
  try checked("rename to \(path)") { unsafe rename(new, path) }
}
