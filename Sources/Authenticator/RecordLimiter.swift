/// Bounds what a user can write into the audit log without signing anything: refusals, WINK, selection. Signatures are
/// always recorded, one by one. A bucket of tokens for each user; what finds it empty is counted, and the count stands
/// in that user's next record.
struct RecordLimiter {
  private struct Bucket {
    var tokens: Int
    /// Monotonic nanoseconds up to which tokens have been given.
    var filledAt: UInt64
    var suppressed: UInt64 = 0
  }

  static let burst = 100
  static let nanosecondsPerToken: UInt64 = 1_000_000_000
  /// Users that are remembered. One that has its whole burst again is as good as forgotten.
  private static let maximumUsers = 4096

  private var buckets: [UInt32: Bucket] = [:]

  /// Asks for one record.
  ///
  /// - Returns: how many records of this user were left out since the last one; nil if this one is left out too
  mutating func admit(user: UInt32, now: UInt64) -> UInt64? {
    var bucket = buckets[user] ?? Bucket(tokens: Self.burst, filledAt: now)
    let earned = (now - min(now, bucket.filledAt)) / Self.nanosecondsPerToken
    if bucket.tokens + Int(min(earned, UInt64(Self.burst))) >= Self.burst {
      (bucket.tokens, bucket.filledAt) = (Self.burst, now)
    } else {
      bucket.tokens += Int(earned)
      bucket.filledAt += earned * Self.nanosecondsPerToken
    }
    defer {
      if buckets.count >= Self.maximumUsers, buckets[user] == nil { forgetOne() }
      buckets[user] = bucket
    }
    guard bucket.tokens > 0 else {
      bucket.suppressed += 1
      return nil
    }
    bucket.tokens -= 1
    defer { bucket.suppressed = 0 }
    return bucket.suppressed
  }

  /// The user who waits for nothing, or else the one with the oldest record.
  private mutating func forgetOne() {
    if let oldest = buckets.min(by: { $0.value.filledAt < $1.value.filledAt })?.key { buckets[oldest] = nil }
  }
}
