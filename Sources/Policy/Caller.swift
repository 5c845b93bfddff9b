/// Who is on the other end of one socket connection, read once when it was accepted. What could not be learnt is nil
/// and never matches a rule.
package struct Caller: Equatable, Sendable {
  /// Which connection of this daemon's life; unique. Turns are taken by user, then by these.
  package let connection: UInt64
  /// SO_PEERCRED: effective user at connect(2).
  package let user: UInt32
  /// SO_PEERCRED: effective group at connect(2).
  package let group: UInt32
  /// SO_PEERCRED: process; nil if it is in another pid namespace (0).
  package let process: Int32?
  /// SO_PEERGROUPS, without `group`; empty where the kernel could not tell.
  package let supplementaryGroups: [UInt32]
  /// systemd unit from /proc/PID/cgroup, e.g. `actions.runner.service`.
  package let unit: String?
  /// Whether the connection came in by the operator's own socket. Such a caller may manage everything and sign nothing.
  package let isOperator: Bool

  package init(
    connection: UInt64, user: UInt32, group: UInt32, process: Int32?, supplementaryGroups: [UInt32], unit: String?,
    isOperator: Bool = false
  ) {
    self.connection = connection
    self.user = user
    self.group = group
    self.process = process
    self.supplementaryGroups = supplementaryGroups
    self.unit = unit
    self.isOperator = isOperator
  }
}

/// What a rule can allow (the `operations` of the configuration).
package enum Operation: String, CaseIterable, Sendable {
  case register
  case authenticate
  case manage
  case reset
}
