internal import Platform

/// The command line of `countersign-bench`, which people call `countersign bench`.
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
    var reader = OptionReader(arguments, of: ConsoleLogger.program)
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

  /// People run it as `countersign bench`, whose help has the options.
  static let help = """
    Usage: countersign bench [OPTION]...

    This program measures for countersign bench: see countersign bench --help.
    """
}
