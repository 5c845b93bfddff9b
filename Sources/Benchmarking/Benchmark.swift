internal import Glibc
internal import Platform

/// Runs a plan against one TPM with daemons of its own, whose state, audit log and sockets are in a folder of the run.
struct Benchmark {
  let plan: Plan
  let program: String
  /// Absolute; everything that is made goes there.
  let folder: String
  let tcti: String
  /// nil where the TPM is no software TPM of this run.
  let relay: LatencyRelay?
  let ending: Interruption
  /// Told what is done now.
  let progress: (String) -> Void

  /// Assertions that come before what is measured.
  private static let warming = 20
  /// Fewer for each client say nothing about fairness.
  private static let fewest = 20
  static let coldKeys = 32

  func setup(_ change: (inout DaemonSetup) -> Void = { _ in }) -> DaemonSetup {
    var setup = DaemonSetup(
      program: program, folder: folder, tcti: tcti, stateDirectory: folder + "/state",
      auditLog: folder + "/audit.jsonl")
    change(&setup)
    return setup
  }

  /// Lends a running daemon.
  func withDaemon<Result>(_ setup: DaemonSetup, _ body: (DaemonProcess) throws -> Result) throws -> Result {
    let daemon = try DaemonProcess(setup, ending)
    defer { daemon.stop() }
    return try body(daemon)
  }

  /// One load, without the bare loop.
  func load(
    _ daemon: DaemonProcess, _ credentials: [[UInt8]], _ keys: Keys, clients: Int, _ nanoseconds: UInt64
  ) throws -> (result: LoadResult, processor: UInt64) {
    let choice: Choice =
      switch keys {
      case .hot: .one
      case .cold: .inTurn
      case .ownEach: .ownEach
      }
    let before = daemon.processorNanoseconds
    let result = try daemon.jobs.sign(
      with: credentials, choice, clients: clients, nanoseconds: nanoseconds, ending)
    return (result, daemon.processorNanoseconds - before)
  }

  /// - Returns: nil where the clients got too little to compare them
  static func fairness(of result: LoadResult) -> Double? {
    guard (result.counts.max() ?? 0) >= fewest else { return nil }
    return Benchmarking.fairness(result.counts)
  }

  /// Every load of a series in each of its rounds, the bare loop before and after.
  ///
  /// - Parameters:
  ///   - series: the loads
  ///   - around: lends each measurement to who wants to look before and after it
  /// - Returns: a row for each load
  /// - Throws: ``Interrupted``, ``BenchFailure``, and the errors of TPM, client and system
  func measure(
    _ series: Series,
    around: (DaemonProcess, Series.Load, () throws -> Void) throws -> Void = { _, _, body in try body() }
  ) throws -> [Row] {
    var measured = series.loads.map { _ in [(LoadResult, UInt64)]() }
    var bares: [Samples] = []
    var disks: [Samples] = []
    for round in 1...series.rounds {
      let place = "\(series.variant ?? "load"), round \(round) of \(series.rounds)"
      progress("\(place): bare TPM2_Sign")
      let before = (bare: try bare(series), disk: try disk(series))
      try withDaemon(series.setup) { daemon in
        for (index, one) in series.loads.enumerated() {
          progress("\(place): \(one.clients) clients, \(one.keys.rawValue)")
          let first = one.keys == .cold ? series.credentials : [series.credentials[0]]
          try daemon.jobs.warm(first, count: Benchmark.warming)
          try around(daemon, one) {
            measured[index].append(
              try load(daemon, series.credentials, one.keys, clients: one.clients, series.nanoseconds))
          }
        }
      }
      bares.append(before.bare.joined(try bare(series)))
      disks.append(before.disk.joined(try disk(series)))
    }
    return zip(series.loads, measured).map { one, results in
      Row(
        keys: one.keys, clients: one.clients, stored: series.credentials.count, variant: series.variant,
        rounds: results.enumerated().map { round, result in
          Round(
            bare: bares[round], disk: disks[round], load: result.0.samples,
            fairness: Benchmark.fairness(of: result.0), processorNanoseconds: result.1)
        })
    }
  }

