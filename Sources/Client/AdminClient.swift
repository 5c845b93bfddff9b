internal import CTAPHID
package import Platform
package import WebAuthn

/// What the operator does with a credential that stays.
package enum CredentialChange: Sendable {
  case disable
  case enable
  /// Keeps it, enabled, beside the credential that takes its place.
  case keepBeside
  /// Gives its key a persistent handle of the TPM.
  case pin
  /// Takes that away.
  case unpin
  /// Gives it the operator's own name; none where it is empty.
  case rename(String)
}

/// A client of the management socket: JSON objects in frames of one command.
package struct AdminClient {
  private let connection: any FrameExchange

  package init(_ connection: any FrameExchange) {
    self.connection = connection
  }

  /// What the daemon says of itself.
  package func status(until deadline: Deadline) throws(ClientError) -> [String: JSONValue] {
    try ask(["request": "status"], until: deadline)
  }

  /// How far the configuration's files are from what is in force: `restart`, `reload`, and `problem` where they cannot be
  /// read.
  package func configurationChanges(until deadline: Deadline) throws(ClientError) -> [String: JSONValue] {
    try ask(["request": "configurationChanges"], until: deadline)
  }

  /// What it takes to verify the audit log.
  package func audit(until deadline: Deadline) throws(ClientError) -> [String: JSONValue] {
    try ask(["request": "audit"], until: deadline)
  }

  /// `metrics`, as OpenMetrics text.
  package func metrics(until deadline: Deadline) throws(ClientError) -> [String: JSONValue] {
    try ask(["request": "metrics"], until: deadline)
  }

  /// One page of the credentials: `credentials`, and `next` unless it is the last.
  package func credentials(after position: Int64?, until deadline: Deadline) throws(ClientError) -> [String: JSONValue]
  {
    var request: [String: JSONValue] = ["request": "credentials"]
    request["after"] = position.map { .integer($0) }
    return try ask(request, until: deadline)
  }

  /// `credential`, unless there is none with that ID.
  package func credential(id: [UInt8], until deadline: Deadline) throws(ClientError) -> [String: JSONValue] {
    try ask(["request": "credential", "id": .string(Base64URL.encode(id))], until: deadline)
  }

  /// `credential` as it was, unless there was none with that ID.
  package func deleteCredential(id: [UInt8], until deadline: Deadline) throws(ClientError) -> [String: JSONValue] {
    try ask(["request": "deleteCredential", "id": .string(Base64URL.encode(id))], until: deadline)
  }

  /// Which rule decides about a question, and why.
  package func explain(
    _ question: [String: JSONValue], until deadline: Deadline
  ) throws(ClientError) -> [String: JSONValue] {
    try ask(question.merging(["request": .string("explain")]) { $1 }, until: deadline)
  }

  /// Makes a grant, and tells of it.
  package func createGrant(
    _ grant: [String: JSONValue], until deadline: Deadline
  ) throws(ClientError) -> [String: JSONValue] {
    try ask(["request": "grantCreate", "grant": .object(grant)], until: deadline)
  }

  /// One page of the grants: `grants`, and `next` unless it is the last.
  package func grants(after number: Int64?, until deadline: Deadline) throws(ClientError) -> [String: JSONValue] {
    var request: [String: JSONValue] = ["request": "grantList"]
    request["after"] = number.map { .integer($0) }
    return try ask(request, until: deadline)
  }

  /// `revoked`: whether there was one.
  package func revokeGrant(id: String, until deadline: Deadline) throws(ClientError) -> [String: JSONValue] {
    try ask(["request": "grantRevoke", "id": .string(id)], until: deadline)
  }

  /// What the runner asks of an attestation authority.
  package func attestationRequest(until deadline: Deadline) throws(ClientError) -> [String: JSONValue] {
    try ask(["request": "attestationRequest"], until: deadline)
  }

  /// Its answer to a challenge, in `file`.
  package func attestationRespond(
    to file: JSONValue, until deadline: Deadline
  ) throws(ClientError) -> [String: JSONValue] {
    try ask(["request": "attestationRespond", "file": .string(AdminClient.text(file))], until: deadline)
  }

  /// Puts certificates into service.
  package func attestationInstall(
    _ file: JSONValue, until deadline: Deadline
  ) throws(ClientError) -> [String: JSONValue] {
    try ask(["request": "attestationInstall", "file": .string(AdminClient.text(file))], until: deadline)
  }

  /// How the machine has booted, in `file`.
  package func bootState(until deadline: Deadline) throws(ClientError) -> [String: JSONValue] {
    try ask(["request": "bootState"], until: deadline)
  }

  /// Gives the daemon an approval; the same as it is then, in `file`.
  package func approveBoot(_ file: JSONValue, until deadline: Deadline) throws(ClientError) -> [String: JSONValue] {
    try ask(["request": "bootApprove", "file": .string(AdminClient.text(file))], until: deadline)
  }

  /// Ends the daemon's service for good, or says what that would do: `stage`, `steps`, `remaining` and more.
  package func decommission(dryRun: Bool, until deadline: Deadline) throws(ClientError) -> [String: JSONValue] {
    try ask(["request": "decommission", "dryRun": .boolean(dryRun)], until: deadline)
  }

  private static func text(_ file: JSONValue) -> String { String(decoding: file.serialized(), as: UTF8.self) }

  /// `credential` as it is then, unless there is none with that ID.
  package func changeCredential(
    id: [UInt8], _ change: CredentialChange, until deadline: Deadline
  ) throws(ClientError) -> [String: JSONValue] {
    var request: [String: JSONValue] = ["id": .string(Base64URL.encode(id))]
    switch change {
    case .disable: request["request"] = "disableCredential"
    case .enable: request["request"] = "enableCredential"
    case .keepBeside: request["request"] = "setCredentialOutgoing"
    case .pin: request["request"] = "pinCredential"
    case .unpin: request["request"] = "unpinCredential"
    case .rename(let label):
      request["request"] = "renameCredential"
      request["label"] = .string(label)
    }
    return try ask(request, until: deadline)
  }

  private func ask(_ request: [String: JSONValue], until deadline: Deadline) throws(ClientError) -> [String: JSONValue]
  {
    let answer = try connection.exchange(
      Frame(.administration, JSONValue.object(request).serialized()), until: deadline)
    guard let value = try? JSONValue.parse(answer.payload), case .object(let members) = value else {
      throw .malformed("it is no JSON object")
    }
    return members
  }
}
