internal import Glibc

/// An exclusive lock on a file (flock(2)), held until the end of its life or of the process, however that ends. Keeps
/// two daemons from one state directory.
package struct FileLock: ~Copyable, Sendable {
  private let file: Descriptor

  /// Opens or creates `path` and locks it without waiting.
  ///
  /// - Parameters:
  ///   - path: a file of its own, which stays when the lock is gone: removing it would let two hold "the" lock
  ///   - mode: its permissions if it is created
  /// - Throws: ``SystemError``; ``isHeld(_:)`` tells whether another process holds the lock
  package init(path: String, mode: UInt32 = 0o600) throws(SystemError) {
    let file = try Descriptor(opening: path, flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: mode)
    let raw = file.raw
    try checked("flock \(path)") { flock(raw, LOCK_EX | LOCK_NB) }
    self.file = file
  }

  /// Whether taking a lock failed because somebody else has it.
  package static func isHeld(_ error: SystemError) -> Bool {
    error.code == EWOULDBLOCK
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
