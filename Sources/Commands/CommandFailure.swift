internal import Platform

/// Why a command did not do its work: an exit status and one line for a person.
struct CommandFailure: Error, Equatable {
  let status: ExitCode
  /// What failed, e.g. `cannot register`.
  let what: String
  let why: String
  let remedy: String

  init(_ status: ExitCode, _ what: String, _ why: String, _ remedy: String) {
    self.status = status
    self.what = what
    self.why = why
    self.remedy = remedy
  }

  static func usage(_ why: String, _ remedy: String) -> CommandFailure {
    CommandFailure(.usage, "wrong usage", why, remedy)
  }

  /// `countersign: what failed: why: what to do`, one line whatever was quoted in it.
  var line: String {
    "countersign: \(what): \(why): \(remedy)".unicodeScalars.reduce(into: "") { line, scalar in
      line.unicodeScalars.append(isPrintable(scalar) ? scalar : "?")
    }
  }
}

/// Whether a terminal takes it for a character and not for a command or the end of a line.
func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.properties.generalCategory {
  case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
  default: true
  }
}
