/// Durations of one kind of operation, in nanoseconds.
struct Samples {
  private let sorted: [UInt64]
  /// Wall time of the whole run; with several clients less than the sum.
  let elapsed: UInt64

  init(_ values: [UInt64], elapsed: UInt64) {
    sorted = values.sorted()
    self.elapsed = elapsed
  }

  /// - Parameter fraction: 0.5 is the median
  /// - Returns: nanoseconds
  func percentile(_ fraction: Double) -> Double {
    guard !sorted.isEmpty else { return 0 }
    return Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * fraction))])
  }

  var perSecond: Double { Double(sorted.count) / (Double(elapsed) / 1e9) }

  var row: String {
    let values = [0.5, 0.95, 0.99].map { text(percentile($0) / 1e6, 3) }
    return "p50 \(values[0]) ms, p95 \(values[1]) ms, p99 \(values[2]) ms, \(text(perSecond, 0))/s"
  }
}

/// A number with so many decimals.
func text(_ value: Double, _ decimals: Int) -> String {
  let scale = (0..<decimals).reduce(1.0) { product, _ in product * 10 }
  let whole = (value * scale).rounded() / scale
  return decimals == 0 ? String(Int(whole)) : String(whole)
}
