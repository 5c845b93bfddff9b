internal import Client
internal import Platform
internal import Secrets

/// Where PINs come from: a file, a credential of the service manager's or a person. Never the command line or the
/// environment, which other users can read.
extension CommandContext {
  /// The options that name one PIN.
  struct PINSource {
    let file: Arguments.Option
    let credential: Arguments.Option
    /// e.g. `new PIN`
    let name: String

    static let pin = PINSource(file: .pinFile, credential: .pinCredential, name: "PIN")
    static let current = PINSource(file: .pinFile, credential: .pinCredential, name: "current PIN")
    static let new = PINSource(file: .newPINFile, credential: .newPINCredential, name: "new PIN")
  }

  /// The PIN that options name; nil where none does.
  func pin(from source: PINSource) throws(CommandFailure) -> PIN? {
    if let name = arguments[source.credential] {
      guard !arguments.has(source.file) else {
        throw .usage("\(source.file.rawValue) and \(source.credential.rawValue) are both there", "give one of them")
      }
      return try pin(source, in: try path(ofCredential: name, source))
    }
    guard let path = arguments[source.file] else { return nil }
    let isStandardInput = path == "-"
    guard !isStandardInput || !hasOtherUse(ofStandardInputThan: source) else {
      throw .usage("\(source.file.rawValue) is standard input, and so is something else", "name files")
    }
    return try pin(source, in: isStandardInput ? nil : path)
  }

  private func hasOtherUse(ofStandardInputThan source: PINSource) -> Bool {
    switch command {
    case .register, .authenticate, .rotate: (arguments[.input] ?? "-") == "-"
    default: source.file == .newPINFile && arguments[.pinFile] == "-"
    }
  }

  /// A PIN that a person types, where none was given otherwise.
  func askPIN(_ prompt: String, _ source: PINSource, unless given: PIN? = nil) throws(CommandFailure) -> PIN {
    if let given { return given }
    guard console.isInteractive() else {
      throw .usage(
        "no \(source.name) is given, and nobody is there to type it",
        "give \(source.file.rawValue) or \(source.credential.rawValue)")
    }
    return try pin(source, remedy: "type another one") { try console.askSecret(prompt) }
  }

  private func path(ofCredential name: String, _ source: PINSource) throws(CommandFailure) -> String {
    guard let directory = console.environment["CREDENTIALS_DIRECTORY"], !directory.isEmpty else {
      throw .usage(
        "\(source.credential.rawValue) is there, but the service manager has passed no credentials",
        "have the unit say LoadCredential=, or give \(source.file.rawValue)")
    }
    guard !name.isEmpty, !name.contains("/"), name != ".", name != ".." else {
      throw .usage("\(source.credential.rawValue) \(quoted(name)) is no name of a credential", "see LoadCredential=")
    }
    return "\(directory)/\(name)"
  }

  private func pin(_ source: PINSource, in path: String?) throws(CommandFailure) -> PIN {
    let option = arguments.has(source.credential) ? source.credential : source.file
    return try pin(source, remedy: "check \(option.rawValue)") {
      let text = try console.readSecret(path)
      if let path, text?.isExposed == true, option == source.file { warn(about: path) }
      return text
    }
  }

  private func warn(about path: String) {
    let warning = CommandFailure(
      .done, "warning", "\(quoted(path)) can be read by others than its owner", "forbid it: chmod go-r \(path)")
    console.writeError([UInt8](warning.line.utf8) + [UInt8(ascii: "\n")])
  }

  private func pin(
    _ source: PINSource, remedy: String, _ read: () throws -> SecretText?
  ) throws(CommandFailure) -> PIN {
    do {
      guard let text = try read() else { throw fail(.usage, "the \(source.name) is empty", remedy) }
      return try PIN(text.bytes)
    } catch let failure as CommandFailure {
      throw failure
    } catch PIN.Problem.tooLong {
      throw fail(.usage, "the \(source.name) is longer than \(PIN.maximumCount) bytes", remedy)
    } catch PIN.Problem.notText {
      throw fail(.usage, "the \(source.name) is no text in UTF-8", remedy)
    } catch is SecretMemoryError {
      throw fail(.failure, "no locked memory for the \(source.name)", "raise its limit (ulimit -l)")
    } catch {
      throw fail(.usage, "the \(source.name) cannot be read (\(error))", remedy)
    }
  }
}
