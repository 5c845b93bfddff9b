/// What a program can be told on its command line, as its `--help` says it. Completions are made from the same text that
/// people read, so that the two cannot differ.
struct ProgramOutline: Equatable {
  struct Option: Equatable {
    /// With its dashes.
    let name: String
    /// Its value as the text calls it (`FILE`); nil where it takes none.
    let value: String?
    let text: String

    var kind: ValueKind {
      switch value {
      case nil: .none
      case "FILE", "PATH": .file
      case "DIR": .folder
      default: .other
      }
    }
  }

  enum ValueKind {
    case none
    case file
    case folder
    /// Nothing that a shell could know.
    case other
  }

  struct Command: Equatable {
    /// One word or two; none for what the program takes without a command.
    let words: [String]
    let text: String
    let options: [Option]
    /// What it takes besides, where only these few will do.
    var operands: [String] = []
  }

  let name: String
  let commands: [Command]

  /// A program without commands.
  ///
  /// - Parameters:
  ///   - name: of the program
  ///   - help: what its `--help` prints
  init(name: String, help: String) {
    self.name = name
    commands = [Command(words: [], text: "", options: HelpText.options(in: help))]
  }

  /// `countersign`.
  init() {
    name = "countersign"
    let texts = HelpText.commands(in: Help.overview)
    commands =
      [Command(words: [], text: "", options: HelpText.options(in: Help.overview))]
      + Commands.Command.allCases.map { command in
        Command(
          words: command.rawValue.split(separator: " ").map(String.init), text: texts[command.rawValue] ?? "",
          options: HelpText.options(in: Help.of(command)),
          operands: command == .completion ? Shell.allCases.map(\.rawValue) : [])
      }
  }

  /// First words, with the text of the first command that begins with it.
  var firstWords: [(word: String, text: String)] { continuations(of: []) }

  /// First words that need a second.
  var groups: [String] {
    firstWords.map(\.word).filter { word in !commands.contains { $0.words == [word] } }
  }

  /// What can follow these words on the way to a command, each once.
  func continuations(of words: [String]) -> [(word: String, text: String)] {
    var found: [(word: String, text: String)] = []
    for command in commands where command.words.count > words.count && command.words.starts(with: words) {
      let word = command.words[words.count]
      if !found.contains(where: { $0.word == word }) { found.append((word, command.text)) }
    }
    return found
  }
}

/// The form that all our texts of `--help` have: `  --name VALUE  description`, and `  command  description`.
enum HelpText {
  static func options(in help: String) -> [ProgramOutline.Option] {
    entries(in: help).compactMap { entry in
      let words = entry.term.split(separator: " ").map(String.init)
      guard let place = words.firstIndex(where: { $0.hasPrefix("--") }) else { return nil }
      let value = words.dropFirst(place + 1).first
      return ProgramOutline.Option(name: words[place], value: value, text: entry.text)
    }
  }

  static func commands(in help: String) -> [String: String] {
    entries(in: help).reduce(into: [:]) { found, entry in
      if !entry.term.hasPrefix("-") { found[entry.term] = entry.text }
    }
  }

  /// Lines that are indented by two, and what continues them, up to the first semicolon. An option's description may
  /// begin on the next line.
  private static func entries(in help: String) -> [(term: String, text: String)] {
    var found: [(term: String, text: String)] = []
    for line in help.split(separator: "\n", omittingEmptySubsequences: false) {
      let indent = line.prefix { $0 == " " }.count
      let text = line.dropFirst(indent)
      if indent == 2, let gap = text.firstRange(of: "  ") {
        found.append((String(text[..<gap.lowerBound]), trimmed(text[gap.upperBound...])))
      } else if indent == 2, text.hasPrefix("-") {
        found.append((String(text), ""))
      } else if indent > 10, let last = found.popLast() {
        found.append((last.term, last.text.isEmpty ? String(text) : "\(last.text) \(text)"))
      }
    }
    return found.map { ($0.term, String($0.text.prefix { $0 != ";" })) }
  }

  private static func trimmed(_ text: Substring) -> String { String(text.drop { $0 == " " }) }
}
