/// What is wrong with a command line, in one line.
package struct UsageError: Error, Equatable, CustomStringConvertible {
  package let description: String

  package init(description: String) {
    self.description = description
  }
}

/// Takes the command line of a service apart: options with a value, as `--name value` or `--name=value`, and without.
package struct OptionReader {
  private let program: String
  private var rest: ArraySlice<String>
  private var name = ""
  private var joinedValue: String?

  /// - Parameters:
  ///   - arguments: without the program's name
  ///   - program: its name, for complaints
  package init(_ arguments: [String], of program: String) {
    self.program = program
    rest = arguments[...]
  }

  /// The name of the next option; nil at the end.
  package mutating func next() -> String? {
    guard let argument = rest.popFirst() else { return nil }
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let isJoined = argument.hasPrefix("--") && parts.count == 2
    name = isJoined ? parts[0] : argument
    joinedValue = isJoined ? parts[1] : nil
    return name
  }

  /// The value of the option that came last.
  ///
  /// - Throws: ``UsageError`` where it has none
  package mutating func value() throws(UsageError) -> String {
    guard let value = joinedValue ?? rest.popFirst(), !value.isEmpty else { throw complaint("needs a value") }
    return value
  }

  /// - Throws: ``UsageError`` where the option that came last has a value
  package func refuseValue() throws(UsageError) {
    if joinedValue != nil { throw complaint("takes no value") }
  }

  /// What is said of an option that the program does not know.
  package var unknown: UsageError {
    UsageError(description: "unknown argument \(name): see \(program) --help")
  }

  private func complaint(_ problem: String) -> UsageError {
    UsageError(description: "\(name) \(problem): see \(program) --help")
  }
}
