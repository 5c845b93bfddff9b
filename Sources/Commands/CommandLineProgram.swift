package import Platform

/// `countersign`, from its arguments to its exit status.
package enum CommandLineProgram {
  /// - Parameters:
  ///   - arguments: without the program's name
  ///   - console: the world
  /// - Returns: the exit status
  package static func run(_ arguments: [String], _ console: Console) -> ExitCode {
    do {
      try dispatch(arguments[...], console)
      return .done
    } catch {
      console.writeError([UInt8](error.line.utf8) + [UInt8(ascii: "\n")])
      return error.status
    }
  }

  private static func dispatch(_ words: ArraySlice<String>, _ console: Console) throws(CommandFailure) {
    guard let first = words.first else { throw .usage("no command is given", "see countersign --help") }
    switch first {
    case "--help", "-h": return try say(Help.overview, console)
    case "--version": return try say("countersign \(CountersignVersion.text)\n", console)
    default:
      if let group = CommandGroup(rawValue: first) { return try dispatch(words.dropFirst(), of: group, console) }
      guard let command = Command(rawValue: first), !first.contains(" ") else {
        throw .usage("unknown command \(quoted(first))", "see countersign --help")
      }
      try run(command, words.dropFirst(), console)
    }
  }

  private static func dispatch(
    _ words: ArraySlice<String>, of group: CommandGroup, _ console: Console
  ) throws(CommandFailure) {
    guard let word = words.first else { throw .usage("\(group.rawValue) lacks its kind", "give \(group.choice)") }
    if word == "--help" || word == "-h" { return try say(group.help, console) }
    guard group.kinds.contains(word), let command = Command(rawValue: "\(group.rawValue) \(word)") else {
      throw .usage("\(group.rawValue) does not know \(quoted(word))", "give \(group.choice)")
    }
    try run(command, words.dropFirst(), console)
  }

  private static func run(
    _ command: Command, _ words: ArraySlice<String>, _ console: Console
  ) throws(CommandFailure) {
    let arguments = try Arguments(
      words, of: command.rawValue, allowing: command.options, operandName: command.operandName,
      operandMayBeMissing: command.operandMayBeMissing, repeating: command.repeatable, takesFiles: command.takesFiles,
      isHandedOver: command.isHandedOver)
    if arguments.has(.help) { return try say(Help.of(command), console) }
    try command.run(CommandContext(arguments: arguments, console: console, command: command))
  }

  private static func say(_ text: String, _ console: Console) throws(CommandFailure) {
    do {
      try console.writeOutput([UInt8](text.utf8))
    } catch {
      throw CommandFailure(.failure, "cannot answer", "standard output cannot be written (\(error))", "check it")
    }
  }
}
