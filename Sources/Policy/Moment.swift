package import Platform

/// When something is asked.
package struct Moment: Equatable, Sendable {
  /// For durations, CLOCK_BOOTTIME.
  package let monotonicNanoseconds: UInt64
  package let utc: WallClock
  package let local: WallClock

  package init(monotonicNanoseconds: UInt64, utc: WallClock, local: WallClock) {
    self.monotonicNanoseconds = monotonicNanoseconds
    self.utc = utc
    self.local = local
  }

  package init(_ time: any Timekeeper) {
    self.init(
      monotonicNanoseconds: time.monotonicNanoseconds, unixMilliseconds: time.unixMilliseconds)
  }

  package init(monotonicNanoseconds: UInt64, unixMilliseconds: Int64) {
    self.init(
      monotonicNanoseconds: monotonicNanoseconds, utc: WallClock(utc: unixMilliseconds),
      local: WallClock(local: unixMilliseconds))
  }
}
