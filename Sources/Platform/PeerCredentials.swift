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

  /// For tests.
  init(user: UInt32, group: UInt32, process: Int32?) {
    (self.user, self.group, self.process) = (user, group, process)
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

  /// What /proc says of the peer's process when this is read; all of it is nil whenever it is not certain: no systemd,
  /// /proc hidden (`hidepid`, `ProtectProc`), the process has ended.
  ///
  /// /proc knows processes by number, which another process can have by the time that it is read. SO_PEERPIDFD (Linux
  /// 6.5) gives a handle of the very process that connected: what was read counts only if that process still lived
  /// afterwards. On older kernels the handle is opened by number first, and the process must run as the user that
  /// connected. That is weaker: a process that connects, leaves its connection to a child, ends, and has its number taken
  /// over by another process **of the same user** before the connection is accepted is credited with the unit of its
  /// successor. (The user and groups never are; rules that name a unit together with a user hold against other users on
  /// every kernel.)
  ///
  /// - Parameters:
  ///   - socket: the one of these credentials
  ///   - opensExecutable: whether the executable is to be opened too, to be read later
  /// - Returns: what is certain
  package func process(of socket: borrowing Descriptor, opensExecutable: Bool = false) -> PeerProcess {
    process(of: socket, opensExecutable: opensExecutable, hasPeerHandle: true)
  }

  // `hasPeerHandle` is false in tests of what older kernels do.
  func process(
    of socket: borrowing Descriptor, opensExecutable: Bool, hasPeerHandle: Bool
  ) -> PeerProcess {
    guard let process else { return PeerProcess() }
    var handle = hasPeerHandle ? cs_peer_pidfd(socket.raw) : -1
    // Only a kernel that does not know the option leaves us the number; a peer that is gone has no unit.
    let isByNumber = handle == -1 && (!hasPeerHandle || errno == ENOPROTOOPT)
    if isByNumber { handle = cs_pidfd_open(process) }
    guard handle != -1 else { return PeerProcess() }
    let pidfd = Descriptor(owning: handle)
    if isByNumber, !ProcessFiles.runs(process, as: user) { return PeerProcess() }
    let found = PeerProcess(process, opensExecutable: opensExecutable)
    // Readable means that the process has ended: then the number may have been another's when the files were read.
    var state = pollfd(fd: pidfd.raw, events: Int16(POLLIN), revents: 0)
    guard unsafe poll(&state, 1, 0) == 0 else { return PeerProcess() }
    return found
  }
}

/// What /proc says of a peer's process.
package struct PeerProcess: ~Copyable, Sendable {
  /// See ``ControlGroup/unit``.
  package let unit: String?
  /// See ``ControlGroup/slice``.
  package let slice: String?
  /// See ``ControlGroup/container``.
  package let container: String?
  /// Absolute path of what it executes, if that path leads to the same file here: a container can have a file of its own
  /// at every path. Reading it asks for the right to trace the process (ptrace(2)), which a daemon without privileges
  /// has for processes of its own user only.
  package let executable: String?
  /// The same file, open for reading, where it was asked for.
  package var executableFile: Descriptor?

  /// Nothing is certain.
  init() {
    (unit, slice, container, executable) = (nil, nil, nil, nil)
    executableFile = nil
  }

  init(_ process: pid_t, opensExecutable: Bool) {
    let group = (try? ProcessFiles.read(process, "cgroup")).map(ControlGroup.init(file:))
    unit = group?.unit
    slice = group?.slice
    container = group?.container
    executable = ProcessFiles.executable(of: process)
    executableFile =
      opensExecutable ? try? Descriptor(opening: ProcessFiles.path(process, "exe"), flags: O_RDONLY) : nil
  }
}

/// A living process that has no connection, for questions about what it would be allowed.
package struct ProcessIdentity: Sendable {
  package let process: Int32
  /// Effective.
  package let user: UInt32
  /// Effective.
  package let group: UInt32
  /// Supplementary.
  package let groups: [UInt32]

  /// nil where there is none, or /proc does not show it.
  ///
  /// - Parameter process: its number here
  package init?(of process: Int32) {
    guard let status = try? ProcessFiles.read(process, "status") else { return nil }
    let users = ProcessFiles.numbers("Uid:", in: status)
    let groups = ProcessFiles.numbers("Gid:", in: status)
    guard users.count == 4, groups.count == 4 else { return nil }
    self.process = process
    (user, group) = (users[1], groups[1])
    self.groups = ProcessFiles.numbers("Groups:", in: status).filter { $0 != groups[1] }
  }

  /// What else /proc says of it now.
  package func facts(opensExecutable: Bool) -> PeerProcess {
    PeerProcess(process, opensExecutable: opensExecutable)
  }
}

/// Files of /proc/PID.
private enum ProcessFiles {
  static func path(_ process: pid_t, _ name: String) -> String { "/proc/\(process)/\(name)" }

  static func read(_ process: pid_t, _ name: String) throws(SystemError) -> [UInt8] {
    let file = try Descriptor(opening: path(process, name), flags: O_RDONLY)
    var bytes: [UInt8] = []
    while bytes.count < 65_536 {
      let part = try file.read(upTo: 4096)
      if part.isEmpty { break }
      bytes += part
    }
    return bytes
  }

  /// Whether one of the process's users (real, effective, saved, of the file system) is this one.
  static func runs(_ process: pid_t, as user: UInt32) -> Bool {
    guard let status = try? read(process, "status") else { return false }
    return numbers("Uid:", in: status).contains(user)
  }

  /// The numbers of one line of /proc/PID/status.
  static func numbers(_ name: String, in status: [UInt8]) -> [UInt32] {
    let line = status.split(separator: UInt8(ascii: "\n")).first { $0.starts(with: name.utf8) } ?? []
    return line.dropFirst(name.utf8.count).split { $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: " ") }
      .compactMap { UInt32(String(decoding: $0, as: UTF8.self)) }
  }

  static func executable(of process: pid_t) -> String? {
    let link = path(process, "exe")
    guard let path = target(ofLink: link), path.hasPrefix("/") else { return nil }
    var (executed, here) = (stat(), stat())
    guard unsafe stat(link, &executed) == 0, unsafe stat(path, &here) == 0, executed.st_dev == here.st_dev,
      executed.st_ino == here.st_ino
    else { return nil }
    return path
  }
}
