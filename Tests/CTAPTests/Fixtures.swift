import CBOR
import CTAP
import TestSupport

/// Messages with every member that they can have, and the same bytes as python-fido2 2.2.1 encodes them.
enum Fixtures {
  static let hash = [UInt8](0..<32)

  static let makeCredential = MakeCredentialRequest(
    clientDataHash: hash, relyingParty: RelyingPartyEntity(id: "example.org", name: "Example"),
    user: UserEntity(id: [1, 2, 3, 4], name: "ci", displayName: "CI job"),
    parameters: [CredentialParameters(algorithm: -7), CredentialParameters(algorithm: -257)],
    excludeList: [CredentialDescriptor(id: [0xaa, 0xbb], transports: ["usb", "internal"])],
    extensions: ["credProtect": 2], options: RequestOptions(rk: true, uv: false),
    pinUvAuthParam: [UInt8](repeating: 0x10, count: 16), pinUvAuthProtocol: 2, enterpriseAttestation: 1,
    attestationFormatsPreference: ["packed", "none"])

  static let makeCredentialBytes = [UInt8](
    hex: """
      01ab015820000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f02a26269646b6578616d706c652e6f72676
      46e616d65674578616d706c6503a36269644401020304646e616d656263696b646973706c61794e616d65664349206a6f620482a26361
      6c672664747970656a7075626c69632d6b6579a263616c6739010064747970656a7075626c69632d6b65790581a362696442aabb64747
      970656a7075626c69632d6b65796a7472616e73706f727473826375736268696e7465726e616c06a16b6372656450726f746563740207
      a262726bf5627576f408501010101010101010101010101010101009020a010b82667061636b6564646e6f6e65
      """)

  static let getAssertion = GetAssertionRequest(
    relyingPartyID: "example.org", clientDataHash: hash, allowList: [CredentialDescriptor(id: [0xaa, 0xbb])],
    extensions: ["credBlob": true], options: RequestOptions(up: false),
    pinUvAuthParam: [UInt8](repeating: 0x20, count: 32), pinUvAuthProtocol: 1)

  static let getAssertionBytes = [UInt8](
    hex: """
      02a7016b6578616d706c652e6f7267025820000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0381a2626
      96442aabb64747970656a7075626c69632d6b657904a16863726564426c6f62f505a1627570f406582020202020202020202020202020
      202020202020202020202020202020202020200701
      """)

  static let makeCredentialResponse = MakeCredentialResponse(
    format: "packed", authenticatorData: [1, 2, 3], attestationStatement: ["alg": -7, "sig": .bytes([0x30, 0])],
    enterpriseAttestation: false, largeBlobKey: [UInt8](repeating: 5, count: 32))

  static let makeCredentialResponseBytes = [UInt8](
    hex: """
      00a501667061636b6564024301020303a263616c67266373696742300004f405582005050505050505050505050505050505050505050
      50505050505050505050505
      """)

  static let assertion = AssertionResponse(
    credential: CredentialDescriptor(id: [0xaa, 0xbb]), authenticatorData: [1, 2, 3], signature: [0x30, 0],
    user: UserEntity(id: [1], name: "ci", displayName: "CI job"), numberOfCredentials: 3, userSelected: true,
    largeBlobKey: [UInt8](repeating: 7, count: 32))

  static let assertionBytes = [UInt8](
    hex: """
      00a701a262696442aabb64747970656a7075626c69632d6b657902430102030342300004a36269644101646e616d656263696b6469737
      06c61794e616d65664349206a6f62050306f5075820070707070707070707070707070707070707070707070707070707070707070
      7
      """)

  static let info: AuthenticatorInfo = {
    var info = AuthenticatorInfo(versions: ["FIDO_2_0", "FIDO_2_1"], aaguid: [UInt8](0..<16))
    info.extensions = ["credProtect", "hmac-secret"]
    info.options = ["rk": true, "up": true, "plat": false]
    info.maxMessageSize = 65_535
    info.pinUvAuthProtocols = [2, 1]
    info.maxCredentialCountInList = 10
    info.maxCredentialIDLength = 64
    info.transports = ["usb", "internal"]
    info.algorithms = [CredentialParameters(algorithm: -7)]
    info.maxSerializedLargeBlobArray = 65_536
    info.forcePINChange = false
    info.minPINLength = 4
    info.firmwareVersion = 1
    info.maxCredBlobLength = 32
    info.maxRPIDsForSetMinPINLength = 2
    info.preferredPlatformUvAttempts = 1
    info.uvModality = 2
    info.certifications = ["FIDO": 1]
    info.remainingDiscoverableCredentials = 1_000
    info.vendorPrototypeConfigCommands = [3]
    info.attestationFormats = ["packed", "none"]
    info.uvCountSinceLastPINEntry = 7
    info.longTouchForReset = true
    info.encIdentifier = [UInt8](repeating: 0xc0, count: 32)
    info.transportsForReset = ["usb", "nfc"]
    info.pinComplexityPolicy = false
    info.pinComplexityPolicyURL = Array("https://example.org/pin".utf8)
    info.maxPINLength = 63
    info.encCredStoreState = [UInt8](repeating: 0xd0, count: 32)
    info.authenticatorConfigCommands = [1, 2, 3]
    return info
  }()

  static let infoBytes = [UInt8](
    hex: """
      00b81f0182684649444f5f325f30684649444f5f325f3102826b6372656450726f746563746b686d61632d73656372657403500001020
      30405060708090a0b0c0d0e0f04a362726bf5627570f564706c6174f40519ffff06820201070a08184009826375736268696e7465726e
      616c0a81a263616c672664747970656a7075626c69632d6b65790b1a000100000cf40d040e010f182010021101120213a1644649444f0
      1141903e81581031682667061636b6564646e6f6e6517071818f518195820c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0
      c0c0c0c0c0c0c0c0181a8263757362636e6663181bf4181c5768747470733a2f2f6578616d706c652e6f72672f70696e181d183f181e5
      820d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0181f83010203
      """)
}
