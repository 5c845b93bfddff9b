internal import Platform

/// `countersign completion`.
func completion(_ context: CommandContext) throws(CommandFailure) {
  let word = context.arguments.operand ?? ""
  guard let shell = Shell(rawValue: word) else {
    throw .usage("there is no completion for the shell \(quoted(word))", "give bash, zsh or fish")
  }
  let output = try context.prepareOutput()
  try output([UInt8](shell.script(for: try outline(context)).utf8))
}

/// Of this program, or of one whose `--help` standard input is.
private func outline(_ context: CommandContext) throws(CommandFailure) -> ProgramOutline {
  guard let name = context.arguments[.program] else { return ProgramOutline() }
  // It stands in the script as a word of the shell's.
  guard !name.isEmpty, name.utf8.allSatisfy({ (0x61...0x7a).contains($0) || $0 == 0x2d }) else {
    throw .usage("--program \(quoted(name)) is no name of ours", "give it as in countersignd")
  }
  let bytes: [UInt8]
  do {
    bytes = try context.console.readInput(CommandContext.maximumInput)
  } catch {
    throw context.fail(.usage, "standard input cannot be read (\(error))", "give it what \(name) --help prints")
  }
  let outline = ProgramOutline(name: name, help: String(decoding: bytes, as: UTF8.self))
  guard outline.commands.contains(where: { !$0.options.isEmpty }) else {
    throw context.fail(.usage, "standard input names no options", "give it what \(name) --help prints")
  }
  return outline
}
