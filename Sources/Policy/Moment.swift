package import Platform

/// When something is asked.
package struct Moment: Equatable, Sendable {
  private enum Local: Equatable {
    case told(WallClock)
    /// Milliseconds since 1970-01-01 UTC. The machine's zone is looked up only for who wants to know.
    case at(Int64)
  }

  /// For durations, CLOCK_BOOTTIME.
  package let monotonicNanoseconds: UInt64
  package let utc: WallClock
  private let here: Local

  package var local: WallClock {
    switch here {
    case .told(let clock): clock
    case .at(let time): WallClock(local: time)
    }
  }

  package init(monotonicNanoseconds: UInt64, utc: WallClock, local: WallClock) {
    self.monotonicNanoseconds = monotonicNanoseconds
    self.utc = utc
    here = .told(local)
  }

  package init(_ time: any Timekeeper) {
    self.init(
      monotonicNanoseconds: time.monotonicNanoseconds, unixMilliseconds: time.unixMilliseconds)
  }

  package init(monotonicNanoseconds: UInt64, unixMilliseconds: Int64) {
    self.monotonicNanoseconds = monotonicNanoseconds
    utc = WallClock(utc: unixMilliseconds)
    here = .at(unixMilliseconds)
  }
}
