internal import Platform

/// Why there are no figures, in one line.
struct BenchFailure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// SIGINT or SIGTERM has come: what was made is taken down in order.
struct Interrupted: Error {}

/// Whether the measuring is to end early.
final class Interruption: Sendable {
  private let hasCome = Lock(false)

  /// Watches for the signals, which no thread that is made later gets any more.
  func watch() throws(SystemError) {
    let signals = try SignalDescriptor([.interrupt, .terminate, .hangup])
    try startThread(named: "signals") { [self] in
      while waitUntilReadable([signals.descriptor.raw], within: -1) == nil {}
      hasCome.withLock { $0 = true }
    }
  }

  /// - Throws: ``Interrupted`` once a signal has come
  func check() throws(Interrupted) {
    if hasCome.withLock({ $0 }) { throw Interrupted() }
  }
}
