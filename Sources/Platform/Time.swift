internal import CLinux
internal import Glibc

/// What the program knows of time. Tests pass one that they advance by hand.
package protocol Timekeeper: Sendable {
  /// Nanoseconds since boot, suspended time included (CLOCK_BOOTTIME): for durations and deadlines.
  var monotonicNanoseconds: UInt64 { get }
  /// Milliseconds since 1970-01-01 UTC (CLOCK_REALTIME): for records only.
  var unixMilliseconds: Int64 { get }
}

/// The machine's clocks.
package struct SystemTime: Timekeeper {
  package init() {}

  package var monotonicNanoseconds: UInt64 {
    var now = timespec()
    unsafe clock_gettime(CLOCK_BOOTTIME, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
  }

  package var unixMilliseconds: Int64 {
    var now = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &now)
    return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
  }
}

/// A source of random bytes. Tests pass a seeded one.
package protocol RandomSource: Sendable {
  /// `count` bytes fit for identifiers and nonces; not for key material (that comes from `SecretBytes.random`).
  func bytes(_ count: Int) -> [UInt8]
}
