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
  var options = try context.read(.options) { bytes throws(JSONInputError) in
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
  let claims = try boundClaims(response, context)
  if let claims { options.challenge = BoundClaims.challenge(options.challenge, boundTo: claims.text) }
  let updated: CredentialRecord
  do {
    updated = try AssertionVerifier.verify(
      response, of: options, by: record, origin: origin.description, relyingPartyID: relyingPartyID, under: policy)
  } catch {
    throw refusal(error, context)
  }
  var result = updated.json
  if let claims, case .object(var members) = result {
    members["claims"] = claims.value
    result = .object(members)
  }
  try output(result.line)
  if !context.arguments.has(.json) {
    let user = updated.userVerified ? "present and verified" : "present"
    context.console.writeError(
      [UInt8]("countersign: proven: the credential's key signed this challenge; the user counts as \(user)\n".utf8))
    if let claims {
      let text = shown(String(decoding: claims.value.serialized(), as: UTF8.self))
      context.console.writeError(
        [UInt8]("countersign: proven: the daemon has signed these claims of the job: \(text)\n".utf8))
    }
  }
}

private func refusal(_ error: VerificationError, _ context: CommandContext) -> CommandFailure {
  context.fail(
    .verificationFailed, "\(error) (WebAuthn section \(error.requirement))", "do not trust this response")
}

/// The claims that the answer shows, if any; whether it proves them is for the signature to say.
private func boundClaims(
  _ response: AuthenticationResponseJSON, _ context: CommandContext
) throws(CommandFailure) -> (text: [UInt8], value: JSONValue)? {
  guard case .string(let text)? = response.clientExtensionResults[BoundClaims.extensionName] else {
    guard !context.arguments.has(.requireClaims) else {
      throw context.fail(.verificationFailed, "it shows no claims", "have the operator's rule bind them")
    }
    return nil
  }
  let bytes = [UInt8](text.utf8)
  guard let value = try? JSONValue.parse(bytes), case .object = value else {
    throw context.fail(.verificationFailed, "its claims are no JSON object", "do not trust this response")
  }
  return (bytes, value)
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
