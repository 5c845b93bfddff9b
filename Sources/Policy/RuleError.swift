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
          "callers[\(position)]", "an entry without any field would match everyone",
          "add at least one, such as user, group or unit")
      }
      if callers[..<position].contains(caller) {
        throw refuse("callers[\(position)]", "the same caller stands in this list before", "remove one of the two")
      }
      if let (key, problem, advice) = caller.problem {
        throw refuse("callers[\(position)].\(key)", problem, advice)
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
    try checkTerms(at: index)
  }
}

extension Rule {
  /// What the parts of a rule say to each other.
  func checkTerms(at index: Int) throws(RuleError) {
    func refuse(_ keyPath: String, _ problem: String, _ advice: String) -> RuleError {
      RuleError(rule: index, keyPath: keyPath, problem: problem, advice: advice)
    }
    for (position, pattern) in accounts.enumerated() where accounts[..<position].contains(pattern) {
      throw refuse("accounts[\(position)]", "the same account stands in this list before", "remove one of the two")
    }
    if !accounts.isEmpty, let other = operations.subtracting([.register, .authenticate]).map(\.rawValue).min() {
      throw refuse(
        "accounts", "operation \(other) concerns no account", "allow \(other) by a rule of its own, without accounts")
    }
    if terms.maximumRegistrations != nil, !operations.contains(.register) {
      throw refuse(
        "maxRegistrations", "the rule allows no registrations", "remove it, or add \"register\" to operations")
    }
    if terms.bindsClaims, !operations.contains(.authenticate) {
      throw refuse("bindClaims", "the rule allows no assertions", "remove it, or add \"authenticate\" to operations")
    }
    for (name, patterns) in terms.requiredClaims.sorted(by: { $0.key < $1.key }) {
      if patterns.isEmpty {
        throw refuse("requireClaims.\(name)", "no value would do", "add one, or remove the claim")
      }
      if patterns.contains(where: { $0.text.utf8.count > ClaimPattern.maximumLength }) {
        throw refuse(
          "requireClaims.\(name)", "a pattern is longer than \(ClaimPattern.maximumLength) bytes", "write a shorter one"
        )
      }
    }
  }
}

extension CallerPattern {
  /// What is wrong with one of the fields.
  var problem: (key: String, problem: String, advice: String)? {
    if let unit, let (problem, advice) = problemOfUnit(unit) { return ("unit", problem, advice) }
    if let slice, !slice.hasSuffix(".slice") || problemOfUnit(slice) != nil {
      return ("slice", "\(quoted(slice)) is not the name of a slice", "write it in full, such as \"ci.slice\"")
    }
    if case .id(let id) = container, id.utf8.count != 64 || !id.utf8.allSatisfy(Self.isHexadecimal) {
      return (
        "container", "\(quoted(id)) is not the ID of a container",
        "write all 64 digits (docker inspect --format '{{.Id}}' NAME), or \"*\" for any container"
      )
    }
    if let executable, !executable.hasPrefix("/") {
      return ("executable", "\(quoted(executable)) is not an absolute path", "write it from the root")
    }
    if let executableDigest, executableDigest.count != 32 {
      return ("executableSHA256", "this is no SHA-256", "write the 64 hexadecimal digits of sha256sum(1)")
    }
    if let socket, !Self.isJobSocket(socket) {
      return (
        "socket", "\(quoted(socket)) is not the name of a socket for jobs",
        "write \"ctap\", or a FileDescriptorName= of yours that begins with \"ctap-\""
      )
    }
    return nil
  }

  /// `ctap`, and what a socket unit may name so that rules can tell its connections apart: `ctap-NAME`.
  package static func isJobSocket(_ name: String) -> Bool {
    name == Caller.jobsSocket || (name.hasPrefix("ctap-") && name.utf8.count > 5)
  }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
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
