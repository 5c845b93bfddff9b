internal import Platform
internal import Policy
internal import WebAuthn

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
      operations: try operations(entry.operations, "\(path).operations"),
      accounts: try accountPatterns(entry.accounts, "\(path).accounts"), terms: try terms(entry, path))
  }

  private func terms(_ entry: RuleEntry, _ path: String) throws(ConfigurationError) -> Terms {
    var terms = Terms()
    terms.userVerification = entry.userVerification
    terms.signatureCounter = try signatureCounter(entry.signatureCounter, "\(path).signatureCounter")
    terms.checksBootState = try checksBootState(entry.bootState, "\(path).bootState")
    terms.attestation = try attestation(entry.attestation, "\(path).attestation")
    terms.enterpriseAttestation = entry.enterpriseAttestation
    terms.requiresGrant = entry.requireGrant
    terms.bindsClaims = entry.bindClaims
    if let maximum = entry.maxRegistrations {
      terms.maximumRegistrations = try checkedCount(maximum, "\(path).maxRegistrations", in: 0...10_000_000)
    }
    if let rate = entry.rate { terms.rate = try self.rate(rate, "\(path).rate") }
    if let hours = entry.hours { terms.hours = try self.hours(hours.texts, "\(path).hours") }
    for (name, values) in entry.requireClaims ?? [:] {
      terms.requiredClaims[name] = values.texts.map { ClaimPattern($0) }
    }
    return terms
  }

  private func rate(_ entry: RateEntry, _ path: String) throws(ConfigurationError) -> Rate {
    guard let perMinute = entry.perMinute else {
      throw error(path, "the rate has no perMinute", "write rate: { perMinute: 60, burst: 10 }")
    }
    let number = try checkedCount(perMinute, "\(path).perMinute", in: 1...60_000)
    let burst = try entry.burst.map { value throws(ConfigurationError) in
      try checkedCount(value, "\(path).burst", in: 1...60_000)
    }
    return Rate(perMinute: number, burst: burst ?? number)
  }

  private func hours(_ texts: [String], _ path: String) throws(ConfigurationError) -> [Hours] {
    if texts.isEmpty { throw error(path, "no hour is left", "add some, or remove the key") }
    var hours: [Hours] = []
    for text in texts {
      do {
        hours.append(try Hours(text))
      } catch {
        throw self.error(path, error.problem, error.advice)
      }
    }
    return hours
  }

  private func checksBootState(_ word: String?, _ path: String) throws(ConfigurationError) -> Bool {
    switch word {
    case nil, "atStart": return false
    case "everySignature": return true
    case let word?:
      throw error(
        path, "there is no check of the boot state \(quoted(word, limit: 64))",
        "write \"atStart\", or \"everySignature\", at five TPM commands a signature")
    }
  }

  /// nil for any.
  private func attestation(
    _ entry: OneOrMore?, _ path: String
  ) throws(ConfigurationError) -> [AttestationFormat]? {
    guard let entry, entry.texts != ["any"] else { return nil }
    var formats: [AttestationFormat] = []
    for (index, word) in entry.texts.enumerated() {
      let place = entry.isList ? "\(path)[\(index)]" : path
      guard let format = AttestationFormat(rawValue: word) else {
        let valid = AttestationFormat.allCases.map(\.rawValue)
        throw error(
          place, "there is no attestation \(quoted(word, limit: 64))",
          nearest(to: word, among: valid).map { "write \"\($0)\"" }
            ?? "write \"any\", which leaves it to the relying party, or some of \(valid.joined(separator: ", "))")
      }
      guard !formats.contains(format) else {
        throw error(place, "\"\(word)\" stands in this list before", "remove one of the two")
      }
      formats.append(format)
    }
    guard !formats.isEmpty else { throw error(path, "no format is left", "write \"none\", or remove the key") }
    return formats
  }

  private func accountPatterns(
    _ entries: [UserEntry]?, _ path: String
  ) throws(ConfigurationError) -> [AccountPattern] {
    guard let entries else { return [] }
    if entries.isEmpty { throw error(path, "no account is left", "add one, or remove the key") }
    var patterns: [AccountPattern] = []
    for (index, entry) in entries.enumerated() {
      let path = "\(path)[\(index)]"
      switch (entry.userHandle, entry.userName) {
      case (let text?, nil):
        guard let handle = Base64URL.decode(text), (1...64).contains(handle.count) else {
          throw error(
            "\(path).userHandle", "\(quoted(text, limit: 64)) is no user handle", "write 1 to 64 bytes in base64url")
        }
        patterns.append(.userHandle(handle))
      case (nil, let name?): patterns.append(try accountName(name, "\(path).userName"))
      default:
        throw error(path, "this is no account", "give either userHandle or userName")
      }
    }
    return patterns
  }

  private func accountName(_ name: String, _ path: String) throws(ConfigurationError) -> AccountPattern {
    let stem = name.hasSuffix("*") ? String(name.dropLast()) : name
    if stem.isEmpty || stem.contains("*") || stem.utf8.count > 64 {
      throw error(
        path, "\(quoted(name, limit: 64)) is no name of an account",
        "write up to 64 bytes, with a \"*\" at the end and nowhere else where it is the beginning of a name")
    }
    return name.hasSuffix("*") ? .userNamePrefix(stem) : .userName(stem)
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
    var digest: [UInt8]?
    if let text = caller.executableSHA256 {
      guard let bytes = bytes(hexadecimal: text) else {
        throw error(
          "\(path).executableSHA256", "\(quoted(text, limit: 64)) is no SHA-256",
          "write the 64 hexadecimal digits of sha256sum(1)")
      }
      digest = bytes
    }
    if caller.grant == false {
      throw error("\(path).grant", "this cannot be forbidden", "write true, or remove it: a rule of its own decides")
    }
    return CallerPattern(
      user: user, group: group, unit: try unit(caller, path), slice: caller.slice,
      container: caller.container.map { $0 == "*" ? .any : .id($0) }, executable: caller.executable,
      executableDigest: digest, socket: caller.socket, byGrant: caller.grant ?? false)
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
