import Testing
import WebAuthn

@testable import Benchmarking

/// A run whose figures are easy to reckon: the bare loop takes 1 ms, and the daemon what each test says.
private func round(
  _ milliseconds: [UInt64], elapsed: UInt64, fairness: Double? = nil, bare: UInt64 = 1, disk: UInt64 = 1
) -> Round {
  func samples(_ values: [UInt64], _ elapsed: UInt64) -> Samples {
    Samples(values.map { $0 * 1_000_000 }, elapsed: elapsed * 1_000_000)
  }
  return Round(
    bare: samples([bare, bare], 2 * bare), disk: samples([disk], disk), load: samples(milliseconds, elapsed),
    fairness: fairness, processorNanoseconds: 4_000_000)
}

private func row(_ keys: Keys, clients: Int, variant: String? = nil, _ rounds: [Round]) -> Row {
  Row(keys: keys, clients: clients, stored: 32, variant: variant, rounds: rounds)
}

private func report(_ rows: [Row] = []) -> Report {
  Report(
    machine: MachineDescription(
      processor: "A processor", cores: 2, kernel: "Linux 6.1 x86_64", load: "0.05", swtpm: "0.7.1", tss: "3.2.1-3",
      compiler: "6.3.1", countersign: "0.1.0"),
    isQuick: false, rounds: 2, time: "2026-01-02T03:04:05.000Z", tpm: "IBM, SW TPM, software", isSoftwareTPM: true,
    rows: rows)
}

struct RowTests {
  @Test func ratiosAreToTheBareLoopOfTheirRound() throws {
    let row = row(
      .hot, clients: 4,
      [round([4, 4, 8, 8], elapsed: 8, fairness: 0.9), round([4, 4, 8, 8], elapsed: 8, fairness: 1, bare: 2)])
    let latency = try #require(row.latencyRatio)
    #expect((latency.least, latency.greatest) == (2, 4))
    let throughput = try #require(row.throughputRatio)
    #expect((throughput.least, throughput.greatest) == (0.5, 1))
    let tail = try #require(row.tailRatio)
    #expect((tail.least, tail.greatest) == (1, 2))
    #expect(row.fairness?.median == 0.95)
    #expect(row.processor?.median == 1_000_000)
    #expect(row.assertions == 8)
    #expect(row.latencyOverSlower == nil)
  }

  @Test func oneClientWaitsForTheSlowerOfTPMAndDisk() {
    #expect(row(.hot, clients: 1, [round([6], elapsed: 6, disk: 3)]).latencyOverSlower?.median == 2)
    #expect(row(.hot, clients: 1, [round([6], elapsed: 6, bare: 4, disk: 3)]).latencyOverSlower?.median == 1.5)
  }
}

struct GoalTests {
  @Test(arguments: [
    (Goal.Bound.atLeast(0.95), 0.95, "reached"), (.atLeast(0.95), 0.9449, "not reached, by 0.01"),
    (.atMost(1.15), 1.1549, "reached"), (.atMost(1.15), 1.15, "reached"),
    (.atMost(15), 22.3, "not reached, by 7.30"), (.atLeast(0.99), 1.2, "reached"),
  ])
  func aGoalIsReachedOrSaysByHowMuchNot(_ bound: Goal.Bound, _ value: Double, _ outcome: String) {
    let goal = Goal("", bound, Spread([value]))
    // What is shown decides: 1.1549 is shown as 1.15.
    #expect(goal.outcome == outcome)
  }

  @Test func whatWasNotMeasuredIsNotReached() {
    let goals = report().goals
    #expect(goals.allSatisfy { $0.outcome == "not measured" && $0.isReached == nil })
    #expect(goals.count == 12)
  }

  @Test func goalsFindTheirFigures() {
    var report = report([
      row(.hot, clients: 1, [round([1], elapsed: 1)]),
      row(.hot, clients: 16, [round([16], elapsed: 1, fairness: 0.97)]),
      row(.hot, clients: 64, [round([64], elapsed: 1)]),
      row(.hot, clients: 1, variant: Report.inMemory, [round([1], elapsed: 1)]),
      row(.hot, clients: 16, variant: LatencyProfile.flat.name, [round([16], elapsed: 1)]),
    ])
    let spread = Spread([1])
    report.stores = [1, 100_000].map {
      StoreFigures(
        credentials: $0, ready: spread, readyWithoutTPM: spread, first: spread, idle: spread, connected: spread,
        latency: spread,
        throughput: spread)
    }
    report.commands = [CommandCount(name: CommandCount.hotAssertion, times: 10, commands: [TPMCommandCode.sign: 10])]
    #expect(report.goals.allSatisfy { $0.isReached == true }, "\(report.goals)")
    report.commands = [
      CommandCount(name: CommandCount.hotAssertion, times: 10, commands: [TPMCommandCode.sign: 10, 0x157: 2])
    ]
    #expect(report.goals[0].outcome == "not reached, by 0.20")
  }
}

