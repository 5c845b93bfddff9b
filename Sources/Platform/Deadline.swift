/// A point in time by which something must have happened.
package struct Deadline: Sendable {
  /// On the scale of `Timekeeper.monotonicNanoseconds`.
  private let nanoseconds: UInt64

  package init(milliseconds: UInt32) {
    nanoseconds = SystemTime().monotonicNanoseconds + UInt64(milliseconds) * 1_000_000
  }

  /// For poll(2): rounded up, so that waiting for it never ends early; 0 once it has passed.
  package var remainingMilliseconds: Int32 {
    let now = SystemTime().monotonicNanoseconds
    guard now < nanoseconds else { return 0 }
    return Int32(clamping: (nanoseconds - now + 999_999) / 1_000_000)
  }
}
