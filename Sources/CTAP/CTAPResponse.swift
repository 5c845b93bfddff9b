internal import CBOR

/// What an authenticator answers to a request that it has carried out: on the wire CTAP2_OK, then CBOR if there is any.
package enum CTAPResponse: Equatable, Sendable {
  case makeCredential(MakeCredentialResponse)
  /// Of getAssertion and getNextAssertion.
  case assertion(AssertionResponse)
  case info(AuthenticatorInfo)
  case clientPIN(ClientPINResponse)
  case credentialManagement(CredentialManagementResponse)
  case largeBlobs(LargeBlobsResponse)
  /// Of reset, selection and config.
  case done

  package func encoded() -> [UInt8] {
    let body: [UInt8] =
      switch self {
      case .makeCredential(let response): CanonicalCBOR.encode(response.value)
      case .assertion(let response): CanonicalCBOR.encode(response.value)
      case .info(let info): CanonicalCBOR.encode(info.value)
      case .clientPIN(let response): Self.encodeUnlessEmpty(response.value)
      case .credentialManagement(let response): Self.encodeUnlessEmpty(response.value)
      case .largeBlobs(let response): Self.encodeUnlessEmpty(response.value)
      case .done: []
      }
    return CTAPStatus.ok.encoded() + body
  }

  /// Where there is nothing to say there is no map either.
  private static func encodeUnlessEmpty(_ map: CBORMap) -> [UInt8] {
    map.isEmpty ? [] : CanonicalCBOR.encode(.map(map))
  }

  /// Decodes any bytes.
  ///
  /// - Parameters:
  ///   - reply: a status byte and what follows it
  ///   - command: what has been asked
  /// - Returns: the response
  /// - Throws: ``CTAPReplyError/refused(_:)`` for every status but CTAP2_OK, whatever follows it
  package static func decode(
    _ reply: [UInt8], to command: CTAPCommand
  ) throws(CTAPReplyError) -> CTAPResponse {
    guard let first = reply.first else { throw .malformed(.invalidLength) }
    let status = CTAPStatus(rawValue: first)
    guard status == .ok else { throw .refused(status) }
    do throws(CTAPStatus) {
      return try decode(body: reply.span.extracting(1...), to: command)
    } catch {
      throw .malformed(error)
    }
  }

  private static func decode(body: Span<UInt8>, to command: CTAPCommand) throws(CTAPStatus) -> CTAPResponse {
    switch command {
    case .makeCredential: return .makeCredential(try MakeCredentialResponse(Read.item(body)))
    case .getAssertion, .getNextAssertion: return .assertion(try AssertionResponse(Read.item(body)))
    case .getInfo: return .info(try AuthenticatorInfo(Read.item(body)))
    case .clientPIN: return .clientPIN(try ClientPINResponse(itemOrNothing(body)))
    case .credentialManagement:
      return .credentialManagement(try CredentialManagementResponse(itemOrNothing(body)))
    case .largeBlobs: return .largeBlobs(try LargeBlobsResponse(itemOrNothing(body)))
    case .reset, .selection, .config:
      guard body.isEmpty else { throw .invalidLength }
      return .done
    case .bioEnrollment: throw .invalidCommand
    }
  }

  /// The members of a response that may be empty.
  private static func itemOrNothing(_ body: Span<UInt8>) throws(CTAPStatus) -> CBORValue {
    body.isEmpty ? .map([:]) : try Read.item(body)
  }
}

/// Why a reply is not a response.
package enum CTAPReplyError: Error, Equatable, Sendable {
  /// The authenticator has answered with this status.
  case refused(CTAPStatus)
  /// The reply is not what the standard demands; the status is the one that a request with the same fault would get.
  case malformed(CTAPStatus)
}

extension CTAPStatus {
  /// A reply that consists of a status alone, as every refusal does.
  package func encoded() -> [UInt8] {
    [rawValue]
  }
}
