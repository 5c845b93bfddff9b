internal import Glibc

/// The machine's users and groups by name (getpwnam_r(3), getgrnam_r(3): /etc/passwd, LDAP, whatever nsswitch.conf
/// says). Who belongs to a group is not asked here: of a caller only what the kernel says counts.
package enum Accounts {
  /// The number of the user with this name.
  ///
  /// - Parameter name: exactly as in the database
  /// - Returns: nil if there is none
  /// - Throws: ``SystemError`` if the database could not be asked
  package static func user(named name: String) throws(SystemError) -> UInt32? {
    try unsafe lookUp("getpwnam", name) { (name, buffer, size) in
      var entry = unsafe passwd()
      var found: UnsafeMutablePointer<passwd>?
      let code = unsafe getpwnam_r(name, &entry, buffer, size, &found)
      return (code, unsafe found.map { unsafe $0.pointee.pw_uid })
    }
  }

  /// The number of the group with this name.
  ///
  /// - Parameter name: exactly as in the database
  /// - Returns: nil if there is none
  /// - Throws: ``SystemError`` if the database could not be asked
  package static func group(named name: String) throws(SystemError) -> UInt32? {
    try unsafe lookUp("getgrnam", name) { (name, buffer, size) in
      var entry = unsafe Glibc.group()
      var found: UnsafeMutablePointer<Glibc.group>?
      let code = unsafe getgrnam_r(name, &entry, buffer, size, &found)
      return (code, unsafe found.map { unsafe $0.pointee.gr_gid })
    }
  }

  /// Large enough for a group with many thousands of members.
  private static let largestEntry = 16 << 20

  private static func lookUp(
    _ call: String, _ name: String,
    _ ask: (String, UnsafeMutablePointer<CChar>, Int) -> (code: Int32, number: UInt32?)
  ) throws(SystemError) -> UInt32? {
    // C would look up what stands before the NUL.
    if name.utf8.contains(0) { return nil }
    var size = 4096
    while true {
      let buffer = UnsafeMutablePointer<CChar>.allocate(capacity: size)
      defer { unsafe buffer.deallocate() }
      let (code, number) = unsafe ask(name, buffer, size)
      switch code {
      case 0: return number
      // getpwnam(3), "Errors": these too say that there is none.
      case ENOENT, ESRCH, EBADF, EPERM: return nil
      case EINTR: continue
      case ERANGE where size < largestEntry: size *= 4
      default: throw SystemError(call: call, code: code)
      }
    }
  }
}
