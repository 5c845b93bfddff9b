/// Durations of one kind of operation, in nanoseconds.
struct Samples: Equatable {
  private let sorted: [UInt64]
  /// Wall time from the first start to the last end, in nanoseconds: with several clients less than the sum.
  let elapsed: UInt64

  init(_ values: [UInt64], elapsed: UInt64) {
    sorted = values.sorted()
    self.elapsed = elapsed
  }

  var count: Int { sorted.count }

  /// These and others of the same kind, measured one after the other.
  func joined(_ others: Samples) -> Samples { Samples(sorted + others.sorted, elapsed: elapsed + others.elapsed) }

  /// By the nearest rank: the smallest value that at least this part of all values does not exceed.
  ///
  /// - Parameter fraction: 0.5 is the median
  /// - Returns: nanoseconds; 0 where there is no value
  func percentile(_ fraction: Double) -> Double {
    guard !sorted.isEmpty else { return 0 }
    let rank = Int((Double(sorted.count) * fraction).rounded(.up))
    return Double(sorted[min(max(rank, 1), sorted.count) - 1])
  }

  /// 0 where no time has passed.
  var perSecond: Double { elapsed == 0 ? 0 : Double(sorted.count) / (Double(elapsed) / 1e9) }
}

/// One figure as several rounds gave it: what is between them is the machine's noise.
struct Spread: Equatable {
  let median: Double
  let least: Double
  let greatest: Double

  /// - Parameter values: one of each round; nil where there is none
  init?(_ values: [Double]) {
    let sorted = values.sorted()
    guard let least = sorted.first, let greatest = sorted.last else { return nil }
    self.least = least
    self.greatest = greatest
    let middle = sorted.count / 2
    median = sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
  }

  /// The median, and where there was more than one value, least and greatest: `0.91 (0.88–0.93)`.
  func text(_ decimals: Int, scale: Double = 1) -> String {
    let middle = fixed(median * scale, decimals)
    guard least != greatest else { return middle }
    return "\(middle) (\(fixed(least * scale, decimals))–\(fixed(greatest * scale, decimals)))"
  }
}

/// The least served client over the most served one: 1 where all got the same.
///
/// - Parameter counts: what each client got
/// - Returns: nil for fewer than two clients, or where nobody got anything
func fairness(_ counts: [Int]) -> Double? {
  guard counts.count > 1, let least = counts.min(), let most = counts.max(), most > 0 else { return nil }
  return Double(least) / Double(most)
}

/// A number with exactly so many decimals, rounded half away from zero.
func fixed(_ value: Double, _ decimals: Int) -> String {
  let scale = (0..<decimals).reduce(1) { product, _ in product * 10 }
  let scaled = (value * Double(scale)).rounded()
  guard scaled.magnitude < 1e15 else { return value.isFinite ? "\(value)" : "-" }
  let whole = Int(scaled)
  let digits = String(whole.magnitude / UInt(scale))
  let sign = whole < 0 ? "-" : ""
  guard decimals > 0 else { return sign + digits }
  let fraction = String(whole.magnitude % UInt(scale) + UInt(scale)).dropFirst()
  return "\(sign)\(digits).\(fraction)"
}