/// With and without it in two rounds: twice and three times the latency, half the throughput.
private func cost(_ name: String) -> Cost {
  let without = Figures(latency: 100, throughput: 50)
  guard
    let cost = Cost(
      name, with: [200, 300].map { Figures(latency: $0, throughput: 25) }, without: [without, without])
  else { preconditionFailure("there are two rounds") }
  return cost
}

private func figures(throughput: Double, sharing: Double?) -> [EngineFigures] {
  [EngineFigures(figures: Figures(latency: 1, throughput: throughput), recordsPerSynchronization: sharing)]
}

struct CostTests {
  @Test func ratiosAreOfTheirRound() {
    #expect(
      cost("x")
        == Spread([2, 3]).flatMap { latency in
          Spread([0.5]).map { Cost(name: "x", latency: latency, throughput: $0) }
        })
    let nothing = Figures(latency: 0, throughput: 0)
    #expect(Cost("x", with: [nothing], without: [nothing]) == nil)
    #expect(Cost("x", with: [], without: []) == nil)
  }

  @Test func withoutALogThereIsNoGroupCommit() {
    let logged = figures(throughput: 1, sharing: 2)
    #expect(GroupCommit("", shared: logged, alone: figures(throughput: 1, sharing: nil)) == nil)
    #expect(
      GroupCommit("", shared: logged, alone: figures(throughput: 4, sharing: 1))?.throughputRatio == Spread([0.25]))
  }
}

struct WriterTests {
  private let whole: Report = {
    var whole = report([
      row(.hot, clients: 1, [round([2], elapsed: 2), round([4], elapsed: 4)]),
      row(.cold, clients: 16, [round([16], elapsed: 1, fairness: 0.5)]),
      row(.hot, clients: 16, variant: LatencyProfile.flat.name, [round([16], elapsed: 1)]),
    ])
    whole.commands = [CommandCount(name: CommandCount.start, times: 1, commands: [0x17A: 2, 0x1ff: 1])]
    whole.recordsPerSynchronization = Spread([2.5])
    whole.costs = [cost("501 rules")]
    whole.engine.costs = [cost(Cost.policy), cost(Cost.audit)]
    whole.engine.groupCommits = [
      GroupCommit(
        "this one", shared: figures(throughput: 1500, sharing: 4.2), alone: figures(throughput: 250, sharing: 1))
    ].compactMap(\.self)
    whole.engine.disk = Spread([1_234_000])
    return whole
  }()

