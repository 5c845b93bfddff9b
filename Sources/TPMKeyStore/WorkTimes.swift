/// How long work on the TPM takes: a moving mean for each kind, in nanoseconds. 0 for what has not been done yet.
struct WorkTimes {
  /// What is about as long as others of its kind on the same TPM.
  enum Kind: Int, CaseIterable {
    case signature
    case key
    /// Takes seconds on a chip, and each time others.
    case rsaKey
    /// Records, counters, certifications.
    case other
  }

  /// One measurement's weight is one in so many.
  private static let weight: Int64 = 8

  private var means = [UInt64](repeating: 0, count: Kind.allCases.count)

  subscript(kind: Kind) -> UInt64 { means[kind.rawValue] }

  var longest: UInt64 { means.reduce(0, max) }

  mutating func note(_ kind: Kind, nanoseconds: UInt64) {
    let mean = Int64(clamping: means[kind.rawValue])
    let change = mean == 0 ? Int64(clamping: nanoseconds) : (Int64(clamping: nanoseconds) - mean) / Self.weight
    means[kind.rawValue] = UInt64(mean + change)
  }
}
