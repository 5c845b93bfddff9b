/// What is measured, and for how long.
struct Plan: Equatable {
  /// The parts of a run, which can be chosen.
  enum Part: String, CaseIterable {
    /// Clients and keys, against the TPM as it is.
    case load
    /// Policy and audit.
    case costs
    /// Stores of several sizes: latency, memory, start.
    case stores
    /// Latencies of chips.
    case chips

    /// What a relay is needed for, or a device for each size: only with a software TPM of the run's own, so that
    /// nothing is left in another one.
    var needsRelay: Bool { self == .chips || self == .stores }
  }

  /// Whether its loads are too short to quote.
  var isQuick = false
  var parts = Set(Part.allCases)
  var rounds = 5
  var clients = [1, 4, 16, 64]
  /// Sizes of the store, ascending.
  var stored = [1, 1000, 100_000]
  var chips = LatencyProfile.chips
  var chipRounds = 3
  /// Of each load.
  var nanoseconds: UInt64 = 1_000_000_000
  /// Of each load over a chip, where there are a few dozen assertions in a second.
  var chipNanoseconds: UInt64 = 3_000_000_000
  /// Of the bare loop before and after each round.
  var bareNanoseconds: UInt64 = 700_000_000
  /// Assertions whose TPM commands are counted.
  var counted = 200

  /// About a minute: enough to see a change, too short to quote.
  static let quick: Plan = {
    var plan = Plan()
    plan.isQuick = true
    plan.rounds = 2
    plan.stored = [1, 1000]
    plan.chips = [.flat]
    plan.chipRounds = 1
    plan.nanoseconds = 400_000_000
    plan.chipNanoseconds = 1_500_000_000
    plan.bareNanoseconds = 300_000_000
    plan.counted = 50
    return plan
  }()
}
