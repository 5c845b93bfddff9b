internal import Glibc

/// The machine's users and groups (getpwnam_r(3), getgrnam_r(3): /etc/passwd, LDAP, whatever nsswitch.conf says). Of a
/// caller only what the kernel says counts; who belongs to a group here is for advice to the operator.
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

  /// The name of a user.
  ///
  /// - Parameter user: its number
  /// - Returns: nil if it has none
  /// - Throws: ``SystemError`` if the database could not be asked
  package static func name(ofUser user: UInt32) throws(SystemError) -> String? {
    try unsafe withEntry("getpwuid") { (buffer, size) in
      var entry = unsafe passwd()
      var found: UnsafeMutablePointer<passwd>?
      let code = unsafe getpwuid_r(user, &entry, buffer, size, &found)
      return (code, unsafe found.map { unsafe String(cString: $0.pointee.pw_name) })
    }
  }

  /// The name of a group.
  ///
  /// - Parameter group: its number
  /// - Returns: nil if it has none
  /// - Throws: ``SystemError`` if the database could not be asked
  package static func name(ofGroup group: UInt32) throws(SystemError) -> String? {
    try unsafe withEntry("getgrgid") { (buffer, size) in
      var entry = unsafe Glibc.group()
      var found: UnsafeMutablePointer<Glibc.group>?
      let code = unsafe getgrgid_r(group, &entry, buffer, size, &found)
      return (code, unsafe found.map { unsafe String(cString: $0.pointee.gr_name) })
    }
  }

  /// The groups that a new session of a user would have (getgrouplist(3)). A process that runs already may have others.
  ///
  /// - Parameter user: its number
  /// - Returns: empty where there is no such user
  /// - Throws: ``SystemError`` if the database could not be asked
  package static func groups(ofUser user: UInt32) throws(SystemError) -> [UInt32] {
    guard let name = try name(ofUser: user) else { return [] }
    let primary = try unsafe lookUp("getpwnam", name) { (name, buffer, size) in
      var entry = unsafe passwd()
      var found: UnsafeMutablePointer<passwd>?
      let code = unsafe getpwnam_r(name, &entry, buffer, size, &found)
      return (code, unsafe found.map { unsafe $0.pointee.pw_gid })
    }
    guard let primary else { return [] }
    var groups = [gid_t](repeating: 0, count: 64)
    while true {
      var count = Int32(groups.count)
      if unsafe getgrouplist(name, primary, &groups, &count) >= 0 { return Array(groups.prefix(Int(count))) }
      guard groups.count < 65_536 else { throw SystemError(call: "getgrouplist", code: ERANGE) }
      groups = [gid_t](repeating: 0, count: groups.count * 2)
    }
  }

  /// Large enough for a group with many thousands of members.
  private static let largestEntry = 16 << 20

  private static func lookUp(
    _ call: String, _ name: String,
    _ ask: (String, UnsafeMutablePointer<CChar>, Int) -> (code: Int32, found: UInt32?)
  ) throws(SystemError) -> UInt32? {
    // C would look up what stands before the NUL.
    if name.utf8.contains(0) { return nil }
    return try unsafe withEntry(call) { (buffer, size) in unsafe ask(name, buffer, size) }
  }

  /// Asks with a buffer that grows until the entry fits.
  private static func withEntry<Found>(
    _ call: String, _ ask: (UnsafeMutablePointer<CChar>, Int) -> (code: Int32, found: Found?)
  ) throws(SystemError) -> Found? {
    var size = 4096
    while true {
      let buffer = UnsafeMutablePointer<CChar>.allocate(capacity: size)
      defer { unsafe buffer.deallocate() }
      let (code, found) = unsafe ask(buffer, size)
      switch code {
      case 0: return found
      // getpwnam(3), "Errors": these too say that there is none.
      case ENOENT, ESRCH, EBADF, EPERM: return nil
      case EINTR: continue
      case ERANGE where size < largestEntry: size *= 4
      default: throw SystemError(call: call, code: code)
      }
    }
  }
}

/// Whom a user namespace does not know owns files as this user (user_namespaces(7)).
package let overflowUser: UInt32 = 65_534

/// Whether this process's user namespace knows every user of the machine.
package func knowsEveryUser() -> Bool {
  guard let file = try? Descriptor(opening: "/proc/self/uid_map", flags: O_RDONLY),
    let bytes = try? file.read(upTo: 4096)
  else { return true }
  // "inside outside count" on each line.
  let counts = String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { line in
    line.split(separator: " ").last.flatMap { UInt64($0) }
  }
  return counts.reduce(0, +) >= UInt64(UInt32.max)
}
