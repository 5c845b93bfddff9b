package import Platform
package import Policy
package import WebAuthn

/// Why a question could not be asked, for people.
package struct QuestionError: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String
}

/// What `policy explain` asks: a caller, living or invented, and what it wants. As JSON it is what the operator's socket
/// takes.
package struct PolicyQuestion: Equatable, Sendable {
  /// Fields of the caller by their names in the configuration, and of the request.
  package var texts: [String: String]
  package var groups: [String]
  package var claims: [String: String]

  package static let names = [
    "pid", "user", "unit", "slice", "container", "executable", "executableSHA256", "socket", "grantRule", "rpId",
    "operation", "userHandle", "userName",
  ]

  package init(texts: [String: String], groups: [String] = [], claims: [String: String] = [:]) {
    self.texts = texts
    self.groups = groups
    self.claims = claims
  }

  /// - Throws: ``QuestionError`` for what is no question
  package init(json members: [String: JSONValue]) throws(QuestionError) {
    self.init(texts: [:])
    for (name, value) in members where name != "request" {
      let problem = QuestionError(description: "the key \(quoted(name, limit: 64)) is unknown or no text")
      func text(_ value: JSONValue) throws(QuestionError) -> String {
        guard case .string(let text) = value else { throw problem }
        return text
      }
      switch value {
      case .string(let text) where Self.names.contains(name): texts[name] = text
      case .array(let elements) where name == "groups":
        for element in elements { groups.append(try text(element)) }
      case .object(let claims) where name == "claims":
        for (name, value) in claims { self.claims[name] = try text(value) }
      default: throw problem
      }
    }
  }

  package var json: [String: JSONValue] {
    var members = texts.mapValues { JSONValue.string($0) }
    if !groups.isEmpty { members["groups"] = .array(groups.map { .string($0) }) }
    if !claims.isEmpty { members["claims"] = .object(claims.mapValues { .string($0) }) }
    return members
  }

  /// The question in the words of policy.
  ///
  /// - Parameters:
  ///   - accounts: where names of users and groups are looked up
  ///   - digest: reads the SHA-256 of a living process's executable
  /// - Returns: a question about a caller that has no connection
  /// - Throws: ``QuestionError``
  package func inquiry(
    accounts: AccountDirectory, digest: (borrowing Descriptor) -> [UInt8]?
  ) throws(QuestionError) -> Inquiry {
    let word = texts["operation"] ?? Policy.Operation.authenticate.rawValue
    guard let operation = Policy.Operation(rawValue: word) else {
      throw QuestionError(description: "there is no operation \(quoted(word, limit: 64))")
    }
    let scope: Scope = operation == .reset ? .all : texts["rpId"].map { .relyingParty($0) } ?? .all
    if scope == .all, operation == .register || operation == .authenticate {
      throw QuestionError(description: "operation \(word) is about one RP ID, and none is given")
    }
    let caller = if let process = texts["pid"] { try living(process, digest) } else { try invented(accounts) }
    var account: Account?
    if texts["userHandle"] != nil || texts["userName"] != nil {
      guard let handle = Base64URL.decode(texts["userHandle"] ?? "") else {
        throw QuestionError(description: "the user handle is no base64url")
      }
      account = Account(userHandle: handle, userName: texts["userName"])
    }
    return Inquiry(caller, operation, scope, account: account)
  }

  /// The users and groups of the question that have no name on this machine: for a number that is a slip, the answer
  /// looks as good as for one that is not.
  ///
  /// - Parameter accounts: where their names are looked up
  /// - Returns: for people, each one sentence
  package func strangers(to accounts: AccountDirectory) -> [String] {
    var strangers: [String] = []
    func look(_ text: String, _ kind: String, _ name: (UInt32) throws(SystemError) -> String?) {
      guard let number = UInt32(text), number != .max else { return }
      do throws(SystemError) {
        guard try name(number) == nil else { return }
        strangers.append("there is no \(kind) \(number) on this machine")
      } catch {
        strangers.append("\(kind) \(number) could not be looked up (\(error))")
      }
    }
    if let text = texts["user"] { look(text, "user", accounts.userName) }
    for text in groups { look(text, "group", accounts.groupName) }
    return strangers
  }

  private func living(
    _ text: String, _ digest: (borrowing Descriptor) -> [UInt8]?
  ) throws(QuestionError) -> Caller {
    guard let process = Int32(text), process > 0, let peer = ProcessIdentity(of: process) else {
      throw QuestionError(description: "there is no process \(quoted(text, limit: 32)) here, or /proc does not show it")
    }
    var facts = peer.facts(opensExecutable: true)
    var executableDigest: [UInt8]?
    if let file = facts.executableFile.take() { executableDigest = digest(file) }
    return Caller(
      connection: 0, user: peer.user, group: peer.group, process: process, supplementaryGroups: peer.groups,
      unit: facts.unit, slice: facts.slice, container: facts.container, executable: facts.executable,
      executableDigest: executableDigest, socket: texts["socket"] ?? Caller.jobsSocket, grant: grant(of: peer.user))
  }

  private func invented(_ accounts: AccountDirectory) throws(QuestionError) -> Caller {
    // The greatest number is nobody's, and no rule can name it.
    let user = try texts["user"].map { text throws(QuestionError) in try number(text, "user", accounts.user) }
    var groups: [UInt32] = []
    for text in self.groups { groups.append(try number(text, "group", accounts.group)) }
    let digest = try texts["executableSHA256"].map { text throws(QuestionError) in try self.digest(text) }
    return Caller(
      connection: 0, user: user ?? .max, group: groups.first ?? .max, process: nil,
      supplementaryGroups: Array(groups.dropFirst()), unit: texts["unit"], slice: texts["slice"],
      container: texts["container"], executable: texts["executable"],
      executableDigest: digest, socket: texts["socket"] ?? Caller.jobsSocket, grant: grant(of: user ?? .max))
  }

  private func grant(of user: UInt32) -> Grant? {
    texts["grantRule"].map { Grant(id: "(invented)", rule: $0, user: user, claims: Claims(claims)) }
  }

  private func digest(_ text: String) throws(QuestionError) -> [UInt8] {
    guard let digest = bytes(hexadecimal: text), digest.count == 32 else {
      throw QuestionError(
        description: "\(quoted(text, limit: 64)) is no SHA-256: write the 64 hexadecimal digits of sha256sum(1)")
    }
    return digest
  }

  /// A name, or digits.
  private func number(
    _ text: String, _ kind: String, _ lookUp: (String) throws(SystemError) -> UInt32?
  ) throws(QuestionError) -> UInt32 {
    if let number = UInt32(text), number != .max { return number }
    let name = "\(kind) \(quoted(text, limit: 64))"
    let found: UInt32?
    do {
      found = try lookUp(text)
    } catch {
      throw QuestionError(description: "\(name) could not be looked up (\(error))")
    }
    guard let found else { throw QuestionError(description: "there is no \(name) here") }
    return found
  }
}

extension Explanation {
  /// What `policy explain --json` prints.
  package var json: [String: JSONValue] {
    var members: [String: JSONValue] = [
      "allowed": .boolean(isAllowed),
      "rules": .array(
        findings.map { finding in
          .object([
            "name": .string(finding.rule), "decides": .boolean(finding.decides), "why": .string(finding.text),
          ])
        }),
    ]
    members["rule"] = rule.map { .string($0) }
    members["reason"] = refusal.map { .string($0) }
    members["openedByGrant"] = openedByGrant.map { opened in
      var members: [String: JSONValue] = [
        "rule": .string(opened.rule), "claims": .array(opened.claims.map { .string($0) }),
      ]
      members["uid"] = opened.user.map { .integer(Int64($0)) }
      return .object(members)
    }
    if !warnings.isEmpty { members["warnings"] = .array(warnings.map { .string($0) }) }
    return members
  }
}
