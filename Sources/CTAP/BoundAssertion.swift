internal import CBOR

/// What frame command 0x41 asks: an assertion whose client data the authenticator composes.
package struct BoundAssertionRequest: Equatable, Sendable {
  /// The relying party's.
  package var challenge: [UInt8]
  /// Of the page.
  package var origin: String
  /// Its client data hash means nothing.
  package var assertion: GetAssertionRequest

  private enum Key {
    static let challenge: CBORValue = 0x01
    static let origin: CBORValue = 0x02
    static let assertion: CBORValue = 0x03
  }

  /// Members of getAssertion that are about the client data, which nobody knows yet.
  private static let unknowable: [CBORValue] = [0x02, 0x06, 0x07]

  package init(challenge: [UInt8], origin: String, assertion: GetAssertionRequest) {
    self.challenge = challenge
    self.origin = origin
    self.assertion = assertion
  }

  /// Decodes any bytes.
  ///
  /// - Parameter payload: a map: 1 the challenge, 2 the origin, 3 the parameters of getAssertion without clientDataHash,
  ///   pinUvAuthParam and pinUvAuthProtocol
  /// - Throws: the status to answer with
  package init(decoding payload: [UInt8]) throws(CTAPStatus) {
    let members = try Members(Read.item(payload.span))
    challenge = try members.required(Key.challenge, Read.bytes)
    origin = try members.required(Key.origin, Read.text)
    guard (1...1024).contains(challenge.count), origin.utf8.count <= 1024 else { throw .invalidLength }
    var map = try members.required(Key.assertion, Read.map)
    guard Self.unknowable.allSatisfy({ map[$0] == nil }) else { throw .invalidParameter }
    map[0x02] = .bytes([UInt8](repeating: 0, count: clientDataHashCount))
    assertion = try GetAssertionRequest(.map(map))
  }

  package func encoded() -> [UInt8] {
    guard case .map(var map) = assertion.value else { preconditionFailure("parameters are a map") }
    for key in Self.unknowable { map[key] = nil }
    var members = CBORMap()
    members[Key.challenge] = .bytes(challenge)
    members[Key.origin] = .text(origin)
    members[Key.assertion] = .map(map)
    return CanonicalCBOR.encode(.map(members))
  }
}

/// What the daemon answers to ``BoundAssertionRequest``.
package struct BoundAssertionResponse: Equatable, Sendable {
  /// What has been signed, with authenticator data before its hash.
  package var clientDataJSON: [UInt8]
  /// JSON, byte for byte as it was bound.
  package var claims: [UInt8]
  package var assertion: AssertionResponse

  private enum Key {
    static let clientDataJSON: CBORValue = 0x01
    static let claims: CBORValue = 0x02
    static let assertion: CBORValue = 0x03
  }

  package init(clientDataJSON: [UInt8], claims: [UInt8], assertion: AssertionResponse) {
    self.clientDataJSON = clientDataJSON
    self.claims = claims
    self.assertion = assertion
  }

  /// The status byte CTAP2_OK and the map.
  package func encoded() -> [UInt8] {
    var members = CBORMap()
    members[Key.clientDataJSON] = .bytes(clientDataJSON)
    members[Key.claims] = .bytes(claims)
    members[Key.assertion] = assertion.value
    return [0] + CanonicalCBOR.encode(.map(members))
  }

  /// - Throws: ``CTAPReplyError``
  package init(decoding reply: [UInt8]) throws(CTAPReplyError) {
    guard let first = reply.first else { throw .malformed(.invalidLength) }
    if first != 0 { throw .refused(CTAPStatus(rawValue: first)) }
    do throws(CTAPStatus) {
      let members = try Members(Read.item(reply.span.extracting(1...)))
      clientDataJSON = try members.required(Key.clientDataJSON, Read.bytes)
      claims = try members.required(Key.claims, Read.bytes)
      assertion = try members.required(Key.assertion, AssertionResponse.init)
    } catch {
      throw .malformed(error)
    }
  }
}
