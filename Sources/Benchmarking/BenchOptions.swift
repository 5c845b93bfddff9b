internal import Platform

/// The command line of `countersign-bench`.
struct BenchOptions: Equatable {
  enum Action: Equatable {
    case run
    case help
    case version
    /// Removes what a run has left that was killed.
    case clean(folder: String)
  }

  var action = Action.run
  var plan = Plan()
  /// nil: a software TPM of the run's own.
  var tcti: String?
  /// nil: the one that belongs to this program.
  var daemon: String?
  /// Where the run's folder is made.
  var parent = "/var/tmp"
  var printsJSON = false
  /// Where the document, its picture and the result file go.
  var documents: String?

  /// - Parameter arguments: without the program's name
  /// - Throws: `UsageError`
  init(_ arguments: [String]) throws(UsageError) {
    var reader = OptionReader(arguments, of: "countersign-bench")
    var rounds: Int?
    var stored: [Int]?
    var parts: Set<Plan.Part>?
    while let name = reader.next() {
      switch name {
      case "-h", "--help": action = .help
      case "--version": action = .version
      case "--quick": plan = .quick
      case "--json": printsJSON = true
      case "--clean": action = .clean(folder: try reader.value())
      case "--tpm": tcti = try reader.value()
      case "--daemon": daemon = try reader.value()
      case "--folder": parent = try BenchOptions.path(try reader.value())
      case "--documents": documents = try reader.value()
      case "--rounds": rounds = try BenchOptions.numbers(try reader.value(), of: name, 1...100, atMost: 1)[0]
      case "--stored": stored = try BenchOptions.numbers(try reader.value(), of: name, 1...1_000_000, atMost: 8)
      case "--parts": parts = try BenchOptions.parts(try reader.value())
      default: throw reader.unknown
      }
      if ["-h", "--help", "--version", "--quick", "--json"].contains(name) { try reader.refuseValue() }
      if action == .help || action == .version { return }
    }
    if let parts { plan.parts = parts }
    if let rounds { (plan.rounds, plan.chipRounds) = (rounds, min(rounds, plan.chipRounds)) }
    if let stored { plan.stored = stored.sorted() }
  }

  private static func path(_ text: String) throws(UsageError) -> String {
    guard text.hasPrefix("/") else { throw UsageError(description: "--folder \(text): give an absolute path") }
    return text
  }

  private static func numbers(
    _ text: String, of name: String, _ range: ClosedRange<Int>, atMost count: Int
  ) throws(UsageError) -> [Int] {
    let words = text.split(separator: ",", omittingEmptySubsequences: false)
    let numbers = words.compactMap { Int($0) }
    guard numbers.count == words.count, numbers.count <= count, numbers.allSatisfy(range.contains) else {
      throw UsageError(
        description: "\(name) \(text): give "
          + (count == 1 ? "a number" : "at most \(count) numbers with commas between them")
          + ", \(range.lowerBound) to \(range.upperBound)")
    }
    return Set(numbers).sorted()
  }

  private static func parts(_ text: String) throws(UsageError) -> Set<Plan.Part> {
    var parts: Set<Plan.Part> = []
    for word in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let part = Plan.Part(rawValue: String(word)) else {
        let known = Plan.Part.allCases.map(\.rawValue).joined(separator: ", ")
        throw UsageError(description: "--parts \(text): \(word) is none of \(known)")
      }
      parts.insert(part)
    }
    return parts
  }

  static let help = """
    Usage: countersign bench [OPTION]...

    Measures what an assertion costs, as ratios to a bare TPM2_Sign loop against the
    same TPM in the same run. It starts daemons of its own, with a state folder, an
    audit log, rules and credentials that are made for the run and removed after it:
    the daemon in service, its policy and its audit log are not touched. Prints the
    document in Markdown; what it is doing goes to standard error.

      --tpm TCTI              measure this TPM, e.g. device:/dev/tpmrm0; default: a
                              software TPM, made for the run (needs swtpm)
      --quick                 about a minute, too short to quote
      --parts LIST            of load, costs, stores, chips; default: all
      --rounds N              rounds of each part (5)
      --stored LIST           sizes of the store (1,1000,100000)
      --json                  print the result file instead of the document
      --documents DIR         also write performance.md, performance.svg and
                              performance.json there
      --daemon FILE           the countersignd to measure; default: the one installed
                              with this program
      --folder DIR            where the run's folder is made (/var/tmp); the audit log
                              is there, so the disk counts
      --clean FOLDER          remove what a run has left that was killed: its folder,
                              and what it has defined in the TPM
      --version               print the version, then exit
      -h, --help              print this, then exit

    With --tpm it defines three NV indices and removes them again; it writes to NV as
    often as some forty starts of the daemon. Everybody who uses the TPM meanwhile
    disturbs the figures, and is disturbed. A relay can add the latency of chips only
    to the software TPM. SIGINT ends it in order.

    Examples:
      countersign bench --quick
      sudo countersign bench --tpm device:/dev/tpmrm0 --parts load,costs
      countersign bench --json > result.json
      sudo countersign bench --clean /var/tmp/countersign-bench-3kd81a

    Exit status: 0 done, 1 failure, 2 usage.
    """
}
