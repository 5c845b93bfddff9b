internal import Glibc

/// A file that appears under its name whole or not at all: written beside it, synchronised, renamed over it. What is
/// not a regular file (a pipe, `/dev/null`) is written to as it is.
package final class AtomicFile {
  private let path: String
  /// nil where `path` is written to directly.
  private let temporaryPath: String?
  private let descriptor: Descriptor
  private var isCommitted = false

  /// Makes the place for the content, so that a missing or read-only directory is known before the work begins.
  ///
  /// - Parameters:
  ///   - path: follows a symbolic link, which stays one
  ///   - mode: permissions, which the umask restricts further
  /// - Throws: ``SystemError``
  package init(path: String, mode: UInt32 = 0o666) throws(SystemError) {
    var status = stat()
    if unsafe stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
      self.path = path
      temporaryPath = nil
      descriptor = try Descriptor(opening: path, flags: O_WRONLY)
      return
    }
    let target = AtomicFile.resolved(path)
    let temporaryPath = target + "." + String(UInt64.random(in: 0 ... .max), radix: 36) + ".new"
    self.path = target
    self.temporaryPath = temporaryPath
    descriptor = try Descriptor(opening: temporaryPath, flags: O_WRONLY | O_CREAT | O_EXCL, mode: mode)
  }

  /// Writes the content and gives it its name.
  ///
  /// - Throws: ``SystemError``; then the file is as it was
  package func commit(_ bytes: [UInt8]) throws(SystemError) {
    try descriptor.write(bytes)
    guard let temporaryPath else { return }
    try descriptor.synchronize()
    try checked("rename \(path)") { unsafe rename(temporaryPath, path) }
    isCommitted = true
  }

  deinit {
    if let temporaryPath, !isCommitted { unsafe _ = unlink(temporaryPath) }
  }

  private static func resolved(_ path: String) -> String {
    guard let resolved = unsafe realpath(path, nil) else { return path }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }
}
