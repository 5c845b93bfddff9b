internal import Platform

/// A clock that only moves when a test says so.
package final class ManualTime: Timekeeper {
  private let nanoseconds = Lock<UInt64>(1_000_000_000)

  package init() {}

  package var monotonicNanoseconds: UInt64 { nanoseconds.withLock { $0 } }
  package var unixMilliseconds: Int64 { 1_750_000_000_000 + Int64(monotonicNanoseconds / 1_000_000) }

  package func advance(by duration: Duration) {
    let (seconds, attoseconds) = duration.components
    nanoseconds.withLock { $0 += UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000) }
  }
}
