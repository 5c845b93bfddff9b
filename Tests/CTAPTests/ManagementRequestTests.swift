import CBOR
import CTAP
import TestSupport
import Testing

@Suite("Requests about PIN, credentials, settings and large blobs")
struct ManagementRequestTests {
  static let requests: [(CTAPRequest, [UInt8])] = [
    (.clientPIN(Fixtures.clientPIN), Fixtures.clientPINBytes),
    (.credentialManagement(Fixtures.credentialManagement), Fixtures.credentialManagementBytes),
    (.config(Fixtures.config), Fixtures.configBytes),
    (.largeBlobs(Fixtures.largeBlobs), Fixtures.largeBlobsBytes),
    // As python-fido2 2.2.1 sends them.
    (.clientPIN(ClientPINRequest(subCommand: 1, pinUvAuthProtocol: 2)), [UInt8](hex: "06a201020201")),
    (
      .credentialManagement(
        CredentialManagementRequest(
          subCommand: 1, pinUvAuthProtocol: 2, pinUvAuthParam: [UInt8](repeating: 0x70, count: 32))),
      [UInt8](hex: "0aa301010302045820" + String(repeating: "70", count: 32))
    ),
    (.credentialManagement(CredentialManagementRequest(subCommand: 3)), [UInt8](hex: "0aa10103")),
    (.config(ConfigRequest(subCommand: 1)), [UInt8](hex: "0da10101")),
    (.largeBlobs(LargeBlobsRequest(get: 960, offset: 0)), [UInt8](hex: "0ca2011903c00300")),
  ]

  @Test(arguments: requests)
  func isDecodedAndEncoded(_ request: CTAPRequest, _ bytes: [UInt8]) throws {
    #expect(try CTAPRequest.decode(bytes) == request)
    #expect(request.encoded() == bytes)
    #expect(request.command.rawValue == bytes[0])
  }

