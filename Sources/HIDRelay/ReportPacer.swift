/// Lets reports go as fast as a key on a bus sends them, after a first few at once. The kernel keeps 63 reports for a
/// reader and drops what comes then, without a word: a long answer would lose its end.
struct ReportPacer {
  /// Reports that may go at once. A reader that is away for 90 ms still loses nothing.
  private static let burst: UInt64 = 16
  /// From one report to the next, when they are many.
  private static let interval: UInt64 = 2_000_000

  /// When all that went would have gone at the steady pace.
  private var horizon: UInt64 = 0

  /// Whether a report may go now; it counts as gone then.
  mutating func take(at now: UInt64) -> Bool {
    guard next(at: now) <= now else { return false }
    horizon = max(horizon, now) + Self.interval
    return true
  }

  /// When a report may go.
  func next(at now: UInt64) -> UInt64 {
    let allowance = Self.burst * Self.interval - Self.interval
    return horizon > now + allowance ? horizon - allowance : now
  }
}
