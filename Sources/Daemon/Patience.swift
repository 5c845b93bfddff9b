internal import Platform

/// Waits for work, but not for ever: what hangs longer is left alone, and goes on beside.
///
/// - Parameters:
///   - nanoseconds: how long
///   - loop: whose clock counts
///   - body: the work, which nothing may need afterwards
/// - Returns: whether it has ended in time
@discardableResult
func waitAtMost(
  _ nanoseconds: UInt64, on loop: EventLoop, for body: @escaping @Sendable () async -> Void
) async -> Bool {
  await withCheckedContinuation { continuation in
    let waiting = Lock<CheckedContinuation<Bool, Never>?>(continuation)
    @Sendable func end(inTime: Bool) {
      let first = waiting.withLock { waiting in
        defer { waiting = nil }
        return waiting
      }
      first?.resume(returning: inTime)
    }
    let timer = loop.after(nanoseconds: nanoseconds) { end(inTime: false) }
    Task {
      await body()
      loop.cancel(timer)
      end(inTime: true)
    }
  }
}
