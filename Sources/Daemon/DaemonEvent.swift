internal import Platform

/// What a daemon is told from outside.
enum DaemonEvent: Sendable {
  case signal(Signal)
  /// The boot has been approved, and the device secret is there.
  case unlocked
  /// Everything has been removed, or as much as could be.
  case decommissioned
}
