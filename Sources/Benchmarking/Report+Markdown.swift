extension Report {
  /// What the document's picture is called, beside it.
  static let plotName = "performance.svg"

  /// The document.
  var markdown: String {
    let parts = [
      heading, goalsTable, "![Throughput and latency over the bare loop](\(Report.plotName))", loadTable, chipTables,
      storesTable, costsTable, commandsTable, explanation,
    ]
    return parts.filter { !$0.isEmpty }.joined(separator: "\n\n") + "\n"
  }

  private var heading: String {
    var lines = [
      "# What an assertion costs",
      "",
      "Made by `make bench`; don't edit it. Ratios are to a bare TPM2_Sign loop that ran against the same TPM, before and",
      "after each round of the same run; times belong to this machine. Each figure is the median of \(rounds) rounds, with",
      "the least and the greatest round in brackets: what lies between is noise.",
    ]
    if isQuick { lines += ["", "**A quick run: too short to quote.**"] }
    lines += [
      "", "| | |", "|---|---|", "| processor | \(machine.processor), \(counted(machine.cores, "core")) |",
      "| kernel | \(machine.kernel) |", "| load average before the run | \(machine.load) |", "| TPM | \(tpm) |",
    ]
    if isSoftwareTPM, let swtpm = machine.swtpm { lines.append("| swtpm | \(swtpm) |") }
    if let tss = machine.tss { lines.append("| tpm2-tss | \(tss) |") }
    lines += [
      "| Swift | \(machine.compiler) |", "| Countersign | \(machine.countersign) |", "| time | \(time) |",
    ]
    return lines.joined(separator: "\n")
  }

  private var goalsTable: String {
    table(
      "Goals", ["", "goal", "this run", ""],
      goals.map { [$0.name, $0.wanted, $0.figure, $0.outcome] })
  }

  private var loadTable: String {
    guard let bare = rows.first(where: { $0.variant == nil }) else { return "" }
    let median = bare.spread { $0.bare.percentile(0.5) }?.text(3, scale: 1e-6) ?? "-"
    let perSecond = bare.spread { $0.bare.perSecond }?.text(0) ?? "-"
    let disk = bare.spread { $0.disk.percentile(0.5) }?.text(3, scale: 1e-6) ?? "-"
    let parts = [rowsTable("Load", nil), rowsTable("The same, audit log in memory", Report.inMemory)]
    return parts.filter { !$0.isEmpty }.joined(separator: "\n\n")
      + "\n\nThe bare loop: median \(median) ms, \(perSecond) signatures a second. An append and its"
      + " fdatasync(2): median \(disk) ms."
      + (recordsPerSynchronization.map { " Audit records per fdatasync(2) at 16 clients: \($0.text(1))." } ?? "")
  }

  private var chipTables: String {
    LatencyProfile.chips.filter { chip in rows.contains { $0.variant == chip.name } }.map { chip in
      let rounds = rows.first { $0.variant == chip.name }?.rounds.count ?? 0
      return rowsTable("Over a relay that imitates: \(chip.name)", chip.name)
        + "\n\n\(chip.explanation). \(counted(rounds, "round"))."
    }.joined(separator: "\n\n")
  }

  private func rowsTable(_ title: String, _ chip: String?) -> String {
    table(
      title,
      [
        "keys", "clients", "latency over bare", "over the slower of bare and disk", "throughput over bare",
        "p99 over clients × bare", "fairness",
        "p50 / p95 / p99 ms", "per second", "daemon's CPU µs",
      ],
      rows.filter { $0.variant == chip }.map { row in
        [
          row.keys.rawValue, "\(row.clients)", row.latencyRatio?.text(2) ?? "-", row.latencyOverSlower?.text(2) ?? "-",
          row.throughputRatio?.text(2) ?? "-",
          row.tailRatio?.text(2) ?? "-", row.fairness?.text(2) ?? "-",
          [0.5, 0.95, 0.99].map { row.latency($0).map { fixed($0.median * 1e-6, 2) } ?? "-" }.joined(separator: " / "),
          row.perSecond?.text(0) ?? "-", row.processor.map { fixed($0.median * 1e-3, 0) } ?? "-",
        ]
      })
  }

  private var storesTable: String {
    table(
      "Stored credentials",
      [
        "credentials", "latency over the smallest", "throughput over the smallest", "start to ready ms",
        "without the TPM ms", "first assertion over later ones", "resident MB, idle", "with 256 connections",
      ],
      stores.map { store in
        [
          grouped(store.credentials), store.latency?.text(3) ?? "-", store.throughput?.text(3) ?? "-",
          store.ready?.text(0, scale: 1e-6) ?? "-", store.readyWithoutTPM?.text(0, scale: 1e-6) ?? "-",
          store.first?.text(1) ?? "-",
          store.idle?.text(1, scale: 1e-6) ?? "-", store.connected?.text(1, scale: 1e-6) ?? "-",
        ]
      })
  }

  private var costsTable: String {
    let columns = ["", "latency, 1 client", "throughput, 16 clients"]
    let rows = { (costs: [Cost]) in costs.map { [$0.name, $0.latency.text(3), $0.throughput.text(3)] } }
    let parts = [
      table("Policy and audit", columns, rows(costs)),
      table("Policy and audit left out, without daemon and sockets", columns, rows(engine.costs)), groupCommitTable,
    ]
    return parts.filter { !$0.isEmpty }.joined(separator: "\n\n")
  }

  private var groupCommitTable: String {
    let disk = engine.disk.map {
      "\n\nAn append and its fdatasync(2) on this disk: median \($0.text(3, scale: 1e-6)) ms."
    }
    let table = table(
      "Group commit at 16 clients",
      [
        "disk", "records per fdatasync(2)", "assertions a second", "records without group commit",
        "a second without it", "throughput over that without",
      ],
      engine.groupCommits.map { one in
        [
          one.disk, one.shared.text(1), one.perSecond.text(0), one.alone.text(1), one.perSecondAlone.text(0),
          one.throughputRatio.text(2),
        ]
      })
    return table.isEmpty ? "" : table + (disk ?? "")
  }

  private var commandsTable: String {
    table(
      "TPM commands", ["", "each", "which"],
      commands.map { count in
        let which = count.commands.sorted { $0.key < $1.key }.map { code, times in
          let each = Double(times) / Double(max(count.times, 1))
          return "\(TPMCommandCode.name(code)) \(fixed(each, each == each.rounded() ? 0 : 2))"
        }
        return [count.name, fixed(count.perTime, 2), which.joined(separator: ", ")]
      })
  }

  private var explanation: String {
    """
    ## How to read it

    Latency is that of one assertion, from the request's frame to the answer's. An assertion waits for the TPM and for its
    audit record's fdatasync(2) at the same time. Where the disk is the slower of the two, as it can be with a software TPM,
    latency over the bare TPM2_Sign shows the disk; the column beside it and the rows with the audit log in memory show the
    daemon. "p99 over clients × bare" compares with what the last of so many clients would wait if the TPM did nothing but
    sign for them in turn. Fairness is the least served client over the most served one, where each got at least some twenty
    assertions. "None loaded" goes through more keys than the TPM holds, so that each is loaded anew. The daemon's CPU is
    that of its process for one assertion. Clients, daemon and software TPM share the processor: on a machine with a chip
    only the first two do.

    The credentials that fill a store are written through the storage layer under the daemon's own secret; one that all
    stores have signs. "Without the TPM" takes the time off in which a TPM command was on its way, as a relay sees it in a
    start of its own. The first assertion after a start has its key loaded first. Audit and its chain cannot be switched
    off in the daemon, nor can policy; what can be exchanged is the disk below them, and the number of rules.

    Where policy and audit are left out, the benchmark asks an authenticator of its own, in its own process, over the
    daemon's TPM and store: "latency" is then from the request's bytes to the answer's, without socket and frames. No
    signature can be had without a yes of a rule book, here neither: "what it has said before" are such yeses, made before
    the time is taken, so that what is left of policy is a look at the clock and the ledger of rates. "Policy" is a book of
    \(EngineLoop.rules) rules, of which the last decides, with a rate and hours. "None" is a log that keeps nothing and says at once that
    all is durable. Without group commit each record waits for the one before to be on disk, in the same log; the hand-over
    adds some tens of microseconds to each, which counts only where the disk is as fast as that. With group
    commit, the record of a request that comes while others are in progress waits for theirs until the TPM begins with one of
    these requests, a tenth of a second at most. A disk of \(Benchmark.slowDisk) ms more is imitated to show what it does there.
    """
  }

  /// Nothing where there are no rows.
  private func table(_ title: String, _ columns: [String], _ rows: [[String]]) -> String {
    guard !rows.isEmpty else { return "" }
    let lines = [columns, columns.map { _ in "---" }] + rows
    return "## \(title)\n\n" + lines.map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
  }
}

