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
    case "verify": return try dispatchVerify(words.dropFirst(), console)
    default:
      guard let command = Command(rawValue: first), !first.contains(" ") else {
        throw .usage("unknown command \(quoted(first))", "see countersign --help")
      }
      try run(command, words.dropFirst(), console)
    }
  }

  private static func dispatchVerify(_ words: ArraySlice<String>, _ console: Console) throws(CommandFailure) {
    switch words.first {
    case "--help", "-h": try say(Help.verify, console)
    case "registration": try run(.verifyRegistration, words.dropFirst(), console)
    case "assertion": try run(.verifyAssertion, words.dropFirst(), console)
    case nil: throw .usage("verify lacks its kind", "give registration or assertion")
    case let word?: throw .usage("verify does not know \(quoted(word))", "give registration or assertion")
    }
  }

  private static func run(
    _ command: Command, _ words: ArraySlice<String>, _ console: Console
  ) throws(CommandFailure) {
    let arguments = try Arguments(words, of: command.rawValue, allowing: command.options)
    if arguments.has(.help) { return try say(Help.of(command), console) }
    try command.run(CommandContext(arguments: arguments, console: console, what: command.complaint))
  }

  private static func say(_ text: String, _ console: Console) throws(CommandFailure) {
    do {
      try console.writeOutput([UInt8](text.utf8))
    } catch {
      throw CommandFailure(.failure, "cannot answer", "standard output cannot be written (\(error))", "check it")
    }
  }
}
