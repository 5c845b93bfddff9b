internal import CBOR
internal import CTAP
internal import WebAuthn

extension RequestExtensionsJSON {
  var writesLargeBlob: Bool {
    if case .write? = largeBlob { true } else { false }
  }
}

extension PRFInputsJSON {
  /// The inputs for the credential that will sign, where it is known.
  func salts(for allowList: [CredentialDescriptor]?) -> PRFSaltsJSON? {
    guard let allowList, allowList.count == 1 else { return evaluated }
    return evaluatedByCredential[allowList[0].id] ?? evaluated
  }
}

// MARK: create()

extension WebAuthnClient {
  /// What is asked of the authenticator; an evaluation of prf comes to it later.
  func extensionInputs(
    _ wanted: CreationExtensionsJSON, isDiscoverable: Bool, of info: AuthenticatorInfo
  ) throws(CeremonyError) -> CreationExtensions {
    var inputs = CreationExtensions()
    if wanted.pseudoRandomFunction != nil, info.extensions.contains(ExtensionName.hmacSecret) {
      inputs.hmacSecret = true
    }
    if let support = wanted.largeBlobSupport {
      // Only discoverable credentials have the key (CTAP 2.1 section 12.3).
      if isDiscoverable, info.options["largeBlobs"] == true, info.extensions.contains(ExtensionName.largeBlobKey) {
        inputs.largeBlobKey = true
      } else if support == .required {
        throw .extensionUnavailable("largeBlob")
      }
    }
    if let level = wanted.protection {
      if info.extensions.contains(ExtensionName.credProtect) {
        inputs.credProtect = UInt64(level.rawValue)
      } else if wanted.enforcesProtection, level > .userVerificationOptional {
        throw .extensionUnavailable("credentialProtectionPolicy")
      }
    }
    if let blob = wanted.blob, info.extensions.contains(ExtensionName.credBlob),
      blob.count <= info.maxCredBlobLength ?? 0
    {
      inputs.credBlob = blob
    }
    if wanted.wantsMinPINLength, info.extensions.contains(ExtensionName.minPINLength) { inputs.minPINLength = true }
    return inputs
  }

  /// Makes the credential, and evaluates prf where the authenticator can do that at once. There is one function for each
  /// credential, that of verified users (WebAuthn section 10.1.4): without verification it is left to `get()`.
  func makeCredential(
    _ request: MakeCredentialRequest, _ inputs: CreationExtensions, _ wanted: CreationExtensionsJSON,
    _ verification: Verification, _ info: AuthenticatorInfo
  ) throws(CeremonyError) -> (MakeCredentialResponse, PRFResults?) {
    var request = request
    var inputs = inputs
    request.extensions = inputs.value
    request.options.uv = verification.option
    request.pinUvAuthParam = verification.parameter(of: request.clientDataHash)
    request.pinUvAuthProtocol = verification.protocolNumber
    guard let salts = wanted.pseudoRandomFunction?.evaluated, !verification.isNone,
      info.extensions.contains(ExtensionName.hmacSecretMC)
    else { return (try send(request), nil) }
    let secret = try hmacSecret(salts, info)
    inputs.hmacSecretMC = secret.input
    request.extensions = inputs.value
    let answer = try send(request)
    guard let output = try decoded(answer.authenticatorData).extensions?[.text(ExtensionName.hmacSecretMC)] else {
      return (answer, nil)
    }
    return (answer, try secret.results(output))
  }

  private func send(_ request: MakeCredentialRequest) throws(CeremonyError) -> MakeCredentialResponse {
    do {
      return try authenticator.makeCredential(request)
    } catch {
      throw CeremonyError(error)
    }
  }

  /// clientExtensionResults without the results of prf.
  func extensionOutputs(
    _ wanted: CreationExtensionsJSON, _ data: AuthenticatorData, isDiscoverable: Bool, hasLargeBlobKey: Bool
  ) throws(CeremonyError) -> [String: JSONValue] {
    var outputs: [String: JSONValue] = [:]
    if wanted.wantsProperties { outputs["credProps"] = .object(["rk": .boolean(isDiscoverable)]) }
    if wanted.pseudoRandomFunction != nil {
      outputs["prf"] = .object(["enabled": .boolean(data.extensions?[.text(ExtensionName.hmacSecret)] == true)])
    }
    if let support = wanted.largeBlobSupport {
      if support == .required, !hasLargeBlobKey { throw .wrongAnswer("it has no largeBlobKey") }
      outputs["largeBlob"] = .object(["supported": .boolean(hasLargeBlobKey)])
    }
    if wanted.blob != nil {
      outputs["credBlob"] = .boolean(data.extensions?[.text(ExtensionName.credBlob)] == true)
    }
    if let level = wanted.protection, wanted.enforcesProtection, level > .userVerificationOptional {
      guard let given = data.extensions?[.text(ExtensionName.credProtect)]?.integer, given >= Int64(level.rawValue)
      else {
        throw .wrongAnswer("the credential is protected less than asked for")
      }
    }
    return outputs
  }
}

// MARK: get()

extension WebAuthnClient {
  /// The inputs of prf, where something is to be evaluated and can be.
  func evaluation(_ wanted: RequestExtensionsJSON, _ info: AuthenticatorInfo) throws(CeremonyError) -> PRFInputsJSON? {
    guard let inputs = wanted.pseudoRandomFunction, inputs.isEvaluated,
      info.extensions.contains(ExtensionName.hmacSecret)
    else {
      return nil
    }
    // Its function is that of verified users, whatever userVerification says (WebAuthn section 10.1.4).
    guard info.isProtected else { throw .extensionUnavailable("prf") }
    return inputs
  }

  func getAssertion(
    _ request: GetAssertionRequest, _ wanted: RequestExtensionsJSON, salts: PRFSaltsJSON?, _ choice: AccountChoice,
    _ info: AuthenticatorInfo, _ binding: ClaimBinding?
  ) throws(CeremonyError) -> (AssertionResponse, PRFResults?) {
    var request = request
    var inputs = AssertionExtensions()
    if wanted.largeBlob != nil, info.options["largeBlobs"] == true { inputs.largeBlobKey = true }
    if wanted.wantsBlob, info.extensions.contains(ExtensionName.credBlob) { inputs.credBlob = true }
    request.extensions = inputs.value
    guard let salts else { return (try chosenAssertion(request, choice, binding), nil) }
    let secret = try hmacSecret(salts, info)
    inputs.hmacSecret = secret.input
    request.extensions = inputs.value
    let answer = try chosenAssertion(request, choice, binding)
    guard let output = try decoded(answer.authenticatorData).extensions?[.text(ExtensionName.hmacSecret)] else {
      return (answer, nil)
    }
    return (answer, try secret.results(output))
  }

  /// clientExtensionResults without the results of prf.
  func extensionOutputs(
    _ wanted: RequestExtensionsJSON, _ data: AuthenticatorData, _ answer: AssertionResponse,
    _ verification: Verification, _ info: AuthenticatorInfo
  ) throws(CeremonyError) -> [String: JSONValue] {
    var outputs: [String: JSONValue] = [:]
    if wanted.pseudoRandomFunction != nil { outputs["prf"] = .object([:]) }
    if let input = wanted.largeBlob {
      outputs["largeBlob"] = try largeBlob(input, key: answer.largeBlobKey, verification, info)
    }
    if wanted.wantsBlob, case .bytes(let blob)? = data.extensions?[.text(ExtensionName.credBlob)] {
      outputs["getCredBlob"] = .string(Base64URL.encode(blob))
    }
    return outputs
  }
}
