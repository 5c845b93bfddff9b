internal import Platform

/// The options of one command as they were given.
struct Arguments {
  /// An option of a command.
  enum Option: String, CaseIterable {
    case input = "--in"
    case output = "--out"
    case socket = "--socket"
    case adminSocket = "--admin-socket"
    case origin = "--origin"
    case timeout = "--timeout"
    case json = "--json"
    case userHandle = "--user-handle"
    case credential = "--credential"
    case options = "--options"
    case response = "--response"
    case help = "--help"

    var takesValue: Bool { self != .json && self != .help }
  }

  private(set) var values: [Option: String] = [:]

  /// Takes `--option VALUE` and `--option=VALUE`, each at most once.
  ///
  /// - Parameters:
  ///   - words: what follows the name of the command
  ///   - command: its name, for complaints
  ///   - allowed: what it takes; `--help` goes without saying
  /// - Throws: ``CommandFailure`` of status ``ExitCode/usage``
  init(_ words: ArraySlice<String>, of command: String, allowing allowed: [Option]) throws(CommandFailure) {
    let remedy = "see countersign \(command) --help"
    var words = words
    while let word = words.popFirst() {
      guard word.hasPrefix("-"), word != "-" else { throw .usage("unexpected argument \"\(word)\"", remedy) }
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard let option = word == "-h" ? .help : Option(rawValue: parts[0]), allowed.contains(option) || option == .help
      else { throw .usage("unknown option \(parts[0]) of \(command)", remedy) }
      guard values[option] == nil else { throw .usage("\(parts[0]) is there twice", remedy) }
      if !option.takesValue {
        guard parts.count == 1 else { throw .usage("\(parts[0]) takes no value", remedy) }
        values[option] = ""
      } else if parts.count == 2 {
        values[option] = parts[1]
      } else if let value = words.popFirst() {
        values[option] = value
      } else {
        throw .usage("\(parts[0]) lacks its value", remedy)
      }
    }
  }

  subscript(option: Option) -> String? { values[option] }

  func has(_ option: Option) -> Bool { values[option] != nil }
}
