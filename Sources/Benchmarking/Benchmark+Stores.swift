internal import Platform

/// A store of one size, and what its rounds gave.
private struct Store {
  let credentials: Int
  let directory: String
  var ready: [Double] = []
  var readyWithoutTPM: [Double] = []
  var first: [Double] = []
  var idle: [Double] = []
  var connected: [Double] = []
  var figures: [Figures] = []

  init(_ credentials: Int, _ directory: String) {
    self.credentials = credentials
    self.directory = directory
  }
}

extension Benchmark {
  /// Connections whose memory is asked for.
  private static let connections = 256

  /// Daemons over stores of several sizes, all in each round.
  func stores() throws -> [StoreFigures] {
    var (stores, credential) = try fill()
    for round in 1...plan.rounds {
      for index in stores.indices {
        progress("stores, round \(round) of \(plan.rounds): \(stores[index].credentials) credentials")
        try measure(&stores[index], credential)
      }
    }
    let smallest = stores[0].figures
    return stores.map { store in
      StoreFigures(
        credentials: store.credentials, ready: Spread(store.ready), readyWithoutTPM: Spread(store.readyWithoutTPM),
        first: Spread(store.first), idle: Spread(store.idle), connected: Spread(store.connected),
        latency: Spread(zip(store.figures, smallest).compactMap { ratio($0.latency, $1.latency) }),
        throughput: Spread(zip(store.figures, smallest).compactMap { ratio($0.throughput, $1.throughput) }))
    }
  }

  /// The stores, each grown from a copy of the smaller one, and the one credential that all have and that signs.
  private func fill() throws -> (stores: [Store], credential: [UInt8]) {
    var stores: [Store] = []
    let first = folder + "/store"
    try makeFolder(first)
    let credential = try withDaemon(setup { $0.stateDirectory = first }) { daemon in
      try daemon.jobs.register(1)[0]
    }
    var grown = first
    for count in plan.stored {
      progress("filling a store with \(count) credentials")
      // Each insertion is made durable: in memory that costs nothing, and the copy on disk is the same.
      let memory = "/dev/shm/\(name)-store"
      let place = isThere("/dev/shm") ? memory : "\(folder)/store-growing"
      defer { remove(place) }
      try copy(grown, to: place)
      try Stock.fill(place, tcti: tcti, upTo: count, ending)
      grown = "\(folder)/store-\(count)"
      try copy(place, to: grown)
      stores.append(Store(count, grown))
    }
    return (stores, credential)
  }

  private func measure(_ store: inout Store, _ credential: [UInt8]) throws {
    let state = setup { $0.stateDirectory = store.directory }
    if let relay {
      relay.imitate(.none)
      _ = relay.take()
      var relayed = state
      relayed.tcti = relay.tcti
      store.readyWithoutTPM.append(
        try withDaemon(relayed) { Double($0.nanosecondsToReady) - Double(relay.take().nanoseconds) })
    }
    try withDaemon(state) { daemon in
      store.ready.append(Double(daemon.nanosecondsToReady))
      store.idle.append(Double(try daemon.restingBytes(ending)))
      let begin = SystemTime().monotonicNanoseconds
      try daemon.jobs.warm([credential], count: 1)
      let first = Double(SystemTime().monotonicNanoseconds - begin)
      let figures = try figures([credential], daemon)
      store.figures.append(figures)
      ratio(first, figures.latency).map { store.first.append($0) }
      store.connected.append(
        try daemon.jobs.holding(Benchmark.connections, with: credential) { Double(try daemon.residentBytes()) })
    }
  }

  /// Of the run's folder, for what has to be elsewhere.
  var name: String { folder.split(separator: "/").last.map(String.init) ?? "countersign-bench" }
}

/// Copies what is in a folder into a new one; where something stands already it fails, for in a folder that others can
/// write to that would be theirs.
func copy(_ from: String, to place: String) throws {
  try makeFolder(place)
  let process = try ChildProcess("cp", arguments: ["-a", "--", from + "/.", place], descriptors: [])
  process.end(within: 60_000)
  guard isThere(place + "/credentials.db") else { throw BenchFailure("a store could not be copied: is the disk full?") }
}

/// Removes a folder and what is in it, where it is there.
func remove(_ folder: String) {
  _ = try? ChildProcess("rm", arguments: ["-rf", "--", folder], descriptors: []).end(within: 60_000)
}
