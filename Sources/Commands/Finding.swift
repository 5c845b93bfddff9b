internal import WebAuthn

/// One thing that `doctor` has looked at.
struct Finding: Equatable {
  enum Verdict: String {
    case ok
    /// Signatures are made, and the operator should know.
    case warning
    /// Stands between this machine and a signature, or between its signatures and whoever has to trust the log of them.
    case failed
  }

  /// e.g. `audit log`
  let subject: String
  let verdict: Verdict
  let text: String
  /// What mends it, as a command where there is one; nil where nothing is to be mended.
  let remedy: String?

  static func ok(_ subject: String, _ text: String) -> Finding {
    Finding(subject: subject, verdict: .ok, text: text, remedy: nil)
  }

  static func warning(_ subject: String, _ text: String, mend: String) -> Finding {
    Finding(subject: subject, verdict: .warning, text: text, remedy: mend)
  }

  static func failed(_ subject: String, _ text: String, mend: String) -> Finding {
    Finding(subject: subject, verdict: .failed, text: text, remedy: mend)
  }

  var json: JSONValue {
    var members: [String: JSONValue] = [
      "check": .string(subject), "verdict": .string(verdict.rawValue), "text": .string(text),
    ]
    members["remedy"] = remedy.map { .string($0) }
    return .object(members)
  }
}

extension [Finding] {
  var hasFailure: Bool { contains { $0.verdict == .failed } }

  /// For people: each finding on its line, and what mends it below.
  var report: [UInt8] {
    var listing = Listing(columns: ["", "CHECK", "FOUND"])
    for finding in self {
      listing.add([finding.verdict.rawValue, finding.subject, finding.text])
      if let remedy = finding.remedy { listing.add(["", "", "to mend it: \(remedy)"]) }
    }
    return listing.text
  }
}
