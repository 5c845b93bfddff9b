internal import WebAuthn

extension Report {
  /// The result file. Times are in nanoseconds, memory in bytes; a figure is an object of `median`, `least` and `greatest`
  /// over the rounds, and is left out where it was not measured.
  var json: JSONValue {
    .object([
      "format": .integer(Report.format), "time": .string(time), "quick": .boolean(isQuick),
      "rounds": .integer(Int64(rounds)),
      "machine": object([
        "processor": .string(machine.processor), "cores": .integer(Int64(machine.cores)),
        "kernel": .string(machine.kernel), "load": .string(machine.load), "swtpm": machine.swtpm.map(JSONValue.string),
        "tss": machine.tss.map(JSONValue.string), "compiler": .string(machine.compiler),
        "countersign": .string(machine.countersign),
      ]),
      "tpm": .object(["name": .string(tpm), "software": .boolean(isSoftwareTPM)]),
      "goals": .array(goals.map(\.json)), "loads": .array(rows.map(\.json)),
      "stores": .array(stores.map(\.json)), "costs": .array(costs.map(\.json)),
      "engine": engine.json,
      "commands": .array(commands.map(\.json)),
      "recordsPerSynchronization": recordsPerSynchronization?.json ?? .null,
    ])
  }
}

/// Without the members that are nil.
private func object(_ members: [String: JSONValue?]) -> JSONValue {
  .object(members.compactMapValues(\.self))
}

extension Spread {
  fileprivate var json: JSONValue {
    .object(["median": .number(median), "least": .number(least), "greatest": .number(greatest)])
  }
}

extension Goal {
  fileprivate var json: JSONValue {
    object([
      "name": .string(name), "goal": .string(wanted), "value": value?.json, "reached": isReached.map(JSONValue.boolean),
    ])
  }
}

extension Row {
  fileprivate var json: JSONValue {
    object([
      "keys": .string("\(keys)"), "clients": .integer(Int64(clients)), "stored": .integer(Int64(stored)),
      "variant": variant.map(JSONValue.string), "assertions": .integer(Int64(assertions)),
      "latencyOverBare": latencyRatio?.json, "latencyOverSlower": latencyOverSlower?.json,
      "throughputOverBare": throughputRatio?.json,
      "p99OverClientsTimesBare": tailRatio?.json, "fairness": fairness?.json, "p50": latency(0.5)?.json,
      "p95": latency(0.95)?.json, "p99": latency(0.99)?.json, "perSecond": perSecond?.json,
      "processor": processor?.json, "bareP50": spread { $0.bare.percentile(0.5) }?.json,
      "diskP50": spread { $0.disk.percentile(0.5) }?.json, "barePerSecond": spread { $0.bare.perSecond }?.json,
    ])
  }
}

extension StoreFigures {
  fileprivate var json: JSONValue {
    object([
      "credentials": .integer(Int64(credentials)), "ready": ready?.json, "readyWithoutTPM": readyWithoutTPM?.json,
      "firstAssertion": first?.json, "resident": idle?.json, "residentWith256Connections": connected?.json,
      "latencyOverSmallest": latency?.json,
      "throughputOverSmallest": throughput?.json,
    ])
  }
}

extension Cost {
  fileprivate var json: JSONValue {
    .object(["name": .string(name), "latency": latency.json, "throughput": throughput.json])
  }
}

extension GroupCommit {
  fileprivate var json: JSONValue {
    .object([
      "disk": .string(disk), "recordsPerSynchronization": shared.json, "recordsPerSynchronizationAlone": alone.json,
      "perSecond": perSecond.json, "perSecondAlone": perSecondAlone.json, "throughputOverAlone": throughputRatio.json,
    ])
  }
}

extension EngineReport {
  fileprivate var json: JSONValue {
    object([
      "costs": .array(costs.map(\.json)), "groupCommits": .array(groupCommits.map(\.json)), "diskP50": disk?.json,
    ])
  }
}

extension CommandCount {
  fileprivate var json: JSONValue {
    .object([
      "name": .string(name), "times": .integer(Int64(times)),
      "commands": .object(
        Dictionary(
          uniqueKeysWithValues: commands.map { ("0x" + String($0.key, radix: 16), .integer(Int64($0.value))) })),
    ])
  }
}
