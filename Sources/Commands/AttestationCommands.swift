internal import Attestation
internal import Client
internal import Platform
internal import WebAuthn

/// `countersign attestation request`.
func requestAttestation(_ context: CommandContext) throws(CommandFailure) {
  let session = try AdminSession(context)
  let output = try context.prepareOutput()
  try output(try request(session).line)
}

/// `countersign attestation respond`.
func respondToChallenge(_ context: CommandContext) throws(CommandFailure) {
  let file = try context.enrolmentFile()
  let session = try AdminSession(context)
  let output = try context.prepareOutput()
  try output(try respond(to: file, session).line)
}

/// `countersign attestation install`.
func installCertificates(_ context: CommandContext) throws(CommandFailure) {
  try install(try context.enrolmentFile(), try AdminSession(context))
}

/// `countersign attestation enroll`.
func enrol(_ context: CommandContext) throws(CommandFailure) {
  let session = try AdminSession(context)
  var authority = try AuthorityFolder(opening: context)
  let challenge = try authority.answer(try request(session))
  let certificates = try authority.answer(try respond(to: challenge, session))
  try install(certificates, session)
}

private func request(_ session: AdminSession) throws(CommandFailure) -> JSONValue {
  try file(
    in: session.ask { client, deadline throws(ClientError) in try client.attestationRequest(until: deadline) }, session)
}

private func respond(to challenge: JSONValue, _ session: AdminSession) throws(CommandFailure) -> JSONValue {
  try file(
    in: session.ask { client, deadline throws(ClientError) in
      try client.attestationRespond(to: challenge, until: deadline)
    }, session)
}

private func install(_ certificates: JSONValue, _ session: AdminSession) throws(CommandFailure) {
  _ = try session.ask { client, deadline throws(ClientError) in
    try client.attestationInstall(certificates, until: deadline)
  }
}

/// The file in an answer.
func file(in answer: [String: JSONValue], _ session: AdminSession) throws(CommandFailure) -> JSONValue {
  guard case .string(let text)? = answer["file"], let value = try? JSONValue.parse(Array(text.utf8)) else {
    throw session.strange("it has no file")
  }
  return value
}

extension CommandContext {
  /// What `--in` names.
  func enrolmentFile() throws(CommandFailure) -> JSONValue {
    try read(.input) { bytes throws(JSONInputError) in try JSONValue.parse(bytes) }
  }

  /// A file that was replayed, altered, is another's or has expired.
  func refuse(_ error: any Error, see advice: String = "countersign ca --help") -> CommandFailure {
    fail(.verificationFailed, "\(error)", "see \(advice)")
  }
}
