import CBOR
import CTAP
import TestSupport
import Testing

@Suite("Requests")
struct RequestTests {
  @Test func makeCredential() throws {
    #expect(try CTAPRequest.decode(Fixtures.makeCredentialBytes) == .makeCredential(Fixtures.makeCredential))
    #expect(CTAPRequest.makeCredential(Fixtures.makeCredential).encoded() == Fixtures.makeCredentialBytes)
  }

  @Test func getAssertion() throws {
    #expect(try CTAPRequest.decode(Fixtures.getAssertionBytes) == .getAssertion(Fixtures.getAssertion))
    #expect(CTAPRequest.getAssertion(Fixtures.getAssertion).encoded() == Fixtures.getAssertionBytes)
  }

  @Test("With nothing but what is required")
  func smallest() throws {
    let makeCredential = CTAPRequest.makeCredential(
      MakeCredentialRequest(
        clientDataHash: Fixtures.hash, relyingParty: RelyingPartyEntity(id: "a"), user: UserEntity(id: [1]),
        parameters: []))
    #expect(
      makeCredential.encoded().hex == "01a4015820\(Fixtures.hash.hex)02a162696461610" + "3a162696441010480")
    #expect(try CTAPRequest.decode(makeCredential.encoded()) == makeCredential)

    let getAssertion = CTAPRequest.getAssertion(
      GetAssertionRequest(relyingPartyID: "a", clientDataHash: Fixtures.hash))
    #expect(getAssertion.encoded().hex == "02a201616102" + "5820\(Fixtures.hash.hex)")
    #expect(try CTAPRequest.decode(getAssertion.encoded()) == getAssertion)
  }

  @Test(
    "Requests without parameters",
    arguments: [
      (0x04, CTAPRequest.getInfo), (0x07, .reset), (0x08, .getNextAssertion), (0x0b, .selection),
    ] as [(UInt8, CTAPRequest)])
  func withoutParameters(_ byte: UInt8, _ request: CTAPRequest) throws {
    #expect(try CTAPRequest.decode([byte]) == request)
    #expect(request.encoded() == [byte])
    #expect(request.command.rawValue == byte)
    #expect(throws: CTAPStatus.invalidLength) { try CTAPRequest.decode([byte, 0xa0]) }
    #expect(throws: CTAPStatus.invalidLength) { try CTAPRequest.decode([byte, 0xff]) }
  }

  @Test("Every byte that is no command, or none that is served")
  func unknownCommands() {
    let served: Set<UInt8> = [0x01, 0x02, 0x04, 0x06, 0x07, 0x08, 0x0a, 0x0b, 0x0c, 0x0d, 0x41]
    for byte in UInt8.min...UInt8.max where !served.contains(byte) {
      #expect(throws: CTAPStatus.invalidCommand) { try CTAPRequest.decode([byte]) }
      #expect(throws: CTAPStatus.invalidCommand) { try CTAPRequest.decode([byte, 0xa0]) }
    }
    #expect(throws: CTAPStatus.invalidLength) { try CTAPRequest.decode([]) }
  }

  @Test("Credential management under the number that it had in drafts")
  func previewOfCredentialManagement() throws {
    let request = CTAPRequest.credentialManagement(CredentialManagementRequest(subCommand: 2))
    let message = request.encoded()
    #expect(message.first == 0x0a)
    #expect(try CTAPRequest.decode([0x41] + message.dropFirst()) == request)
  }

  @Test("Lengths of the hash of client data", arguments: [0, 1, 31, 33, 64])
  func hashLengths(_ count: Int) {
    let hash = [UInt8](repeating: 1, count: count)
    var makeCredential = Fixtures.makeCredential
    makeCredential.clientDataHash = hash
    #expect(throws: CTAPStatus.invalidLength) {
      try CTAPRequest.decode(CTAPRequest.makeCredential(makeCredential).encoded())
    }
    var getAssertion = Fixtures.getAssertion
    getAssertion.clientDataHash = hash
    #expect(throws: CTAPStatus.invalidLength) {
      try CTAPRequest.decode(CTAPRequest.getAssertion(getAssertion).encoded())
    }
  }

  @Test("Lengths of the user handle", arguments: [0, 1, 64, 65])
  func userHandleLengths(_ count: Int) throws {
    var makeCredential = Fixtures.makeCredential
    makeCredential.user.id = [UInt8](repeating: 1, count: count)
    let request = CTAPRequest.makeCredential(makeCredential)
    if (0...64).contains(count) {
      #expect(try CTAPRequest.decode(request.encoded()) == request)
    } else {
      #expect(throws: CTAPStatus.invalidLength) { try CTAPRequest.decode(request.encoded()) }
    }
  }

  @Test("Entries of unknown types and algorithms are kept, but not those that name no algorithm")
  func unknownParameters() throws {
    let entries: [CBORValue] = [
      .map(["type": "unknown"]), .map(["type": "unknown", "alg": -7]), .map(["type": "public-key", "alg": 12_345]),
      .map(["type": "public-key", "alg": -7, "more": .null]),
    ]
    let parameters = try decodeParameters(entries)
    #expect(
      parameters == [
        CredentialParameters(type: "unknown", algorithm: -7), CredentialParameters(algorithm: 12_345),
        CredentialParameters(algorithm: -7),
      ])
  }

  @Test("A wrong entry is found behind a good one")
  func wrongEntryLater() {
    let good = CBORValue.map(["type": "public-key", "alg": -7])
    #expect(throws: CTAPStatus.cborUnexpectedType) { try decodeParameters([good, "es256"]) }
    #expect(throws: CTAPStatus.missingParameter) { try decodeParameters([good, .map(["type": "public-key"])]) }
    #expect(throws: CTAPStatus.cborUnexpectedType) {
      try decodeParameters([good, .map(["type": "unknown", "alg": "-7"])])
    }
  }

  @Test("An absent allow list is not an empty one")
  func allowLists() throws {
    var request = Fixtures.getAssertion
    for list in [nil, [], [CredentialDescriptor(type: "unknown", id: [])]] {
      request.allowList = list
      #expect(try CTAPRequest.decode(CTAPRequest.getAssertion(request).encoded()) == .getAssertion(request))
    }
  }

  @Test("Unknown options are ignored whatever they hold")
  func unknownOptions() throws {
    let value = try CanonicalCBOR.decode([UInt8](Fixtures.makeCredentialBytes.dropFirst()))
    let map = try #require(value.replacing([7], with: .map(["uv": true, "later": "a", 1: .null])))
    guard case .makeCredential(let request) = try CTAPRequest.decode([0x01] + CanonicalCBOR.encode(map)) else {
      Issue.record("another request")
      return
    }
    #expect(request.options == RequestOptions(uv: true))
  }

  private func decodeParameters(_ entries: [CBORValue]) throws -> [CredentialParameters] {
    let value = try CanonicalCBOR.decode([UInt8](Fixtures.makeCredentialBytes.dropFirst()))
    let map = try #require(value.replacing([4], with: .array(entries)))
    guard case .makeCredential(let request) = try CTAPRequest.decode([0x01] + CanonicalCBOR.encode(map)) else {
      return []
    }
    return request.parameters
  }
}