  private func bare(_ series: Series) throws -> Samples {
    try BareLoop.run(tcti: series.setup.tcti, nanoseconds: series.bareNanoseconds, ending)
  }

  private func disk(_ series: Series) throws -> Samples {
    try DiskLoop.run(folder: folder, nanoseconds: series.bareNanoseconds / 4, ending)
  }
}

/// Loads on daemons of one setup.
struct Series {
  struct Load {
    let keys: Keys
    let clients: Int
  }

  let loads: [Load]
  let credentials: [[UInt8]]
  let setup: DaemonSetup
  let rounds: Int
  /// Of each load.
  let nanoseconds: UInt64
  /// Of the bare loop, before and after each round.
  let bareNanoseconds: UInt64
  /// As ``Row/variant``.
  let variant: String?
}

/// Where nothing but the ratio to another daemon counts.
struct Figures {
  let latency: Double
  let throughput: Double
}

extension Benchmark {
  /// Everything that the plan asks for. The first daemon sets the TPM up.
  func run() throws -> Report {
    var report = Report(
      machine: .live(folder: folder), isQuick: plan.isQuick, rounds: plan.rounds,
      time: Timestamp.text(unixMilliseconds: SystemTime().unixMilliseconds), tpm: "", isSoftwareTPM: true)
    progress("registering \(Benchmark.coldKeys) credentials")
    let credentials = try withDaemon(setup()) { daemon in
      let status = try daemon.status()
      report.tpm = status.tpm
      report.isSoftwareTPM = status.isSoftware
      return try daemon.jobs.register(Benchmark.coldKeys)
    }
    if plan.parts.contains(.load) { try loads(credentials, &report) }
    if plan.parts.contains(.costs) { try costs(credentials, &report) }
    if let relay {
      report.commands = try countCommands(credentials, relay)
      if plan.parts.contains(.chips) { report.rows += try chips(credentials, relay) }
      if plan.parts.contains(.stores) { report.stores = try stores() }
    }
    return report
  }

  private func loads(_ credentials: [[UInt8]], _ report: inout Report) throws {
    func series(_ loads: [Series.Load], _ setup: DaemonSetup, _ variant: String?) -> Series {
      Series(
        loads: loads, credentials: credentials, setup: setup, rounds: plan.rounds, nanoseconds: plan.nanoseconds,
        bareNanoseconds: plan.bareNanoseconds, variant: variant)
    }
    func loads(_ keys: Keys, _ clients: [Int]) -> [Series.Load] { clients.map { Series.Load(keys: keys, clients: $0) } }

    let hot = loads(.hot, plan.clients)
    let others = loads(.cold, plan.clients) + loads(.ownEach, plan.clients.filter { $0 > 1 })
    var records: [Double] = []
    report.rows += try measure(series(hot + others, setup(), nil)) { daemon, load, body in
      guard load.keys == .hot, load.clients == 16 else { return try body() }
      let before = try daemon.status()
      try body()
      let after = try daemon.status()
      let synchronizations = after.auditSynchronizations - before.auditSynchronizations
      ratio(Double(after.auditRecords - before.auditRecords), Double(synchronizations)).map { records.append($0) }
    }
    report.recordsPerSynchronization = Spread(records)
    try withMemory { memory in
      let inMemory = setup { $0.auditLog = memory + "/audit.jsonl" }
      report.rows += try measure(series(hot, inMemory, Report.inMemory))
    }
  }

  /// Lends a folder in memory; nil where there are none such.
  private func withMemory<Result>(_ body: (String) throws -> Result) throws -> Result? {
    guard isThere("/dev/shm") else { return nil }
    let memory = "/dev/shm/\(name)"
    try makeFolder(memory)
    defer { remove(memory) }
    return try body(memory)
  }

