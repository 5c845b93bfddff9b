/// What a figure ought to be, and what it is.
struct Goal: Equatable {
  enum Bound: Equatable {
    case atLeast(Double)
    case atMost(Double)
  }

  let name: String
  let bound: Bound
  let unit: String
  let decimals: Int
  /// nil where this run did not measure it.
  let value: Spread?

  init(_ name: String, _ bound: Bound, unit: String = "", decimals: Int = 2, _ value: Spread?) {
    self.name = name
    self.bound = bound
    self.unit = unit
    self.decimals = decimals
    self.value = value
  }

  var isReached: Bool? {
    guard let median = value?.median else { return nil }
    // As it is written: a reader must not see 0.95 called less than 0.95.
    let shown = Double(fixed(median, decimals)) ?? median
    return switch bound {
    case .atLeast(let least): shown >= least
    case .atMost(let most): shown <= most
    }
  }

  var wanted: String {
    switch bound {
    case .atLeast(let least): "at least \(number(least))\(unit)"
    case .atMost(let most): "at most \(number(most))\(unit)"
    }
  }

  var figure: String { value.map { $0.text(decimals) + unit } ?? "-" }

  var outcome: String {
    guard let value, let isReached else { return "not measured" }
    if isReached { return "reached" }
    let distance =
      switch bound {
      case .atLeast(let least): least - value.median
      case .atMost(let most): value.median - most
      }
    return "not reached, by \(fixed(distance, decimals))\(unit)"
  }

  private func number(_ value: Double) -> String {
    value == value.rounded() ? fixed(value, 0) : fixed(value, 2)
  }
}

extension Report {
  /// What the project has set itself.
  var goals: [Goal] {
    let hot = { (clients: Int) in self.row(.hot, clients: clients) }
    let largest = stores.last { $0.credentials >= 100_000 }
    let count = commands.first { $0.name == CommandCount.hotAssertion }
    return [
      Goal(
        isSoftwareTPM ? "TPM commands per hot assertion, direct" : "TPM commands per hot assertion", .atMost(1),
        count.flatMap { Spread([$0.perTime]) }),
      Goal("throughput at 16 clients, hot, over the bare loop", .atLeast(0.95), hot(16)?.throughputRatio),
      Goal("median latency of 1 client over the bare TPM2_Sign", .atMost(1.15), hot(1)?.latencyRatio),
      Goal(
        "the same, audit log in memory", .atMost(1.15),
        row(.hot, clients: 1, variant: Report.inMemory)?.latencyRatio),
      Goal("p99 at 64 clients over 64 × bare", .atMost(1.2), hot(64)?.tailRatio),
      Goal("fairness at 16 clients, least served over most served", .atLeast(0.9), hot(16)?.fairness),
      Goal("latency at 100,000 credentials over that at 1", .atMost(1.05), largest?.latency),
      Goal(
        "resident memory, idle", .atMost(15), unit: " MB", decimals: 1, stores.first?.idle?.scaled(1e-6)),
      Goal(
        "resident memory, 100,000 credentials", .atMost(25), unit: " MB", decimals: 1, largest?.idle?.scaled(1e-6)),
      Goal(
        "resident memory, 256 connections", .atMost(30), unit: " MB", decimals: 1,
        stores.first?.connected?.scaled(1e-6)),
      Goal(
        "start to ready, without the TPM's own time", .atMost(50), unit: " ms", decimals: 1,
        stores.first?.readyWithoutTPM?.scaled(1e-6)),
      Goal(
        "throughput at 16 clients over the bare loop, 40 ms per command", .atLeast(0.99),
        row(.hot, clients: 16, variant: LatencyProfile.flat.name)?.throughputRatio),
    ]
  }
}

extension CommandCount {
  static let hotAssertion = "assertion, key loaded"
  static let coldAssertion = "assertion, key not loaded"
  static let start = "start of the daemon"
}

extension Spread {
  func scaled(_ factor: Double) -> Spread? { Spread([least * factor, median * factor, greatest * factor]) }
}