  @Test func theDocumentNamesMachineVersionsAndFigures() {
    let text = whole.markdown
    for line in [
      "| processor | A processor, 2 cores |", "| load average before the run | 0.05 |", "| swtpm | 0.7.1 |",
      "| tpm2-tss | 3.2.1-3 |", "| Swift | 6.3.1 |",
      "| one key, loaded | 1 | 3.00 (2.00–4.00) | 3.00 (2.00–4.00) | 0.38 (0.25–0.50) |",
      "| start of the daemon | 3.00 | GetCapability 2, 0x1ff 1 |",
      "| median latency of 1 client over the bare TPM2_Sign | at most 1.15 | 3.00 (2.00–4.00) | not reached, by 1.85 |",
      "## Over a relay that imitates: 40 ms", "Audit records per fdatasync(2) at 16 clients: 2.5.",
      "](performance.svg)", "## Policy and audit\n", "| 501 rules | 2.500 (2.000–3.000) | 0.500 |",
      "## Policy and audit left out, without daemon and sockets\n", "| \(Cost.policy) | 2.500 (2.000–3.000) | 0.500 |",
      "## Group commit at 16 clients\n", "| this one | 4.2 | 1500 | 1.0 | 250 | 6.00 |",
      "An append and its fdatasync(2) on this disk: median 1.234 ms.",
    ] { #expect(text.contains(line), "\(line)") }
    #expect(!text.contains("too short to quote"))
    // A table that has nothing to say is not there.
    #expect(!text.contains("## Stored credentials"))
    #expect(text.hasSuffix(".\n") && !text.contains("\n\n\n"))
  }

  @Test func everyRowOfATableHasItsColumns() {
    var columns: Int?
    for line in whole.markdown.split(separator: "\n", omittingEmptySubsequences: false) {
      guard line.hasPrefix("|") else {
        columns = nil
        continue
      }
      let count = line.filter { $0 == "|" }.count
      #expect(columns == nil || columns == count, "\(line)")
      columns = count
    }
  }

  @Test func aQuickRunSaysSo() {
    var quick = whole
    quick.isQuick = true
    #expect(quick.markdown.contains("too short to quote"))
  }

  @Test func theResultFileIsOfItsFormat() throws {
    guard case .object(let members) = try JSONValue.parse(whole.json.serialized()) else {
      Issue.record("no object")
      return
    }
    #expect(members["format"] == 1)
    guard case .array(let loads) = members["loads"], case .object(let first) = loads[0] else {
      Issue.record("no loads")
      return
    }
    #expect(loads.count == 3)
    #expect(first["keys"] == "hot" && first["clients"] == 1 && first["variant"] == nil && first["fairness"] == nil)
    guard case .object(let latency) = first["latencyOverBare"] else {
      Issue.record("no latency")
      return
    }
    #expect(Set(latency.keys) == ["median", "least", "greatest"])
    guard case .object(let engine) = members["engine"], case .array(let costs) = engine["costs"],
      case .array(let commits) = engine["groupCommits"], case .object(let commit) = commits.first
    else {
      Issue.record("no costs")
      return
    }
    #expect(costs.count == 2 && engine["diskP50"] != nil)
    #expect(
      Set(commit.keys) == [
        "disk", "recordsPerSynchronization", "recordsPerSynchronizationAlone", "perSecond", "perSecondAlone",
        "throughputOverAlone",
      ])
  }

  @Test func thePlotHasALineForWhatWasMeasured() {
    let plots = whole.plots
    #expect(plots.count == 2)
    #expect(
      plots[0].lines.map(\.name) == [
        "one key, loaded", "32 keys in turn, none loaded", "one key, loaded, 40 ms",
      ])
    #expect(plots[0].places == ["1 client", "16"])
    #expect(plots[0].lines[0].points[0]?.median == 0.375)
    #expect(plots[0].lines[0].points[1] == nil)
  }

  @Test func thePictureEscapesAndStaysInItsFrame() throws {
    let plot = Plot(
      title: "a < b & \"c\"", places: ["1"], lines: [PlotLine(name: "<x>", points: [Spread([3])])], level: 1)
    #expect(plot.ceiling >= 3)
    let text = PlotWriter.svg([plot])
    #expect(text.contains("a &lt; b &amp; &quot;c&quot;") && text.contains("&lt;x&gt;"))
    #expect(text.hasPrefix("<svg xmlns=\"http://www.w3.org/2000/svg\"") && text.hasSuffix("</svg>\n"))
    #expect(text.filter { $0 == "<" }.count == text.filter { $0 == ">" }.count)
    #expect(!text.contains("nan") && !text.contains("\"-\""))
    // Nothing measured is a frame without lines.
    #expect(PlotWriter.svg([Plot(title: "", places: [], lines: [], level: 1)]).hasSuffix("</svg>\n"))
  }

  @Test(arguments: [
    ("processor\t: 0\nmodel name\t: Intel(R)  Xeon(R)\nmodel name\t: another\n", "Intel(R) Xeon(R)"),
    ("processor\t: 0\nBogoMIPS\t: 50\n", nil), ("", nil), ("model name\t:\n", nil),
  ])
  func theProcessorIsNamed(_ text: String, _ name: String?) {
    #expect(MachineDescription.processorModel(text) == name)
  }

  @Test(arguments: [
    ("TPM emulator version 0.7.1, Copyright (c) 2014", "0.7.1"), ("3.2.1-3\n\n", "3.2.1-3"), ("none", nil),
  ])
  func versionsAreFound(_ text: String, _ version: String?) {
    #expect(MachineDescription.version(text) == version)
  }
}
