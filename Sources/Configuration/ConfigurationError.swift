/// A place in a text; both count from 1, columns in characters.
package struct SourcePosition: Equatable, Sendable {
  package let line: Int
  package let column: Int
}

/// What is wrong with the configuration, where, and what to do about it: one line that a person can act on.
package struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
  package let file: String
  package let position: SourcePosition?
  /// In the words of the configuration, e.g. `rules[0].callers[1].user`.
  package let keyPath: String?
  package let problem: String
  package let advice: String

  init(file: String, position: SourcePosition? = nil, keyPath: String? = nil, problem: String, advice: String) {
    self.file = file
    self.position = position
    self.keyPath = keyPath
    self.problem = problem
    self.advice = advice
  }

  /// `FILE:LINE:COLUMN`, without what is not known.
  package var place: String { position.map { "\(file):\($0.line):\($0.column)" } ?? file }

  /// `FILE:LINE:COLUMN: KEY PATH: what is wrong: what to do`, without what is not known.
  package var description: String {
    let text = [place, keyPath, problem, advice].compactMap(\.self).joined(separator: ": ")
    return text.unicodeScalars.map {
      $0.properties.generalCategory == .control ? $0.escaped(asASCII: true) : String($0)
    }
    .joined()
  }
}
