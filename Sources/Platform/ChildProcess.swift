internal import CLinux
internal import Glibc

/// A child process. It is killed and reaped at the latest when this value goes.
///
/// A parent that is killed kills nobody, unless the child is tied to it.
package final class ChildProcess: Sendable {
  /// For messages.
  package let identifier: Int32
  private let pidfd: Descriptor
  private let reaped = Lock(false)

  /// Starts a program with every signal unblocked and at its default, in a process group of its own.
  ///
  /// - Parameters:
  ///   - program: name, looked up in PATH, or path
  ///   - arguments: without the name
  ///   - descriptors: what the child gets as descriptors 0, 1, 2 …; it gets no others
  ///   - isTied: whether the child gets SIGTERM when the calling thread ends, even by SIGKILL: for threads that live
  ///     as long as the process
  /// - Throws: ``SystemError``; of code ENOENT where there is no such program
  package init(
    _ program: String, arguments: [String], descriptors: [Int32], isTied: Bool = false
  ) throws(SystemError) {
    // Above every target, so that no dup2 in the child overwrites one that is still needed.
    var moved: [Int32] = []
    defer { for descriptor in moved { close(descriptor) } }
    for descriptor in descriptors {
      moved.append(
        try checked("fcntl") { fcntl(descriptor, F_DUPFD_CLOEXEC, Int32(max(descriptors.count, 3))) })
    }
    var pointers = unsafe ([program] + arguments).map { unsafe strdup($0) }
    unsafe pointers.append(nil)
    defer { unsafe pointers.forEach { unsafe free($0) } }

    var process: pid_t = 0
    let count = Int32(moved.count)
    let status =
      unsafe isTied
      ? cs_spawn_tied(program, pointers, moved, count, &process)
      : cs_spawn(program, pointers, moved, count, &process)
    guard status == 0 else { throw SystemError(call: "posix_spawnp \(program)", code: status) }
    let pidfd = cs_pidfd_open(process)
    guard pidfd >= 0 else {
      let code = errno
      Glibc.kill(process, SIGKILL)
      _ = waitpid(process, nil, 0)
      throw SystemError(call: "pidfd_open", code: code)
    }
    identifier = process
    self.pidfd = Descriptor(owning: pidfd)
  }

  deinit {
    end(within: 0)
  }

  /// For poll(2): readable once the child has ended.
  package var raw: Int32 { pidfd.raw }

  /// Waits for the end of the child.
  ///
  /// - Parameter milliseconds: how long; -1 for ever
  /// - Returns: whether it has ended
  package func waitForEnd(within milliseconds: Int32) -> Bool {
    waitUntilReadable([pidfd.raw], within: milliseconds) != nil
  }

  /// SIGKILL. The read of whoever talks to it ends.
  package func kill() {
    reaped.withLock { reaped in
      // Only until it is reaped is the number certainly its own.
      if !reaped { _ = Glibc.kill(identifier, SIGKILL) }
    }
  }

  /// Waits for the child's own end, kills it where it takes too long, and reaps it.
  package func end(within milliseconds: Int32) {
    if !waitForEnd(within: milliseconds) {
      kill()
      _ = waitForEnd(within: -1)
    }
    reaped.withLock { reaped in
      if !reaped { _ = waitpid(identifier, nil, WNOHANG) }
      reaped = true
    }
  }
}

/// Waits until one of the descriptors is readable or at its end.
///
/// - Parameters:
///   - descriptors: at most a handful
///   - milliseconds: how long; -1 for ever
/// - Returns: the first that is ready; nil when the time is over
package func waitUntilReadable(_ descriptors: [Int32], within milliseconds: Int32) -> Int32? {
  var entries = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
  let ready = try? checked("poll") { unsafe poll(&entries, nfds_t(entries.count), milliseconds) }
  return (ready ?? 0) > 0 ? entries.first { $0.revents != 0 }?.fd : nil
}
