internal import Client
internal import Platform
internal import RelyingParty
internal import WebAuthn

/// `countersign verify registration`.
func verifyRegistration(_ context: CommandContext) throws(CommandFailure) {
  try requireFiles([.options], context)
  let options = try context.read(.options) { bytes throws(JSONInputError) in
    try PublicKeyCredentialCreationOptionsJSON(parsing: bytes)
  }
  let response = try context.read(.response) { bytes throws(JSONInputError) in
    try RegistrationResponseJSON(parsing: bytes)
  }
  let (origin, relyingPartyID) = try page(options.relyingPartyID, context)
  let policy = try policy(context, attestation: attestationPolicy(context))
  let output = try context.prepareOutput()
  let record: CredentialRecord
  do {
    record = try RegistrationVerifier.verify(
      response, of: options, origin: origin.description, relyingPartyID: relyingPartyID, under: policy)
  } catch {
    throw refusal(error, context)
  }
  try output(record.json.line)
  if !context.arguments.has(.json) {
    for sentence in record.proven { context.console.writeError([UInt8]("countersign: proven: \(sentence)\n".utf8)) }
  }
}

/// `countersign verify assertion`.
func verifyAssertion(_ context: CommandContext) throws(CommandFailure) {
  try requireFiles([.options, .credential], context)
  let options = try context.read(.options) { bytes throws(JSONInputError) in
    try PublicKeyCredentialRequestOptionsJSON(parsing: bytes)
  }
  let record = try context.read(.credential) { bytes throws(JSONInputError) in
    try CredentialRecord(parsing: bytes)
  }
  let response = try context.read(.response) { bytes throws(JSONInputError) in
    try AuthenticationResponseJSON(parsing: bytes)
  }
  let (origin, relyingPartyID) = try page(options.relyingPartyID, context)
  let policy = try policy(context, attestation: .unattested)
  let output = try context.prepareOutput()
  let updated: CredentialRecord
  do {
    updated = try AssertionVerifier.verify(
      response, of: options, by: record, origin: origin.description, relyingPartyID: relyingPartyID, under: policy)
  } catch {
    throw refusal(error, context)
  }
  try output(updated.json.line)
  if !context.arguments.has(.json) {
    let user = updated.userVerified ? "present and verified" : "present"
    context.console.writeError(
      [UInt8]("countersign: proven: the credential's key signed this challenge; the user counts as \(user)\n".utf8))
  }
}

private func refusal(_ error: VerificationError, _ context: CommandContext) -> CommandFailure {
  context.fail(
    .verificationFailed, "\(error) (WebAuthn section \(error.requirement))", "do not trust this response")
}

/// Standard input can be one of the files only.
private func requireFiles(_ required: [Arguments.Option], _ context: CommandContext) throws(CommandFailure) {
  for option in required where !context.arguments.has(option) {
    throw .usage("\(option.rawValue) is missing", "see countersign verify --help")
  }
  let fromInput = (required + [.response]).filter { (context.arguments[$0] ?? "-") == "-" }
  guard fromInput.count <= 1 else {
    let names = fromInput.map(\.rawValue).joined(separator: " and ")
    throw .usage("\(names) cannot all be standard input", "name files for all but one of them")
  }
}

/// The origin of the page and the RP ID, which must be allowed there.
private func page(
  _ relyingPartyID: String?, _ context: CommandContext
) throws(CommandFailure) -> (Origin, String) {
  let origin = try context.origin(relyingPartyID: relyingPartyID)
  let id = relyingPartyID ?? origin.host
  do {
    try RelyingPartyID.check(id, isAllowedFor: origin)
  } catch {
    throw CommandFailure(context.what, .relyingPartyID(id, error), relyingPartyID: id, socket: context.socket)
  }
  return (origin, id)
}
