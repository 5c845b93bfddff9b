internal import CLinux
internal import Glibc

/// POSIX access lists (acl(5)) as the kernel takes them, in the extended attribute system.posix_acl_access. Whoever owns a
/// file may set one, without any privilege.
package enum AccessList {
  private enum Tag: UInt16 {
    case owner = 0x01
    case user = 0x02
    case group = 0x04
    case mask = 0x10
    case others = 0x20
  }

  /// Lets the file's owner and one more user read and write it, and nobody else.
  ///
  /// - Parameters:
  ///   - user: in the user namespace of this process
  ///   - path: a file of this process's user
  /// - Throws: ``SystemError``: EOPNOTSUPP where the file system has no access lists
  package static func allow(user: UInt32, toWrite path: String) throws(SystemError) {
    // Version 2, then the entries in this order, each with a tag, permissions and an ID, little-endian.
    let list =
      bytes(2 as UInt32) + entry(.owner, 6) + entry(.user, 6, user) + entry(.group, 0) + entry(.mask, 6)
      + entry(.others, 0)
    try checked("setxattr \(path)") {
      unsafe cs_set_access_list(path, list, list.count)
    }
  }

  private static func entry(_ tag: Tag, _ permissions: UInt16, _ id: UInt32 = .max) -> [UInt8] {
    bytes(tag.rawValue) + bytes(permissions) + bytes(id)
  }

  private static func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    (0..<Number.bitWidth / 8).map { UInt8(truncatingIfNeeded: number >> Number($0 * 8)) }
  }
}

extension Descriptor {
  /// A handle of a process (pidfd_open(2)), which is readable once that has ended, whoever has its number then.
  ///
  /// - Parameter process: its number here
  /// - Throws: ``SystemError``: ESRCH where there is none
  package init(ofProcess process: Int32) throws(SystemError) {
    self.init(owning: try checked("pidfd_open") { cs_pidfd_open(process) })
  }
}
