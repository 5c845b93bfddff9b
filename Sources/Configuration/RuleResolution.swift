internal import Platform
internal import Policy

extension SourceFile {
  /// The rules of this file in the words of Policy: names become numbers, texts become patterns.
  func rules(using accounts: AccountDirectory) throws(ConfigurationError) -> [Rule] {
    var rules: [Rule] = []
    for (index, entry) in document.rules.enumerated() {
      rules.append(try rule(entry, "rules[\(index)]", accounts))
    }
    return rules
  }

  /// The number of the group that may administrate; nil where this file names none.
  func adminGroup(using accounts: AccountDirectory) throws(ConfigurationError) -> UInt32? {
    guard let entry = document.adminGroup else { return nil }
    return try number(entry, "group", "adminGroup", accounts.group)
  }

  private func rule(
    _ entry: RuleEntry, _ path: String, _ accounts: AccountDirectory
  ) throws(ConfigurationError) -> Rule {
    guard let name = entry.name else {
      throw error("\(path).name", "the rule has no name", "add one that tells what it is for, such as name: \"deploy\"")
    }
    var callers: [CallerPattern] = []
    for (index, caller) in entry.callers.enumerated() {
      callers.append(try pattern(caller, "\(path).callers[\(index)]", accounts))
    }
    var parties: [RelyingPartyPattern] = []
    for (index, text) in entry.relyingParties.enumerated() {
      do {
        parties.append(try RelyingPartyPattern(text))
      } catch {
        throw self.error("\(path).relyingParties[\(index)]", error.problem, error.advice)
      }
    }
    return Rule(
      name: name, callers: callers, relyingParties: parties,
      operations: try operations(entry.operations, "\(path).operations"), userVerification: entry.userVerification,
      signatureCounter: try signatureCounter(entry.signatureCounter, "\(path).signatureCounter"))
  }

  private func signatureCounter(
    _ word: String?, _ path: String
  ) throws(ConfigurationError) -> SignatureCounter {
    guard let word else { return .global }
    if let counter = SignatureCounter(rawValue: word) { return counter }
    throw error(
      path, "there is no signature counter \(quoted(word, limit: 64))",
      "write \"global\", which counts every signature of this machine, or \"zero\", which never counts")
  }

  private func operations(
    _ words: [String], _ path: String
  ) throws(ConfigurationError) -> Set<Policy.Operation> {
    var operations: Set<Policy.Operation> = []
    let valid = Policy.Operation.allCases.map(\.rawValue)
    for (index, word) in words.enumerated() {
      guard let operation = Policy.Operation(rawValue: word) else {
        let all = valid.map { "\"\($0)\"" }.joined(separator: ", ")
        throw error(
          "\(path)[\(index)]", "there is no operation \(quoted(word, limit: 64))",
          nearest(to: word, among: valid).map { "write \"\($0)\"" } ?? "write one of \(all)")
      }
      guard operations.insert(operation).inserted else {
        throw error(
          "\(path)[\(index)]", "\"\(word)\" stands in this list before", "remove one of the two")
      }
    }
    return operations
  }

  private func pattern(
    _ caller: CallerEntry, _ path: String, _ accounts: AccountDirectory
  ) throws(ConfigurationError) -> CallerPattern {
    var user: UInt32?
    var group: UInt32?
    if let entry = caller.user { user = try number(entry, "user", "\(path).user", accounts.user) }
    if let entry = caller.group { group = try number(entry, "group", "\(path).group", accounts.group) }
    return CallerPattern(user: user, group: group, unit: try unit(caller, path))
  }

  private func unit(_ caller: CallerEntry, _ path: String) throws(ConfigurationError) -> String? {
    guard let service = caller.service else { return caller.unit }
    if caller.unit != nil {
      throw error("\(path).service", "\"unit\" stands in this entry too", "remove one of the two")
    }
    if service.hasSuffix(".service") {
      let name = service.dropLast(".service".count)
      throw error(
        "\(path).service", "\(quoted(service, limit: 64)) is the name of a unit",
        "write service: \(quoted(String(name), limit: 64)), or unit: \(quoted(service, limit: 64))")
    }
    return service + ".service"
  }

  private func number(
    _ account: AccountEntry, _ what: String, _ path: String, _ lookUp: (String) throws(SystemError) -> UInt32?
  ) throws(ConfigurationError) -> UInt32 {
    switch account {
    case .number(let value):
      // The greatest one is (uid_t)-1, which means "nobody in particular" to the kernel.
      guard let number = UInt32(exactly: value), number != .max else {
        throw error(path, "this is not the number of a \(what)", "write a whole number from 0 to 4294967294")
      }
      return number
    case .name(let name):
      let found: UInt32?
      do {
        found = try lookUp(name)
      } catch {
        throw self.error(
          path, "\(what) \(quoted(name, limit: 64)) could not be looked up (\(error))",
          "mend the \(what) database, or write the number")
      }
      guard let found else {
        throw error(
          path, "there is no \(what) \(quoted(name, limit: 64)) on this machine",
          "correct the name, create the \(what), or write its number")
      }
      return found
    }
  }
}
