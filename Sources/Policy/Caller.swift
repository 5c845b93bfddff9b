/// Who is on the other end of one socket connection, read once when it was accepted. What could not be learnt is nil
/// and never matches a rule.
package struct Caller: Equatable, Sendable {
  /// Which connection of this daemon's life; unique. Turns are taken by user, then by these.
  package let connection: UInt64
  /// SO_PEERCRED: effective user at connect(2), in the daemon's user namespace.
  package let user: UInt32
  /// SO_PEERCRED: effective group at connect(2).
  package let group: UInt32
  /// SO_PEERCRED: process; nil if it is in another pid namespace (0).
  package let process: Int32?
  /// SO_PEERGROUPS, without `group`; empty where the kernel could not tell.
  package let supplementaryGroups: [UInt32]
  /// systemd unit from /proc/PID/cgroup, e.g. `actions.runner.service`.
  package let unit: String?
  /// The slice that the unit is in, e.g. `ci.slice`.
  package let slice: String?
  /// The ID that a container engine gave the container, from /proc/PID/cgroup: 64 hexadecimal digits.
  package let container: String?
  /// The file that the process executes, where its path means the same file to the daemon.
  package let executable: String?
  /// SHA-256 of that file; nil too where no rule asks for one.
  package private(set) var executableDigest: [UInt8]?
  /// The name of the listening socket: `ctap` where it came in by the jobs' own.
  package let socket: String?
  /// Whose socket it came in by.
  package let grant: Grant?
  /// What ``socket`` is where rules give the socket no name of its own: the jobs' own, and those of grants.
  package static let jobsSocket = "ctap"

  /// Whether the connection came in by the operator's own socket. Such a caller may manage everything and sign nothing.
  package let isOperator: Bool

  package init(
    connection: UInt64, user: UInt32, group: UInt32, process: Int32?, supplementaryGroups: [UInt32], unit: String?,
    slice: String? = nil, container: String? = nil, executable: String? = nil, executableDigest: [UInt8]? = nil,
    socket: String? = nil, grant: Grant? = nil, isOperator: Bool = false
  ) {
    self.connection = connection
    self.user = user
    self.group = group
    self.process = process
    self.supplementaryGroups = supplementaryGroups
    self.unit = unit
    self.slice = slice
    self.container = container
    self.executable = executable
    self.executableDigest = executableDigest
    self.socket = socket
    self.grant = grant
    self.isOperator = isOperator
  }

  /// The number of a user or group in decimal; nil for the greatest, which nobody has and stands for one that is not
  /// known.
  static func text(ofNumber number: UInt32) -> String? { number == .max ? nil : String(number) }

  /// The same caller, once its executable has been read.
  package func withExecutable(digest: [UInt8]?) -> Caller {
    var caller = self
    caller.executableDigest = digest
    return caller
  }

  /// The same caller by the socket of a grant.
  func coming(by grant: Grant) -> Caller {
    Caller(
      connection: connection, user: user, group: group, process: process, supplementaryGroups: supplementaryGroups,
      unit: unit, slice: slice, container: container, executable: executable, executableDigest: executableDigest,
      socket: Caller.jobsSocket, grant: grant)
  }

  /// The same caller on the operator's own socket.
  package var asOperator: Caller {
    Caller(
      connection: connection, user: user, group: group, process: process, supplementaryGroups: supplementaryGroups,
      unit: unit, slice: slice, container: container, executable: executable, executableDigest: executableDigest,
      socket: socket, isOperator: true)
  }
}
