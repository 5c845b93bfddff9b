/// What the daemon and its TPM say of the log now.
package struct ChainExpectation: Equatable, Sendable {
  /// The last record that is durable.
  package var end: ChainEnd
  package var anchor: UInt64

  package init(end: ChainEnd, anchor: UInt64) {
    self.end = end
    self.anchor = anchor
  }
}

/// What was found in a log.
package struct ChainFinding: Equatable, Sendable {
  package enum Kind: String, Equatable, Sendable {
    // Somebody has changed the log:
    /// A line is not what was written.
    case altered
    /// Records are missing between two lines.
    case cutOut = "cut out"
    /// A record stands after later ones.
    case reordered
    /// A record's number stands twice: a copy, or a record that the daemon has not written.
    case repeated
    /// A line that is no record of the daemon's.
    case inserted
    /// The end is missing.
    case truncated
    /// The log is an older one, or was for a time.
    case rolledBack = "rolled back"
    /// A signature that does not fit what it is about.
    case badSignature = "bad signature"
    /// A signature of another key.
    case foreignKey = "foreign key"

    // What is no proof of that:
    /// A line that a crash has left unfinished, as far as can be told.
    case torn
    /// The records at the end, which nothing protects yet.
    case unsigned
    /// Earlier files are missing, or were not given.
    case begins
    /// What cannot be known without the daemon or the key.
    case unknown

    package var isTampering: Bool {
      switch self {
      case .torn, .unsigned, .begins, .unknown: false
      default: true
      }
    }
  }

  package let kind: Kind
  /// Which of the files that were given, from 0.
  package let file: Int
  /// From 1; 0 for the file as a whole.
  package let line: Int
  /// For people.
  package let text: String
}
