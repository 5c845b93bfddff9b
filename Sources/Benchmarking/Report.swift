/// What clients measured in one round, beside the bare loop of the same round.
struct Round: Equatable {
  let bare: Samples
  /// Appends to a file in the folder of the run, each with its fdatasync(2).
  let disk: Samples
  let load: Samples
  /// Least served over most served client; nil where there is one client, or too few assertions to say.
  let fairness: Double?
  /// Nanoseconds of the daemon's processor time.
  let processorNanoseconds: UInt64
}

/// Which keys the clients of a row sign with.
enum Keys: String, CaseIterable {
  case hot = "one key, loaded"
  case cold = "32 keys in turn, none loaded"
  case ownEach = "one of 32 keys for each client"
}

/// One load, measured in several rounds.
struct Row: Equatable {
  let keys: Keys
  let clients: Int
  /// Credentials in the store.
  let stored: Int
  /// What is not as it usually is: the latency that a relay added, or where the audit log was; nil where nothing was.
  let variant: String?
  let rounds: [Round]

  func spread(_ figure: (Round) -> Double?) -> Spread? { Spread(rounds.compactMap(figure)) }

  /// Median latency over the median of the bare TPM2_Sign.
  var latencyRatio: Spread? { spread { ratio($0.load.percentile(0.5), $0.bare.percentile(0.5)) } }
  /// Median latency over the slower of the two that one client waits for at the same time, the TPM and the disk.
  var latencyOverSlower: Spread? {
    guard clients == 1, variant != Report.inMemory else { return nil }
    return spread { ratio($0.load.percentile(0.5), max($0.bare.percentile(0.5), $0.disk.percentile(0.5))) }
  }
  /// Assertions over bare signatures of the same time.
  var throughputRatio: Spread? { spread { ratio($0.load.perSecond, $0.bare.perSecond) } }
  /// p99 over what the bare median makes where each client waits for all others.
  var tailRatio: Spread? {
    spread { ratio($0.load.percentile(0.99), $0.bare.percentile(0.5) * Double(clients)) }
  }
  var fairness: Spread? { spread(\.fairness) }
  var perSecond: Spread? { spread { $0.load.perSecond } }
  /// In nanoseconds.
  func latency(_ fraction: Double) -> Spread? { spread { $0.load.percentile(fraction) } }
  /// In nanoseconds, of one assertion.
  var processor: Spread? { spread { ratio(Double($0.processorNanoseconds), Double($0.load.count)) } }
  var assertions: Int { rounds.reduce(0) { $0 + $1.load.count } }
}

/// Something the daemon does besides signing, switched in the rounds of one run: ratios to the same without it.
struct Cost: Equatable {
  let name: String
  /// Of the median latency of one client.
  let latency: Spread
  /// Of the throughput of 16 clients.
  let throughput: Spread
}

/// TPM commands of one kind of work, counted by a relay.
struct CommandCount: Equatable {
  let name: String
  /// How often the work was done.
  let times: Int
  let commands: [UInt32: Int]

  var perTime: Double { ratio(Double(commands.values.reduce(0, +)), Double(times)) ?? 0 }
}

/// A daemon over a store of one size.
struct StoreFigures: Equatable {
  let credentials: Int
  /// Nanoseconds from the start of the process until jobs can connect.
  let ready: Spread?
  /// The same without the time that the TPM took; nil where no relay could measure it.
  let readyWithoutTPM: Spread?
  /// The first assertion after the start, whose key is not loaded, over the median of those with the key loaded.
  let first: Spread?
  /// Bytes of resident memory after the start.
  let idle: Spread?
  /// Bytes with 256 connections that have signed.
  let connected: Spread?
  /// Median latency of one client over that with the smallest store in the same round.
  let latency: Spread?
  /// Throughput of 16 clients over that with the smallest store in the same round.
  let throughput: Spread?
}

/// Everything that one run found.
struct Report: Equatable {
  /// Of the JSON; another one where a member's meaning changes.
  static let format: Int64 = 1

  var machine: MachineDescription
  /// Too short to quote.
  var isQuick: Bool
  var rounds: Int
  /// RFC 3339.
  var time: String
  var tpm: String
  var isSoftwareTPM: Bool
  var rows: [Row] = []
  var stores: [StoreFigures] = []
  /// Of daemons.
  var costs: [Cost] = []
  /// Of an authenticator without daemon and sockets.
  var engine = EngineReport()
  var commands: [CommandCount] = []
  /// Audit records that share one fdatasync(2), at 16 clients.
  var recordsPerSynchronization: Spread?

  /// What the rows are called whose daemon has its audit log in memory: without the disk's part.
  static let inMemory = "audit log in memory"

  func row(_ keys: Keys, clients: Int, variant: String? = nil) -> Row? {
    rows.first { $0.keys == keys && $0.clients == clients && $0.variant == variant }
  }
}

/// nil where there is nothing to divide by.
func ratio(_ numerator: Double, _ denominator: Double) -> Double? {
  denominator > 0 ? numerator / denominator : nil
}
