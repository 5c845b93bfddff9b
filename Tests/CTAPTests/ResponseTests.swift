import CBOR
import CTAP
import TestSupport
import Testing
import WebAuthn

@Suite("Responses")
struct ResponseTests {
  static let responses: [(CTAPCommand, CTAPResponse, [UInt8])] = [
    (.makeCredential, .makeCredential(Fixtures.makeCredentialResponse), Fixtures.makeCredentialResponseBytes),
    (.getAssertion, .assertion(Fixtures.assertion), Fixtures.assertionBytes),
    (.getNextAssertion, .assertion(Fixtures.assertion), Fixtures.assertionBytes),
    (.getInfo, .info(Fixtures.info), Fixtures.infoBytes),
    (.clientPIN, .clientPIN(Fixtures.clientPINResponse), Fixtures.clientPINResponseBytes),
    (
      .credentialManagement, .credentialManagement(Fixtures.credentialManagementResponse),
      Fixtures.credentialManagementResponseBytes
    ),
    (.largeBlobs, .largeBlobs(Fixtures.largeBlobsResponse), Fixtures.largeBlobsResponseBytes),
    (.largeBlobs, .largeBlobs(LargeBlobsResponse(config: [])), [0x00, 0xa1, 0x01, 0x40]),
    (.clientPIN, .clientPIN(ClientPINResponse()), [0x00]),
    (.credentialManagement, .credentialManagement(CredentialManagementResponse()), [0x00]),
    (.largeBlobs, .largeBlobs(LargeBlobsResponse()), [0x00]),
    (.reset, .done, [0x00]),
    (.selection, .done, [0x00]),
    (.config, .done, [0x00]),
  ]

  @Test(arguments: responses)
  func isDecodedAndEncoded(_ command: CTAPCommand, _ response: CTAPResponse, _ bytes: [UInt8]) throws {
    #expect(try CTAPResponse.decode(bytes, to: command) == response)
    #expect(response.encoded() == bytes)
  }

  @Test("Absent members are not encoded")
  func smallest() {
    let info = AuthenticatorInfo(versions: ["FIDO_2_1"], aaguid: [UInt8](repeating: 0, count: 16))
    #expect(
      CTAPResponse.info(info).encoded().hex
        == "00a201" + "81684649444f5f325f31" + "0350" + "00000000000000000000000000000000")
    let assertion = AssertionResponse(
      credential: CredentialDescriptor(id: [1]), authenticatorData: [2], signature: [3])
    #expect(
      CTAPResponse.assertion(assertion).encoded().hex
        == "00a301a26269644101" + "64747970656a7075626c69632d6b6579" + "024102" + "034103")
    let credential = MakeCredentialResponse(format: "none", authenticatorData: [], attestationStatement: [:])
    #expect(CTAPResponse.makeCredential(credential).encoded().hex == "00a301646e6f6e65024003a0")
  }

  @Test("Every status but CTAP2_OK is a refusal, with or without something behind it")
  func refusals() {
    for byte in UInt8(1)...UInt8.max {
      for rest in [[], [0xa0], [0xff]] as [[UInt8]] {
        #expect(throws: CTAPReplyError.refused(CTAPStatus(rawValue: byte))) {
          try CTAPResponse.decode([byte] + rest, to: .getInfo)
        }
      }
    }
    #expect(CTAPStatus.noCredentials.encoded() == [0x2e])
  }

  @Test func malformed() {
    #expect(throws: CTAPReplyError.malformed(.invalidLength)) { try CTAPResponse.decode([], to: .reset) }
    #expect(throws: CTAPReplyError.malformed(.invalidLength)) { try CTAPResponse.decode([0x00, 0xa0], to: .reset) }
    #expect(throws: CTAPReplyError.malformed(.invalidCBOR)) { try CTAPResponse.decode([0x00], to: .getInfo) }
    #expect(throws: CTAPReplyError.malformed(.missingParameter)) {
      try CTAPResponse.decode([0x00, 0xa0], to: .getInfo)
    }
    #expect(throws: CTAPReplyError.malformed(.invalidCommand)) { try CTAPResponse.decode([0x00], to: .bioEnrollment) }
    #expect(throws: CTAPReplyError.malformed(.invalidLength)) { try CTAPResponse.decode([0x00, 0xa0], to: .config) }
  }

  @Test("A map without members says as little as none")
  func emptyMaps() throws {
    for command in [CTAPCommand.clientPIN, .credentialManagement, .largeBlobs] {
      #expect(try CTAPResponse.decode([0x00, 0xa0], to: command).encoded() == [0x00])
    }
  }

  @Test("A credential's public key is one of the algorithms that there are")
  func publicKeys() throws {
    let value = try CanonicalCBOR.decode([UInt8](Fixtures.credentialManagementResponseBytes.dropFirst()))
    let faults: [(CBORValue, CBORValue?, CTAPStatus)] = [
      (1, 3, .invalidParameter), (3, -8, .invalidParameter), (-1, 2, .invalidParameter),
      (-2, .bytes([1]), .invalidParameter), (3, "ES256", .invalidParameter), (3, nil, .missingParameter),
      (-3, nil, .missingParameter), (-4, 1, .invalidParameter),
    ]
    for (label, replacement, status) in faults {
      let map = try #require(value.replacing([8, label], with: replacement))
      #expect(throws: CTAPReplyError.malformed(status), "\(label)") {
        try CTAPResponse.decode([0x00] + CanonicalCBOR.encode(map), to: .credentialManagement)
      }
    }
    for key in [TestKey(.es384), TestKey(.rs256)] {
      var response = CredentialManagementResponse()
      response.publicKey = key.publicKey
      let reply = CTAPResponse.credentialManagement(response)
      #expect(try CTAPResponse.decode(reply.encoded(), to: .credentialManagement) == reply)
    }
  }

  @Test("An AAGUID has 16 bytes")
  func aaguidLength() throws {
    for count in [0, 15, 17] {
      let value = try CanonicalCBOR.decode([UInt8](Fixtures.infoBytes.dropFirst()))
      let map = try #require(value.replacing([3], with: .bytes([UInt8](repeating: 0, count: count))))
      #expect(throws: CTAPReplyError.malformed(.invalidLength)) {
        try CTAPResponse.decode([0x00] + CanonicalCBOR.encode(map), to: .getInfo)
      }
    }
  }
}