  @Test("The numbers of the standard")
  func numbers() {
    #expect(ClientPINSubcommand.allCases.map(\.rawValue) == [1, 2, 3, 4, 5, 6, 7, 9])
    #expect(CredentialManagementSubcommand.allCases.map(\.rawValue) == [1, 2, 3, 4, 5, 6, 7])
    #expect(ConfigSubcommand.allCases.map(\.rawValue) == [1, 2, 3, 0xff])
    let permissions: [(Permissions, UInt64)] = [
      (.makeCredential, 1), (.getAssertion, 2), (.credentialManagement, 4), (.bioEnrollment, 8),
      (.largeBlobWrite, 0x10), (.authenticatorConfiguration, 0x20), (.persistentCredentialManagementReadOnly, 0x40),
    ]
    for (permission, bit) in permissions { #expect(permission.rawValue == bit) }
  }

  @Test("Empty is not absent")
  func emptyMembers() throws {
    let requests: [CTAPRequest] = [
      .clientPIN(
        ClientPINRequest(subCommand: 0, pinUvAuthParam: [], newPinEnc: [], pinHashEnc: [], relyingPartyID: "")),
      .credentialManagement(
        CredentialManagementRequest(
          subCommand: 4, parameters: CredentialManagementParameters(relyingPartyIDHash: []), pinUvAuthParam: [])),
      .credentialManagement(
        CredentialManagementRequest(subCommand: 4, parameters: CredentialManagementParameters())),
      .config(ConfigRequest(subCommand: 3, parameters: ConfigParameters(minPINLengthRelyingParties: []))),
      .config(ConfigRequest(subCommand: 3, parameters: ConfigParameters())),
      .largeBlobs(LargeBlobsRequest(set: [], pinUvAuthParam: [])),
    ]
    for request in requests { #expect(try CTAPRequest.decode(request.encoded()) == request) }
    #expect(CredentialManagementRequest(subCommand: 4).signedParameters.isEmpty)
    #expect(ConfigRequest(subCommand: 3, parameters: ConfigParameters()).signedParameters == [0xa0])
  }

  @Test("What is authenticated are the parameters as they were sent, with what is unknown in them")
  func signedParameters() throws {
    let messages: [(bytes: [UInt8], inner: [CBORValue])] = [
      (Fixtures.credentialManagementBytes, [2, 2]), (Fixtures.configBytes, [2]),
    ]
    for message in messages {
      let value = try CanonicalCBOR.decode([UInt8](message.bytes.dropFirst()))
      for path in [[], [2], message.inner] as [[CBORValue]] {
        let map = try #require(value.replacing(path + ["unknown"], with: .array([1])))
        let parameters = CanonicalCBOR.encode(try #require(map[2]))
        switch try CTAPRequest.decode([message.bytes[0]] + CanonicalCBOR.encode(map)) {
        case .credentialManagement(let request):
          #expect(request.signedParameters == parameters)
          #expect(request.parameters == Fixtures.credentialManagement.parameters)
        case .config(let request):
          #expect(request.signedParameters == parameters)
          #expect(request.parameters == Fixtures.config.parameters)
        default: Issue.record("another request")
        }
      }
    }
  }

  @Test("pinUvAuthParam is computed over what sections 6.8.2, 6.10.2 and 6.11 say")
  func authenticatedMessages() {
    let head = String(repeating: "ff", count: 32)
    #expect(CredentialManagementRequest(subCommand: 2).authenticatedMessage.hex == "02")
    let parameters = CredentialManagementParameters(relyingPartyIDHash: [1, 2])
    #expect(
      CredentialManagementRequest(subCommand: 4, parameters: parameters).authenticatedMessage.hex == "04a101420102")
    #expect(ConfigRequest(subCommand: 2).authenticatedMessage.hex == head + "0d02")
    let length = ConfigParameters(newMinPINLength: 6)
    #expect(ConfigRequest(subCommand: 3, parameters: length).authenticatedMessage.hex == head + "0d03a10106")
    #expect(
      LargeBlobsRequest.authenticatedMessage(writing: Array("abc".utf8), at: 0x0102_0304).hex == head + "0c0004030201"
        + "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }

  @Test("Only setMinPINLength has parameters that are known")
  func parametersOfOtherSubcommands() throws {
    let parameters: CBORValue = .map([1: .bytes([1]), 2: 3, "a": .null])
    for subCommand in [0, 1, 2, 4, 0xff] as [CBORValue] {
      let request = try config([1: subCommand, 2: parameters])
      #expect(request.parameters == nil)
      #expect(request.signedParameters == CanonicalCBOR.encode(parameters))
      #expect(throws: CTAPStatus.cborUnexpectedType) { try config([1: subCommand, 2: .bytes([1])]) }
    }
    #expect(throws: CTAPStatus.cborUnexpectedType) { try config([1: 3, 2: parameters]) }
  }

  @Test("RP IDs have 255 bytes at most, wherever they stand")
  func lengthsOfRPIDs() throws {
    for (count, status) in [(255, nil), (256, .invalidLength)] as [(Int, CTAPStatus?)] {
      let id = String(repeating: "a", count: count)
      let requests: [CTAPRequest] = [
        .clientPIN(ClientPINRequest(subCommand: 9, relyingPartyID: id)),
        .config(ConfigRequest(subCommand: 3, parameters: ConfigParameters(minPINLengthRelyingParties: ["a", id]))),
      ]
      for request in requests {
        if let status {
          #expect(throws: status) { try CTAPRequest.decode(request.encoded()) }
        } else {
          #expect(try CTAPRequest.decode(request.encoded()) == request)
        }
      }
    }
  }

  @Test("A key-agreement key is on P-256, for ECDH-ES, with coordinates of 32 bytes")
  func keyAgreementKeys() throws {
    let value = try CanonicalCBOR.decode([UInt8](Fixtures.clientPINBytes.dropFirst()))
    let short = [UInt8](repeating: 1, count: 31)
    let faults: [(CBORValue, CBORValue)] = [
      (1, 1), (1, 3), (3, -7), (3, 25), (-1, 2), (-2, .bytes([])), (-2, .bytes(short)), (-3, .bytes(short + [1, 2])),
    ]
    for (label, replacement) in faults {
      let map = try #require(value.replacing([3, label], with: replacement))
      #expect(throws: CTAPStatus.invalidParameter, "\(label)") {
        try CTAPRequest.decode([0x06] + CanonicalCBOR.encode(map))
      }
    }
    #expect(KeyAgreementPoint(x: short, y: Fixtures.hash) == nil)
    #expect(KeyAgreementPoint(x: Fixtures.hash, y: short) == nil)
  }

  private func config(_ map: CBORMap) throws -> ConfigRequest {
    guard case .config(let request) = try CTAPRequest.decode([0x0d] + CanonicalCBOR.encode(.map(map))) else {
      throw CTAPStatus.other
    }
    return request
  }
}

extension CBORValue {
  fileprivate subscript(key: CBORValue) -> CBORValue? {
    guard case .map(let map) = self else { return nil }
    return map[key]
  }
}
