internal import CLinux
internal import Glibc

/// A socket that the service manager opened for us (sd_listen_fds(3)).
package final class PassedDescriptor: Sendable {
  /// Its name in LISTEN_FDNAMES (`FileDescriptorName=`); `unknown` where it has none.
  package let name: String
  package let descriptor: Descriptor

  package init(name: String, descriptor: consuming Descriptor) {
    self.name = name
    self.descriptor = descriptor
  }
}

/// The protocol between a service and systemd: passed descriptors, notifications, watchdog.
package enum ServiceManager {
  /// What the environment says of passed descriptors.
  package struct Announcement: Equatable, Sendable {
    /// Names of descriptors 3, 4, …
    package let names: [String]

    /// Reads LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES; nil if nothing is passed to us, or what is said makes no sense.
    ///
    /// - Parameters:
    ///   - environment: looks up a variable
    ///   - process: our own number; an announcement for another process is none of ours
    package init?(environment: (String) -> String?, process: Int32) {
      guard environment("LISTEN_PID").flatMap({ Int32($0) }) == process,
        let count = environment("LISTEN_FDS").flatMap({ Int($0) }), (1...1024).contains(count)
      else { return nil }
      let given = environment("LISTEN_FDNAMES")?.split(separator: ":", omittingEmptySubsequences: false).map(
        String.init)
      names = (0..<count).map { index in
        guard let given, index < given.count, !given[index].isEmpty else { return "unknown" }
        return given[index]
      }
    }
  }

  /// Takes the descriptors that were passed to this process, once: the variables are removed so that children do not
  /// see them. Call it before anything else opens a descriptor and before there are threads.
  ///
  /// - Throws: ``SystemError`` (EBADF) where the environment promises what is not there
  package static func takeDescriptors() throws(SystemError) -> [PassedDescriptor] {
    defer { for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsafe _ = unsetenv(name) } }
    guard let announcement = Announcement(environment: environment, process: getpid()) else { return [] }
    var passed: [PassedDescriptor] = []
    for (index, name) in announcement.names.enumerated() {
      let raw = Int32(3 + index)
      try checked("fcntl of passed descriptor \(raw) (\(name))") { fcntl(raw, F_SETFD, FD_CLOEXEC) }
      passed.append(PassedDescriptor(name: name, descriptor: Descriptor(owning: raw)))
    }
    return passed
  }

  /// A variable of this process's environment; nil if it is not set.
  package static func environment(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
  }
}

/// sd_notify(3): tells the service manager how we are. Does nothing where there is none.
package struct ServiceNotifier: Sendable {
  package enum State: Equatable, Sendable {
    case ready
    case stopping
    /// Followed by ``ready`` when done. Carries CLOCK_MONOTONIC in microseconds; see ``ServiceNotifier/reloadingNow``.
    case reloading(monotonicMicroseconds: UInt64)
    /// One line for `systemctl status`.
    case status(String)
    /// Still alive; due twice in every ``watchdogNanoseconds``.
    case watchdog

    fileprivate var lines: String {
      switch self {
      case .ready: "READY=1\n"
      case .stopping: "STOPPING=1\n"
      case .reloading(let time): "RELOADING=1\nMONOTONIC_USEC=\(time)\n"
      case .status(let text): "STATUS=" + String(text.map { $0.isNewline ? " " : $0 }) + "\n"
      case .watchdog: "WATCHDOG=1\n"
      }
    }
  }

  /// NOTIFY_SOCKET; nil where nobody wants to know.
  package let path: String?
  /// WATCHDOG_USEC, if it is meant for this process; nil where there is no watchdog.
  package let watchdogNanoseconds: UInt64?

  /// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
  ///
  /// - Parameters:
  ///   - environment: looks up a variable
  ///   - process: our own number
  package init(environment: (String) -> String? = ServiceManager.environment, process: Int32 = getpid()) {
    path = environment("NOTIFY_SOCKET").flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
    let limit = environment("WATCHDOG_USEC").flatMap { UInt64($0) }.flatMap { $0 > 0 && $0 < 1 << 50 ? $0 : nil }
    let owner = environment("WATCHDOG_PID").map { Int32($0) }
    watchdogNanoseconds = owner == nil || owner == process ? limit.map { $0 * 1000 } : nil
  }

  /// ``State/reloading(monotonicMicroseconds:)`` with the time of now.
  package static var reloadingNow: State {
    var now = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &now)
    return .reloading(monotonicMicroseconds: UInt64(now.tv_sec) * 1_000_000 + UInt64(now.tv_nsec) / 1000)
  }

  /// Sends one message with all the states.
  ///
  /// - Parameter states: in the order in which they are to hold
  /// - Throws: ``SystemError``; a service goes on without its manager, so log it at most
  package func notify(_ states: State...) throws(SystemError) {
    try notify(states)
  }

  /// The same for an array.
  package func notify(_ states: [State]) throws(SystemError) {
    guard let path else { return }
    let message = Array(states.map(\.lines).joined().utf8)
    try checked("notify \(path)") {
      unsafe message.withUnsafeBytes { unsafe cs_unix_send_datagram(path, $0.baseAddress, $0.count) }
    }
  }
}
