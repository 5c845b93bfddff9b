internal import CLinux
internal import Glibc

/// Who is on the other end of a Unix socket, as the kernel recorded it when the peer called connect(2).
///
/// A descriptor can be handed on: the credentials stay those of the process that connected. Whoever lets others
/// use its connection lends them its identity.
///
/// Making one is a single cheap system call. What takes more (and several files of /proc) is asked for afterwards.
package struct PeerCredentials: Equatable, Sendable {
  package let user: UInt32
  package let group: UInt32
  /// nil if the peer's process has no number in this pid namespace.
  package let process: Int32?

  /// Reads the credentials of the peer (SO_PEERCRED).
  ///
  /// - Parameter socket: a connected Unix socket
  /// - Throws: ``SystemError``
  package init(of socket: borrowing Descriptor) throws(SystemError) {
    let raw = socket.raw
    var process: pid_t = 0
    var user: uid_t = 0
    var group: gid_t = 0
    try checked("SO_PEERCRED") { unsafe cs_peer_credentials(raw, &process, &user, &group) }
    self.user = user
    self.group = group
    self.process = process > 0 ? process : nil
  }

  /// SO_PEERGROUPS.
  ///
  /// - Parameter socket: the one of these credentials
  /// - Returns: the groups without ``group``; none where the kernel could not tell
  package func supplementaryGroups(of socket: borrowing Descriptor) -> [UInt32] {
    let raw = socket.raw
    // NGROUPS_MAX is 65,536; most have few.
    var groups = [gid_t](repeating: 0, count: 32)
    var count = unsafe cs_peer_groups(raw, &groups, Int32(groups.count))
    if count > groups.count {
      groups = [gid_t](repeating: 0, count: Int(count))
      count = unsafe cs_peer_groups(raw, &groups, count)
    }
    return count > 0 ? groups.prefix(Int(count)).filter { $0 != group } : []
  }

  /// The systemd unit whose control group the process is in when this is read; see ``SystemdUnit``. nil whenever it
  /// is not certain: no systemd, /proc hidden (`hidepid`, `ProtectProc`), the process has ended.
  ///
  /// Control groups are found by process number, which another process can have by the time that they are read.
  /// SO_PEERPIDFD (Linux 6.5) gives a handle of the very process that connected: the unit counts only if that process
  /// still lived after its control group was read. On older kernels the handle is opened by number first, which is
  /// weaker: a process that connects, leaves its connection to a child, ends, and has its number taken over before
  /// the connection is accepted is credited with the unit of its successor. (The user and groups never are; rules
  /// that name a unit together with a user hold against other users on every kernel.)
  ///
  /// - Parameter socket: the one of these credentials
  /// - Returns: its name, or nil
  package func unit(of socket: borrowing Descriptor) -> String? {
    guard let process else { return nil }
    return Self.unit(of: process, connectedTo: socket.raw)
  }

  private static func unit(of process: pid_t, connectedTo raw: Int32) -> String? {
    var handle = cs_peer_pidfd(raw)
    // Only a kernel that does not know the option leaves us the number; a peer that is gone has no unit.
    if handle == -1, errno == ENOPROTOOPT { handle = cs_pidfd_open(process) }
    guard handle != -1 else { return nil }
    let pidfd = Descriptor(owning: handle)
    guard let groups = try? readAll("/proc/\(process)/cgroup") else { return nil }
    // Readable means that the process has ended: then the number may have been another's when the file was opened.
    var state = pollfd(fd: pidfd.raw, events: Int16(POLLIN), revents: 0)
    guard unsafe poll(&state, 1, 0) == 0 else { return nil }
    return SystemdUnit.name(inControlGroups: groups)
  }

  private static func readAll(_ path: String) throws(SystemError) -> [UInt8] {
    let file = try Descriptor(opening: path, flags: O_RDONLY)
    var bytes: [UInt8] = []
    while bytes.count < 65_536 {
      let part = try file.read(upTo: 4096)
      if part.isEmpty { break }
      bytes += part
    }
    return bytes
  }
}
