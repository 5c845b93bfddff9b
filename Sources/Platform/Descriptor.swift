internal import CLinux
internal import Glibc

/// An open file descriptor that is closed at the end of its life.
package struct Descriptor: ~Copyable, Sendable {
  /// The number, for system calls; never close it.
  package let raw: Int32

  /// Takes ownership of `raw`.
  package init(owning raw: Int32) {
    self.raw = raw
  }

  deinit {
    close(raw)
  }

  /// Gives the number away; the caller closes it.
  package consuming func release() -> Int32 {
    let number = raw
    discard self
    return number
  }

  /// A second descriptor of the same open file (F_DUPFD_CLOEXEC).
  package borrowing func duplicate() throws(SystemError) -> Descriptor {
    let raw = raw
    return Descriptor(owning: try checked("fcntl") { fcntl(raw, F_DUPFD_CLOEXEC, 3) })
  }

  /// Opens `path` (open(2)) with O_CLOEXEC added.
  ///
  /// - Parameters:
  ///   - path: file name
  ///   - flags: O_RDONLY, O_WRONLY | O_APPEND …
  ///   - mode: permissions of a file that is created
  /// - Throws: ``SystemError``
  package init(opening path: String, flags: Int32, mode: UInt32 = 0o600) throws(SystemError) {
    self.init(owning: try checked("open \(path)") { unsafe Glibc.open(path, flags | O_CLOEXEC, mode) })
  }

  /// write(2) until every byte is written.
  package borrowing func write(_ bytes: [UInt8]) throws(SystemError) {
    var done = 0
    while done < bytes.count {
      let raw = raw
      done += try checked("write") {
        unsafe bytes.withUnsafeBytes {
          unsafe Glibc.write(raw, unsafe $0.baseAddress?.advanced(by: done), $0.count - done)
        }
      }
    }
  }

  /// One read(2) of at most `count` bytes; empty at the end.
  package borrowing func read(upTo count: Int) throws(SystemError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let raw = raw
    let got = try checked("read") {
      unsafe bytes.withUnsafeMutableBytes { unsafe Glibc.read(raw, $0.baseAddress, $0.count) }
    }
    bytes.removeLast(count - got)
    return bytes
  }

  /// flock(2) for one holder, until the last copy of this descriptor is closed.
  ///
  /// - Returns: false where someone else holds the lock
  package borrowing func lock() throws(SystemError) -> Bool {
    let raw = raw
    do throws(SystemError) {
      try checked("flock") { cs_lock_exclusively(raw) }
      return true
    } catch {
      guard error.code == EWOULDBLOCK else { throw error }
      return false
    }
  }

  /// Ends the lock at once: closing alone leaves it to a child that is just being started.
  package borrowing func unlock() {
    cs_unlock(raw)
  }

  /// fdatasync(2).
  package borrowing func synchronize() throws(SystemError) {
    let raw = raw
    try checked("fdatasync") { fdatasync(raw) }
  }
}

/// setrlimit(2): raises the soft limit of open descriptors to the hard one, since each connection is one.
///
/// - Returns: the limit now
@discardableResult
package func raiseDescriptorLimit() -> Int {
  var limit = rlimit()
  unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  limit.rlim_cur = limit.rlim_max
  unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  return Int(clamping: limit.rlim_cur)
}
