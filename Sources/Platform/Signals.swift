internal import CLinux
internal import Glibc

/// The signals that a daemon answers.
package enum Signal: Int32, CaseIterable, Sendable {
  /// Reload.
  case hangup = 1
  case interrupt = 2
  case terminate = 15
  case childEnded = 17
  case user1 = 10
}

/// signalfd(2): signals as something that can be read, never an interruption. Make it on the main thread before there
/// are others, which inherit that the signals are blocked.
package final class SignalDescriptor: Sendable {
  package let descriptor: Descriptor

  /// Blocks `signals` for this thread and all that it starts, and receives them here.
  ///
  /// - Parameter signals: which
  /// - Throws: ``SystemError``
  package init(_ signals: Set<Signal>) throws(SystemError) {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for signal in signals { unsafe sigaddset(&set, signal.rawValue) }
    let status = unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    guard status == 0 else { throw SystemError(call: "pthread_sigmask", code: status) }
    descriptor = Descriptor(owning: try checked("signalfd") { unsafe cs_signalfd(&set) })
  }

  /// The next signal that is pending; nil if none is.
  package func next() -> Signal? {
    let number = cs_signalfd_read(descriptor.raw)
    return number > 0 ? Signal(rawValue: number) : nil
  }

  /// Lets nothing that writes to a closed pipe or socket kill the process (SIGPIPE).
  package static func ignoreBrokenPipes() {
    _ = signal(SIGPIPE, SIG_IGN)
  }
}
