internal import Glibc

/// Signals as a sequence, read by a thread of its own.
package enum SignalStream {
  package static func make(_ signals: SignalDescriptor) -> AsyncStream<Signal> {
    AsyncStream { continuation in
      do {
        try startThread(named: "signals") {
          while waitUntilReadable([signals.descriptor.raw], within: -1) != nil {
            while let signal = signals.next() { continuation.yield(signal) }
          }
          continuation.finish()
        }
      } catch {
        // Without it nothing could end the daemon in order; ending now is the better way.
        continuation.finish()
      }
    }
  }
}
