internal import Platform

/// What is wrong with one rule of a list, and what to do about it.
package struct RuleError: Error, Equatable, Sendable {
  /// Which rule of the list.
  package let rule: Int
  /// Where inside the rule, in the words of the configuration, e.g. `callers[0].unit`; nil for the rule itself.
  package let keyPath: String?
  /// The rules before it that `problem` names.
  package let earlier: [Int]
  package let problem: String
  package let advice: String

  init(rule: Int, keyPath: String?, earlier: [Int] = [], problem: String, advice: String) {
    self.rule = rule
    self.keyPath = keyPath
    self.earlier = earlier
    self.problem = problem
    self.advice = advice
  }
}

extension Rule {
  /// What can be said of a rule without knowing the others.
  func check(at index: Int) throws(RuleError) {
    func refuse(_ keyPath: String?, _ problem: String, _ advice: String) -> RuleError {
      RuleError(rule: index, keyPath: keyPath, problem: problem, advice: advice)
    }
    if name.isEmpty {
      throw refuse("name", "the name is empty", "give the rule a name, it stands in the audit log")
    }
    guard name.unicodeScalars.allSatisfy(\.isPrintable) else {
      throw refuse("name", "\(quoted(name)) has characters that do not print", "write the name without them")
    }
    if callers.isEmpty {
      throw refuse(
        "callers", "rule \(quoted(name)) names no callers, so it would never match",
        "add one, such as callers: [{ user: \"gitlab-runner\" }]")
    }
    for (position, caller) in callers.enumerated() {
      if caller.namesNobody {
        throw refuse(
          "callers[\(position)]", "an entry without user, group or unit would match everyone",
          "add at least one of them")
      }
      if callers[..<position].contains(caller) {
        throw refuse("callers[\(position)]", "the same caller stands in this list before", "remove one of the two")
      }
      if let unit = caller.unit, let (problem, advice) = problemOfUnit(unit) {
        throw refuse("callers[\(position)].unit", problem, advice)
      }
    }
    if operations.isEmpty {
      throw refuse(
        "operations", "rule \(quoted(name)) allows no operation",
        "list some of " + Operation.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))
    }
    if relyingParties.isEmpty, operations != [.reset] {
      throw refuse(
        "relyingParties", "rule \(quoted(name)) names no relying parties, so it would never match",
        "add their RP IDs, such as relyingParties: [\"deploy.example.com\"]")
    }
    for (position, pattern) in relyingParties.enumerated() where relyingParties[..<position].contains(pattern) {
      throw refuse(
        "relyingParties[\(position)]", "\(quoted(pattern.description)) stands in this list before",
        "remove one of the two")
    }
  }

  private func problemOfUnit(_ unit: String) -> (problem: String, advice: String)? {
    if unit.utf8.contains(where: { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "[") }) {
      return ("\(quoted(unit)) has a wildcard, units are compared exactly", "add one entry for each unit")
    }
    // systemd.unit(5): the characters and types of unit names; processes live in these three types only.
    let isName = unit.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      default: ":-_.\\@".utf8.contains(byte)
      }
    }
    let types = [".service", ".scope", ".slice"]
    guard isName, types.contains(where: { unit.hasSuffix($0) && unit.utf8.count > $0.utf8.count }) else {
      return (
        "\(quoted(unit)) is not the name of a systemd unit", "write it in full, such as \"gitlab-runner.service\""
      )
    }
    return nil
  }
}

extension Unicode.Scalar {
  fileprivate var isPrintable: Bool {
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
    default: true
    }
  }
}