  /// The same loads with one thing changed, all in each round.
  private func costs(_ credentials: [[UInt8]], _ report: inout Report) throws {
    let engine = try withMemory { memory in
      let inMemory = memory + "/audit.jsonl"
      // In memory, where the disk does not drown what is looked for.
      report.costs = try compare(
        credentials, { $0.auditLog = inMemory },
        [
          ("501 rules, of which the last lets sign, over 1 rule", { ($0.auditLog, $0.rules) = (inMemory, 501) }),
          ("audit log on disk over the audit log in memory", { _ in }),
        ])
      return try engineCosts(credentials, memory: memory)
    }
    report.engine = try engine ?? engineCosts(credentials, memory: nil)
  }

  private func compare(
    _ credentials: [[UInt8]], _ plain: (inout DaemonSetup) -> Void,
    _ changes: [(name: String, change: (inout DaemonSetup) -> Void)]
  ) throws -> [Cost] {
    var without: [Figures] = []
    var with = changes.map { _ in [Figures]() }
    for round in 1...plan.rounds {
      progress("costs, round \(round) of \(plan.rounds)")
      without.append(try figures(credentials, setup(plain)))
      for (index, change) in changes.enumerated() {
        with[index].append(try figures(credentials, setup(change.change)))
      }
    }
    return zip(changes, with).compactMap { change, with in Cost(change.name, with: with, without: without) }
  }

  /// Median latency of one client, and throughput of 16.
  private func figures(_ credentials: [[UInt8]], _ setup: DaemonSetup) throws -> Figures {
    try withDaemon(setup) { daemon in try figures(credentials, daemon) }
  }

  func figures(_ credentials: [[UInt8]], _ daemon: DaemonProcess) throws -> Figures {
    try daemon.jobs.warm([credentials[0]], count: Benchmark.warming)
    let one = try load(daemon, credentials, .hot, clients: 1, plan.nanoseconds).result.samples
    let many = try load(daemon, credentials, .hot, clients: 16, plan.nanoseconds).result.samples
    return Figures(latency: one.percentile(0.5), throughput: many.perSecond)
  }

  private func countCommands(_ credentials: [[UInt8]], _ relay: LatencyRelay) throws -> [CommandCount] {
    progress("counting TPM commands")
    relay.imitate(.none)
    _ = relay.take()
    return try withDaemon(setup { $0.tcti = relay.tcti }) { daemon in
      let start = relay.take().commands
      try daemon.jobs.warm([credentials[0]], count: Benchmark.warming)
      _ = relay.take()
      try daemon.jobs.warm([credentials[0]], count: plan.counted)
      let hot = relay.take().commands
      try daemon.jobs.warm(credentials, count: Benchmark.coldKeys)
      _ = relay.take()
      try daemon.jobs.warm(credentials, count: plan.counted)
      let cold = relay.take().commands
      return [
        CommandCount(name: CommandCount.hotAssertion, times: plan.counted, commands: hot),
        CommandCount(name: CommandCount.coldAssertion, times: plan.counted, commands: cold),
        CommandCount(name: CommandCount.start, times: 1, commands: start),
      ]
    }
  }

  private func chips(_ credentials: [[UInt8]], _ relay: LatencyRelay) throws -> [Row] {
    var rows: [Row] = []
    defer { relay.imitate(.none) }
    for chip in plan.chips {
      relay.imitate(chip)
      let hot = plan.clients.filter { $0 != 4 }.map { Series.Load(keys: .hot, clients: $0) }
      rows += try measure(
        Series(
          loads: hot + [Series.Load(keys: .cold, clients: 16)], credentials: credentials,
          setup: setup { $0.tcti = relay.tcti }, rounds: plan.chipRounds, nanoseconds: plan.chipNanoseconds,
          bareNanoseconds: plan.chipNanoseconds / 2, variant: chip.name))
    }
    return rows
  }
}
