/// What group commit of the audit log does at 16 clients: the same records, sharing or each with an fdatasync(2) of its own.
struct GroupCommit: Equatable {
  let disk: String
  /// Records of one fdatasync(2).
  let shared: Spread
  let alone: Spread
  /// Assertions a second.
  let perSecond: Spread
  let perSecondAlone: Spread
  let throughputRatio: Spread
}

/// What was found where policy and audit were left out.
struct EngineReport: Equatable {
  var costs: [Cost] = []
  var groupCommits: [GroupCommit] = []
  /// An append and its fdatasync(2), in nanoseconds.
  var disk: Spread?
}

extension Benchmark {
  /// Of a disk that is imitated.
  static let slowDisk: UInt32 = 5

  /// Policy and audit, each and both left out. All forms in each round.
  ///
  /// - Parameters:
  ///   - credentials: of the daemon, which does not run meanwhile
  ///   - memory: a folder in memory; nil where there is none
  /// - Returns: what each costs, and what group commit does
  /// - Throws: ``Interrupted``, ``BenchFailure``, and the errors of TPM, store, log and system
  func engineCosts(_ credentials: [[UInt8]], memory: String?) throws -> EngineReport {
    let loop = EngineLoop(
      stateDirectory: setup().stateDirectory, tcti: tcti, credential: credentials[0], nanoseconds: plan.nanoseconds,
      ending: ending)
    let disk = folder + "/engine.jsonl"
    let neither = EngineForm(isJudged: false, log: .none)
    let both = EngineForm(isJudged: true, log: .file(disk))
    var comparisons = [
      (name: Cost.policy, form: EngineForm(isJudged: true, log: .none)),
      (name: Cost.audit, form: EngineForm(isJudged: false, log: .file(disk))),
      (name: Cost.policyAndAudit, form: both),
    ]
    if let memory {
      let inMemory = EngineForm(isJudged: true, log: .file(memory + "/engine.jsonl"))
      comparisons.append((name: Cost.policyAndAuditInMemory, form: inMemory))
    }
    let commits = [("this one", 0), ("\(Benchmark.slowDisk) ms slower", Benchmark.slowDisk)].map { name, slower in
      (
        disk: name, shared: EngineForm(isJudged: true, log: .file(disk), slower: slower),
        alone: EngineForm(isJudged: true, log: .oneByOne(disk), slower: slower)
      )
    }
    var forms = [neither]
    for form in comparisons.map(\.form) + commits.flatMap({ [$0.shared, $0.alone] }) where !forms.contains(form) {
      forms.append(form)
    }

    var rounds: [[EngineFigures]] = []
    var disks: [Double] = []
    for round in 1...plan.rounds {
      progress("policy and audit left out, round \(round) of \(plan.rounds)")
      // Another form comes first in each round: what the first one suffers or gains is no cost of the others.
      let order = forms.indices.map { ($0 + round) % forms.count }
      let results = zip(order, try loop.run(order.map { forms[$0] }))
      rounds.append(results.sorted { $0.0 < $1.0 }.map(\.1))
      disks.append(try DiskLoop.run(folder: folder, nanoseconds: plan.bareNanoseconds / 4, ending).percentile(0.5))
    }
    func found(_ form: EngineForm) -> [EngineFigures] {
      forms.firstIndex(of: form).map { index in rounds.map { $0[index] } } ?? []
    }
    return EngineReport(
      costs: comparisons.compactMap { one in
        Cost(one.name, with: found(one.form).map(\.figures), without: found(neither).map(\.figures))
      },
      groupCommits: commits.compactMap { GroupCommit($0.disk, shared: found($0.shared), alone: found($0.alone)) },
      disk: Spread(disks))
  }
}

extension Cost {
  static let policy = "policy, over what it has said before"
  static let audit = "audit log on disk, over none"
  static let policyAndAudit = "policy and audit log on disk, over neither"
  static let policyAndAuditInMemory = "policy and audit log in memory, over neither"

  /// Ratios of each round; nil where there is none.
  init?(_ name: String, with: [Figures], without: [Figures]) {
    let pairs = zip(with, without)
    guard let latency = Spread(pairs.compactMap { ratio($0.latency, $1.latency) }),
      let throughput = Spread(pairs.compactMap { ratio($0.throughput, $1.throughput) })
    else { return nil }
    self.init(name: name, latency: latency, throughput: throughput)
  }
}

extension GroupCommit {
  init?(_ disk: String, shared: [EngineFigures], alone: [EngineFigures]) {
    guard let together = Spread(shared.compactMap(\.recordsPerSynchronization)),
      let each = Spread(alone.compactMap(\.recordsPerSynchronization)),
      let perSecond = Spread(shared.map(\.figures.throughput)),
      let perSecondAlone = Spread(alone.map(\.figures.throughput)),
      let ratios = Spread(zip(shared, alone).compactMap { ratio($0.figures.throughput, $1.figures.throughput) })
    else { return nil }
    self.init(
      disk: disk, shared: together, alone: each, perSecond: perSecond, perSecondAlone: perSecondAlone,
      throughputRatio: ratios)
  }
}
