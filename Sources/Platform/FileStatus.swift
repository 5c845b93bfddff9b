internal import Glibc

/// What fstat(2) says of an open file, as far as it is needed to trust its content.
package struct FileStatus: Equatable, Sendable {
  package enum Kind: Sendable {
    case regular
    case directory
    case other
  }

  package let kind: Kind
  /// Permission bits, `0o7777` at most. A POSIX access list shows in the group's bits.
  package let permissions: UInt32
  package let owner: UInt32
  package let size: Int64

  /// Whether somebody besides root and the effective user of this process can change the file.
  package var isWritableByOthers: Bool { othersCanWrite(owner: owner, permissions) }
}

/// Whether somebody besides root and the effective user of this process has the permission to write.
func othersCanWrite(owner: UInt32, _ permissions: UInt32) -> Bool {
  (owner != 0 && owner != geteuid()) || permissions & 0o022 != 0
}

/// Which file, in which state of its content (fstat(2)).
package struct FileIdentity: Hashable, Sendable {
  package let device: UInt64
  package let inode: UInt64
  package let size: Int64
  /// Nanoseconds since 1970; set by whoever may write the file.
  package let modified: Int64
  /// Nanoseconds since 1970; set by the kernel alone.
  package let changed: Int64
}

extension Descriptor {
  /// fstat(2).
  package borrowing func identity() throws(SystemError) -> FileIdentity {
    try Descriptor.identity(of: raw)
  }

  /// fstat(2) of a descriptor that is another's.
  static func identity(of raw: Int32) throws(SystemError) -> FileIdentity {
    var status = stat()
    try checked("fstat") { unsafe fstat(raw, &status) }
    return FileIdentity(
      device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int64(status.st_size),
      modified: Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec),
      changed: Int64(status.st_ctim.tv_sec) * 1_000_000_000 + Int64(status.st_ctim.tv_nsec))
  }

  /// fstat(2).
  package borrowing func status() throws(SystemError) -> FileStatus {
    var status = stat()
    let raw = raw
    try checked("fstat") { unsafe fstat(raw, &status) }
    let kind: FileStatus.Kind =
      switch status.st_mode & S_IFMT {
      case S_IFREG: .regular
      case S_IFDIR: .directory
      default: .other
      }
    return FileStatus(
      kind: kind, permissions: status.st_mode & 0o7777, owner: status.st_uid, size: Int64(status.st_size))
  }
}

/// The names in a directory in byte order, without `.` and `..`.
///
/// - Parameter path: the directory
/// - Returns: nil if there is no such directory
/// - Throws: ``SystemError``
package func entries(ofDirectory path: String) throws(SystemError) -> [String]? {
  guard let directory = unsafe opendir(path) else {
    if errno == ENOENT { return nil }
    throw SystemError(call: "opendir \(path)", code: errno)
  }
  defer { unsafe _ = closedir(directory) }
  var names: [String] = []
  while true {
    errno = 0
    guard let entry = unsafe readdir(directory) else {
      if errno != 0 { throw SystemError(call: "readdir \(path)", code: errno) }
      break
    }
    let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
      unsafe $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { unsafe String(cString: $0) }
    }
    if name != "." && name != ".." { names.append(name) }
  }
  return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
}
