internal import Glibc
internal import Platform
internal import Secrets

/// Files with a secret in them, which is read straight into the memory that is made for it.
enum SecretFile {
  /// A PIN is short; more is somebody else's file.
  static let largest = 1024

  /// - Parameter descriptor: open, and closed by somebody else
  /// - Returns: its content without line ends at its end; nil where nothing is left
  /// - Throws: `SystemError`, `SecretMemoryError`
  static func read(_ descriptor: Int32) throws -> SecretText? {
    let isExposed = try isExposed(descriptor)
    var count = 0
    let room = try SecretBytes(count: largest + 1) { room in
      count = try readToEnd(of: descriptor, into: &room)
      guard count <= largest else { throw SystemError(call: "read", code: EFBIG) }
      while count > 0, room[count - 1] == UInt8(ascii: "\n") || room[count - 1] == UInt8(ascii: "\r") { count -= 1 }
    }
    return count > 0 ? SecretText(try beginning(of: room, count), isExposed: isExposed) : nil
  }

  static func beginning(of room: borrowing SecretBytes, _ count: Int) throws -> SecretBytes {
    try SecretBytes(count: count) { bytes in
      room.reveal { span in for index in 0..<count { bytes[index] = span[index] } }
    }
  }

  /// Whether a regular file is readable by its group or by everyone. Those of systemd's credentials are not.
  private static func isExposed(_ descriptor: Int32) throws(SystemError) -> Bool {
    let copy = Descriptor(owning: try checked("dup") { fcntl(descriptor, F_DUPFD_CLOEXEC, 0) })
    let status = try copy.status()
    return status.kind == .regular && status.permissions & 0o044 != 0
  }
}
