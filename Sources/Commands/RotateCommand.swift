internal import Client
internal import Platform
internal import RelyingParty
internal import WebAuthn

/// `countersign rotate`: the old credential signs until the new one has shown that it does, and the answer is written.
func rotate(_ context: CommandContext) throws(CommandFailure) {
  guard let replaced = context.arguments[.replaces] else {
    throw .usage("rotate lacks --replaces", "name the credential that is to go: see countersign credential list")
  }
  var options = try context.read(.input) { bytes throws(JSONInputError) in
    try PublicKeyCredentialCreationOptionsJSON(parsing: bytes)
  }
  let origin = try context.origin(relyingPartyID: options.relyingPartyID)
  let pin = try context.pin(from: .pin)
  let session = try AdminSession(context)
  let output = try context.prepareOutput()
  let (old, found) = try find(replaced, session)
  let relyingPartyID = options.relyingPartyID ?? origin.host
  guard found["rpId"] == .string(relyingPartyID) else {
    throw context.fail(
      .usage, "the credential to replace does not belong to RP ID \(quoted(relyingPartyID))",
      "give the options of its own relying party")
  }
  guard found["state"] != .string("disabled") else {
    throw context.fail(
      .failure, "the credential to replace is disabled", "use countersign register, or enable it first")
  }
  // Relying parties exclude all credentials of a user, and this one is to go.
  options.excludeCredentials.removeAll { $0.id == old }
  let client = try context.webAuthnClient(
    pin, relyingPartyID: relyingPartyID,
    until: try context.deadline(requestedMilliseconds: options.timeoutMilliseconds))
  let rotation = Rotation(
    context: context, session: session, client: client, options: options, origin: origin,
    relyingPartyID: relyingPartyID, old: old)
  try rotation.run(output)
}

private struct Rotation {
  let context: CommandContext
  let session: AdminSession
  let client: WebAuthnClient
  let options: PublicKeyCredentialCreationOptionsJSON
  let origin: Origin
  let relyingPartyID: String
  let old: [UInt8]

  func run(_ output: (_ bytes: [UInt8]) throws(CommandFailure) -> Void) throws(CommandFailure) {
    _ = try session.change(old, .keepBeside)
    var made: [UInt8]?
    do throws(CommandFailure) {
      let response = try register()
      made = response.id
      try prove(response)
      try output(response.json.line)
    } catch {
      throw undone(made, after: error)
    }
    do throws(CommandFailure) {
      _ = try session.change(old, .disable)
    } catch {
      throw context.fail(
        error.status, "the new credential is there, and the old one still signs (\(error.why))",
        "countersign credential disable \(Base64URL.encode(old))")
    }
  }

  private func register() throws(CommandFailure) -> RegistrationResponseJSON {
    do {
      return try client.create(options, origin: origin)
    } catch {
      throw failure(error)
    }
  }

  /// Has the new credential sign, and checks as a relying party does.
  private func prove(_ response: RegistrationResponseJSON) throws(CommandFailure) {
    let challenge = Base64URL.encode(SystemRandom().bytes(32))
    let text = JSONValue.object([
      "challenge": .string(challenge), "rpId": .string(relyingPartyID),
      "userVerification": .string(options.selection.userVerification.rawValue),
      "allowCredentials": .array([
        .object(["type": "public-key", "id": .string(Base64URL.encode(response.id))])
      ]),
    ])
    let request: PublicKeyCredentialRequestOptionsJSON
    do {
      request = try PublicKeyCredentialRequestOptionsJSON(parsing: text.serialized())
    } catch {
      throw context.fail(.failure, "\(error)", "report it")
    }
    let assertion: AuthenticationResponseJSON
    do {
      assertion = try client.get(request, origin: origin, choice: .none)
    } catch {
      throw failure(error)
    }
    do {
      let record = try RegistrationVerifier.verify(
        response, of: options, origin: origin.description, relyingPartyID: relyingPartyID)
      _ = try AssertionVerifier.verify(
        assertion, of: request, by: record, origin: origin.description, relyingPartyID: relyingPartyID)
    } catch {
      throw context.fail(.verificationFailed, "the new credential does not sign as it should (\(error))", "report it")
    }
  }

  private func failure(_ error: CeremonyError) -> CommandFailure {
    CommandFailure(context.what, error, relyingPartyID: relyingPartyID, socket: context.socket)
  }

  /// Leaves the old credential as it was. Whatever fails here, it signs all the while.
  private func undone(_ made: [UInt8]?, after failure: CommandFailure) -> CommandFailure {
    do throws(CommandFailure) {
      if let made {
        _ = try session.ask { client, deadline throws(ClientError) in
          try client.deleteCredential(id: made, until: deadline)
        }
      }
      _ = try session.change(old, .enable)
    } catch {
      return context.fail(
        failure.status,
        "\(failure.why); the old credential signs, but what was begun could not be undone (\(error.why))",
        "see countersign credential list, and delete the new one")
    }
    return context.fail(failure.status, "\(failure.why); the old credential stays as it was", failure.remedy)
  }
}