/// `1 core`, `2 cores`.
private func counted(_ count: Int, _ noun: String) -> String {
  "\(count) \(noun)\(count == 1 ? "" : "s")"
}

/// `100,000`.
func grouped(_ number: Int) -> String {
  let digits = Array(String(number))
  return digits.indices.reduce(into: "") { text, index in
    if index > 0, (digits.count - index).isMultiple(of: 3) { text += "," }
    text.append(digits[index])
  }
}

extension TPMCommandCode {
  /// As in the TPM 2.0 Library; in hexadecimal where it is no command that the daemon is known for.
  static func name(_ code: UInt32) -> String {
    switch code {
    case 0x120: "EvictControl"
    case 0x122: "NV_UndefineSpace"
    case 0x12A: "NV_DefineSpace"
    case createPrimary: "CreatePrimary"
    case 0x134: "NV_Increment"
    case 0x137: "NV_Write"
    case 0x144: "Startup"
    case 0x145: "Shutdown"
    case 0x148: "Certify"
    case 0x14E: "NV_Read"
    case create: "Create"
    case load: "Load"
    case 0x158: "Quote"
    case sign: "Sign"
    case 0x15E: "Unseal"
    case 0x161: "ContextLoad"
    case 0x162: "ContextSave"
    case 0x165: "FlushContext"
    case 0x169: "NV_ReadPublic"
    case 0x173: "ReadPublic"
    case 0x176: "StartAuthSession"
    case 0x17A: "GetCapability"
    case 0x17B: "GetRandom"
    case 0x18A: "TestParms"
    default: "0x" + String(code, radix: 16)
    }
  }
}
