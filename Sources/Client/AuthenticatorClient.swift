package import CTAP
internal import CTAPHID
package import Platform

/// An authenticator at the other end of a connection: CTAP2 requests and their typed answers.
package struct AuthenticatorClient {
  /// Why a request has no answer.
  package enum Failure: Error, Equatable, Sendable {
    /// The authenticator refused.
    case status(CTAPStatus)
    /// The authenticator refused a PIN; nil where it does not tell how many attempts are left.
    case wrongPIN(attemptsLeft: Int?)
    case client(ClientError)

    init(_ error: CTAPReplyError) {
      switch error {
      case .refused(let status): self = .status(status)
      case .malformed(let status): self = .client(.malformed("it does not decode (\(status))"))
      }
    }
  }

  private let connection: any FrameExchange

  /// Every call must end by this time.
  private let deadline: Deadline

  /// Greets the daemon (INIT), so that a stranger behind the path is known before anything is asked of it.
  ///
  /// - Parameters:
  ///   - connection: new
  ///   - deadline: for everything that is asked through this value
  /// - Throws: ``ClientError``
  package init(_ connection: any FrameExchange, until deadline: Deadline) throws(ClientError) {
    self.connection = connection
    self.deadline = deadline
    let nonce = SystemRandom().bytes(InitializationReply.nonceCount)
    let answer = try connection.exchange(Frame(.initialize, nonce), until: deadline)
    guard let reply = InitializationReply(decoding: answer.payload), reply.nonce == nonce else {
      throw .malformed("the answer to INIT is not one")
    }
    guard reply.capabilities.contains(.cbor) else { throw .malformed("the device does not speak CTAP2") }
  }

  /// The authenticator at the operator's socket, where nothing but requests is answered, and nothing is signed.
  package init(ofOperator connection: any FrameExchange, until deadline: Deadline) {
    self.connection = connection
    self.deadline = deadline
  }

  /// Has the daemon repeat `payload` (PING).
  package func ping(_ payload: [UInt8]) throws(ClientError) {
    let answer = try connection.exchange(Frame(.ping, payload), until: deadline)
    guard answer.payload == payload else { throw .malformed("the answer to PING is another text") }
  }

  package func getInfo() throws(Failure) -> AuthenticatorInfo {
    guard case .info(let info) = try ask(.getInfo) else { throw .client(.malformed("it answers something else")) }
    return info
  }

  package func makeCredential(_ request: MakeCredentialRequest) throws(Failure) -> MakeCredentialResponse {
    guard case .makeCredential(let response) = try ask(.makeCredential(request)) else {
      throw .client(.malformed("it answers something else"))
    }
    return response
  }

  package func getAssertion(_ request: GetAssertionRequest) throws(Failure) -> AssertionResponse {
    try assertion(.getAssertion(request))
  }

  package func getNextAssertion() throws(Failure) -> AssertionResponse {
    try assertion(.getNextAssertion)
  }

  package func clientPIN(_ request: ClientPINRequest) throws(Failure) -> ClientPINResponse {
    guard case .clientPIN(let response) = try ask(.clientPIN(request)) else {
      throw .client(.malformed("it answers something else"))
    }
    return response
  }

  package func largeBlobs(_ request: LargeBlobsRequest) throws(Failure) -> LargeBlobsResponse {
    guard case .largeBlobs(let response) = try ask(.largeBlobs(request)) else {
      throw .client(.malformed("it answers something else"))
    }
    return response
  }

  /// An assertion over client data that the daemon composes.
  package func boundAssertion(_ request: BoundAssertionRequest) throws(Failure) -> BoundAssertionResponse {
    let answer = try exchange(.boundAssertion, request.encoded())
    do {
      return try BoundAssertionResponse(decoding: answer)
    } catch {
      throw Failure(error)
    }
  }

  private func assertion(_ request: CTAPRequest) throws(Failure) -> AssertionResponse {
    guard case .assertion(let response) = try ask(request) else {
      throw .client(.malformed("it answers something else"))
    }
    return response
  }

  /// One CBOR frame and its answer.
  private func ask(_ request: CTAPRequest) throws(Failure) -> CTAPResponse {
    let answer = try exchange(.cbor, request.encoded())
    do {
      return try CTAPResponse.decode(answer, to: request.command)
    } catch {
      throw Failure(error)
    }
  }

  private func exchange(_ command: FrameCommand, _ message: [UInt8]) throws(Failure) -> [UInt8] {
    guard message.count <= Frame.maximumPayload else { throw .client(.requestTooLong(message.count)) }
    do {
      return try connection.exchange(Frame(command, message), until: deadline).payload
    } catch {
      throw .client(error)
    }
  }
}
