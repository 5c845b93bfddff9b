internal import CBOR

/// A request of CTAP 2.1 section 6, decoded in two steps: the one CBOR value, then typed parameters.
package enum CTAPRequest: Equatable, Sendable {
  case makeCredential(MakeCredentialRequest)
  case getAssertion(GetAssertionRequest)
  case getNextAssertion
  case getInfo
  case reset
  case selection
  case clientPIN(ClientPINRequest)
  case credentialManagement(CredentialManagementRequest)
  case largeBlobs(LargeBlobsRequest)
  case config(ConfigRequest)

  package var command: CTAPCommand {
    switch self {
    case .makeCredential: .makeCredential
    case .getAssertion: .getAssertion
    case .getNextAssertion: .getNextAssertion
    case .getInfo: .getInfo
    case .reset: .reset
    case .selection: .selection
    case .clientPIN: .clientPIN
    case .credentialManagement: .credentialManagement
    case .largeBlobs: .largeBlobs
    case .config: .config
    }
  }

  /// Decodes any bytes.
  ///
  /// - Parameter message: a command byte and its parameters
  /// - Returns: a request whose every member has the right type; what its values mean is the authenticator's business
  /// - Throws: the status to answer with. No byte at all, parameters after a command that has none, a hash or user
  ///   handle of a wrong length, an RP ID that is too long: CTAP1_ERR_INVALID_LENGTH. A key agreement key of another
  ///   kind: CTAP1_ERR_INVALID_PARAMETER. A command that is not served: CTAP1_ERR_INVALID_COMMAND. Not
  ///   one item in canonical form: CTAP2_ERR_INVALID_CBOR. A wrong type: CTAP2_ERR_CBOR_UNEXPECTED_TYPE. A required
  ///   member that is absent, at any level: CTAP2_ERR_MISSING_PARAMETER.
  package static func decode(_ message: [UInt8]) throws(CTAPStatus) -> CTAPRequest {
    guard let first = message.first else { throw .invalidLength }
    guard let command = CTAPCommand(requestByte: first) else { throw .invalidCommand }
    let parameters = message.span.extracting(1...)
    switch command {
    case .makeCredential: return .makeCredential(try MakeCredentialRequest(Read.item(parameters)))
    case .getAssertion: return .getAssertion(try GetAssertionRequest(Read.item(parameters)))
    case .getNextAssertion: return try without(parameters, .getNextAssertion)
    case .getInfo: return try without(parameters, .getInfo)
    case .reset: return try without(parameters, .reset)
    case .selection: return try without(parameters, .selection)
    case .clientPIN: return .clientPIN(try ClientPINRequest(Read.item(parameters)))
    case .credentialManagement:
      return .credentialManagement(try CredentialManagementRequest(Read.item(parameters)))
    case .largeBlobs: return .largeBlobs(try LargeBlobsRequest(Read.item(parameters)))
    case .config: return .config(try ConfigRequest(Read.item(parameters)))
    case .bioEnrollment: throw .invalidCommand
    }
  }

  package func encoded() -> [UInt8] {
    switch self {
    case .makeCredential(let request): encoded(request.value)
    case .getAssertion(let request): encoded(request.value)
    case .getNextAssertion, .getInfo, .reset, .selection: [command.rawValue]
    case .clientPIN(let request): encoded(request.value)
    case .credentialManagement(let request): encoded(request.value)
    case .largeBlobs(let request): encoded(request.value)
    case .config(let request): encoded(request.value)
    }
  }

  private func encoded(_ parameters: CBORValue) -> [UInt8] {
    [command.rawValue] + CanonicalCBOR.encode(parameters)
  }

  private static func without(
    _ parameters: Span<UInt8>, _ request: CTAPRequest
  ) throws(CTAPStatus) -> CTAPRequest {
    guard parameters.isEmpty else { throw .invalidLength }
    return request
  }
}
