internal import Glibc

/// What stat(2) says of a path, as far as it decides who may use what is there.
package struct PathStatus: Equatable, Sendable {
  package enum Kind: Equatable, Sendable {
    case regular
    case directory
    case socket
    case characterDevice
    case other
  }

  package let kind: Kind
  /// Permission bits, `0o7777` at most. A POSIX access list shows in the group's bits.
  package let permissions: UInt32
  package let owner: UInt32
  package let group: UInt32

  package init(kind: Kind, permissions: UInt32, owner: UInt32, group: UInt32) {
    self.kind = kind
    self.permissions = permissions
    self.owner = owner
    self.group = group
  }

  /// - Parameter path: followed where it is a symbolic link
  /// - Throws: ``SystemError``: ENOENT where nothing is there
  package init(of path: String) throws(SystemError) {
    var status = stat()
    try checked("stat \(path)") { unsafe stat(path, &status) }
    kind =
      switch status.st_mode & S_IFMT {
      case S_IFREG: .regular
      case S_IFDIR: .directory
      case S_IFSOCK: .socket
      case S_IFCHR: .characterDevice
      default: .other
      }
    permissions = status.st_mode & 0o7777
    owner = status.st_uid
    group = status.st_gid
  }

  /// Whether somebody besides root and the effective user of this process can change what is there.
  package var isWritableByOthers: Bool { othersCanWrite(owner: owner, permissions) }

  /// Whether the permission bits let this user read and write. Capabilities and access lists are not asked.
  package func isReadableAndWritable(user: UInt32, groups: [UInt32]) -> Bool {
    if user == 0 { return true }
    let shift: UInt32 = user == owner ? 6 : groups.contains(group) ? 3 : 0
    return permissions >> shift & 0o6 == 0o6
  }
}

/// Bytes that unprivileged programs can still write to the file system of `path` (statvfs(2)).
///
/// - Throws: ``SystemError``
package func freeBytes(at path: String) throws(SystemError) -> UInt64 {
  var status = statvfs()
  try checked("statvfs \(path)") { unsafe statvfs(path, &status) }
  return UInt64(status.f_bavail) * UInt64(status.f_frsize)
}
