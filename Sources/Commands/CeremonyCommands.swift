internal import Client
internal import Platform
internal import WebAuthn

/// `countersign register`.
func register(_ context: CommandContext) throws(CommandFailure) {
  let options = try context.read(.input) { bytes throws(JSONInputError) in
    try PublicKeyCredentialCreationOptionsJSON(parsing: bytes)
  }
  let origin = try context.origin(relyingPartyID: options.relyingPartyID)
  let deadline = try context.deadline(requestedMilliseconds: options.timeoutMilliseconds)
  let output = try context.prepareOutput()
  let pin = try context.pin(from: .pin)
  let client = try context.webAuthnClient(pin, relyingPartyID: options.relyingPartyID ?? origin.host, until: deadline)
  let response: RegistrationResponseJSON
  do {
    response = try client.create(options, origin: origin)
  } catch {
    throw CommandFailure(
      context.what, error, relyingPartyID: options.relyingPartyID ?? origin.host, socket: context.socket)
  }
  try output(response.json.line)
}

/// `countersign authenticate`.
func authenticate(_ context: CommandContext) throws(CommandFailure) {
  let choice = try accountChoice(context)
  let options = try context.read(.input) { bytes throws(JSONInputError) in
    try PublicKeyCredentialRequestOptionsJSON(parsing: bytes)
  }
  let origin = try context.origin(relyingPartyID: options.relyingPartyID)
  let deadline = try context.deadline(requestedMilliseconds: options.timeoutMilliseconds)
  let output = try context.prepareOutput()
  let pin = try context.pin(from: .pin)
  let client = try context.webAuthnClient(pin, relyingPartyID: options.relyingPartyID ?? origin.host, until: deadline)
  let response: AuthenticationResponseJSON
  do {
    response = try client.get(options, origin: origin, choice: choice)
  } catch {
    throw CommandFailure(
      context.what, error, relyingPartyID: options.relyingPartyID ?? origin.host, socket: context.socket)
  }
  try output(response.json.line)
}

extension CommandContext {
  func webAuthnClient(
    _ pin: PIN?, relyingPartyID: String, until deadline: Deadline
  ) throws(CommandFailure) -> WebAuthnClient {
    WebAuthnClient(try authenticator(until: deadline), pin: pin) { warning in
      let words = CommandFailure(warning, relyingPartyID: relyingPartyID, socket: socket)
      console.writeError([UInt8](words.line.utf8) + [UInt8(ascii: "\n")])
    }
  }
}

private func accountChoice(_ context: CommandContext) throws(CommandFailure) -> WebAuthnClient.AccountChoice {
  switch (try context.bytes(of: .userHandle), try context.bytes(of: .credential)) {
  case (nil, nil): return .none
  case (let handle?, nil): return .userHandle(handle)
  case (nil, let id?): return .credential(id)
  case (_?, _?): throw .usage("--user-handle and --credential are both there", "give one of them")
  }
}
