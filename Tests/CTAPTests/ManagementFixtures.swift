import CBOR
import CTAP
import TestSupport
import WebAuthn

/// Messages about the PIN, credentials, settings and large blobs, with every member that they can have, and the same
/// bytes as python-fido2 2.2.1 encodes them.
extension Fixtures {
  static let point: KeyAgreementPoint = {
    guard let point = KeyAgreementPoint(x: hash, y: [UInt8](32..<64)) else { fatalError("32 bytes each") }
    return point
  }()

  static let clientPIN = ClientPINRequest(
    subCommand: 9, pinUvAuthProtocol: 2, keyAgreement: point, pinUvAuthParam: [UInt8](repeating: 0x30, count: 32),
    newPinEnc: [UInt8](repeating: 0x40, count: 80), pinHashEnc: [UInt8](repeating: 0x50, count: 32), permissions: 5,
    relyingPartyID: "example.org")

  static let clientPINBytes = [UInt8](
    hex: """
      06a80102020903a501020338182001215820000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f225820202
      122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f045820303030303030303030303030303030303030303030
      3030303030303030303030055850404040404040404040404040404040404040404040404040404040404040404040404040404040404
      0404040404040404040404040404040404040404040404040404040404040404040404040404040065820505050505050505050505050
      505050505050505050505050505050505050505009050a6b6578616d706c652e6f7267
      """)

  static let clientPINResponse = ClientPINResponse(
    keyAgreement: point, pinUvAuthToken: [UInt8](repeating: 0x60, count: 48), pinRetries: 8, powerCycleState: false,
    uvRetries: 3)

  static let clientPINResponseBytes = [UInt8](
    hex: """
      00a501a501020338182001215820000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f22582020212223242
      5262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f02583060606060606060606060606060606060606060606060606060
      6060606060606060606060606060606060606060606060030804f40503
      """)

  static let credentialManagement = CredentialManagementRequest(
    subCommand: 7,
    parameters: CredentialManagementParameters(
      relyingPartyIDHash: hash, credentialID: CredentialDescriptor(id: [0xaa, 0xbb], transports: ["usb", "internal"]),
      user: UserEntity(id: [1], name: "ci", displayName: "CI job")),
    pinUvAuthProtocol: 2, pinUvAuthParam: [UInt8](repeating: 0x70, count: 32))

  static let credentialManagementBytes = [UInt8](
    hex: """
      0aa4010702a3015820000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f02a362696442aabb64747970656
      a7075626c69632d6b65796a7472616e73706f727473826375736268696e7465726e616c03a36269644101646e616d656263696b646973
      706c61794e616d65664349206a6f6203020458207070707070707070707070707070707070707070707070707070707070707070
      """)

  static let credentialManagementResponse: CredentialManagementResponse = {
    var response = CredentialManagementResponse()
    response.existingResidentCredentialsCount = 5
    response.maxPossibleRemainingResidentCredentialsCount = 995
    response.relyingParty = RelyingPartyEntity(id: "example.org", name: "Example")
    response.relyingPartyIDHash = hash
    response.totalRPs = 2
    response.user = UserEntity(id: [1], name: "ci", displayName: "CI job")
    response.credentialID = CredentialDescriptor(id: [0xaa, 0xbb])
    response.publicKey = .es256(x: hash, y: [UInt8](32..<64))
    response.totalCredentials = 3
    response.credProtect = 2
    response.largeBlobKey = [UInt8](repeating: 7, count: 32)
    return response
  }()

  static let credentialManagementResponseBytes = [UInt8](
    hex: """
      00ab0105021903e303a26269646b6578616d706c652e6f7267646e616d65674578616d706c65045820000102030405060708090a0b0c0
      d0e0f101112131415161718191a1b1c1d1e1f050206a36269644101646e616d656263696b646973706c61794e616d65664349206a6f62
      07a262696442aabb64747970656a7075626c69632d6b657908a5010203262001215820000102030405060708090a0b0c0d0e0f1011121
      31415161718191a1b1c1d1e1f225820202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f09030a020b5820
      0707070707070707070707070707070707070707070707070707070707070707
      """)

  static let config = ConfigRequest(
    subCommand: 3,
    parameters: ConfigParameters(
      newMinPINLength: 6, minPINLengthRelyingParties: ["example.org", "example.net"], forceChangePIN: true),
    pinUvAuthProtocol: 1, pinUvAuthParam: [UInt8](repeating: 0x80, count: 16))

  static let configBytes = [UInt8](
    hex: """
      0da4010302a3010602826b6578616d706c652e6f72676b6578616d706c652e6e657403f50301045080808080808080808080808080808
      080
      """)

  static let largeBlobs = LargeBlobsRequest(
    get: 960, set: [1, 2, 3], offset: 64, length: 20, pinUvAuthParam: [UInt8](repeating: 0x90, count: 32),
    pinUvAuthProtocol: 2)

  static let largeBlobsBytes = [UInt8](
    hex: """
      0ca6011903c00243010203031840041405582090909090909090909090909090909090909090909090909090909090909090900602
      """)

  static let largeBlobsResponse = LargeBlobsResponse(config: [UInt8](0..<17))

  static let largeBlobsResponseBytes = [UInt8](
    hex: """
      00a10151000102030405060708090a0b0c0d0e0f10
      """)

  static let hmacSecret = HMACSecretInput(
    keyAgreement: point, saltEnc: [UInt8](repeating: 0xa0, count: 48), saltAuth: [UInt8](repeating: 0xb0, count: 32),
    pinUvAuthProtocol: 2)

  static let creationExtensions = CreationExtensions(
    credProtect: 3, hmacSecret: true, hmacSecretMC: hmacSecret, credBlob: [1, 2], largeBlobKey: true,
    minPINLength: true)

  /// The map alone, as within a request.
  static let creationExtensionsBytes = [UInt8](
    hex: """
      a66863726564426c6f624201026b6372656450726f74656374036b686d61632d736563726574f56c6c61726765426c6f624b6579f56c6
      d696e50696e4c656e677468f56e686d61632d7365637265742d6d63a401a501020338182001215820000102030405060708090a0b0c0d
      0e0f101112131415161718191a1b1c1d1e1f225820202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f025
      830a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0035820b0b0
      b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b00402
      """)

  static let assertionExtensions = AssertionExtensions(hmacSecret: hmacSecret, credBlob: true, largeBlobKey: true)

  static let assertionExtensionsBytes = [UInt8](
    hex: """
      a36863726564426c6f62f56b686d61632d736563726574a401a501020338182001215820000102030405060708090a0b0c0d0e0f10111
      2131415161718191a1b1c1d1e1f225820202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f025830a0a0a0
      a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0035820b0b0b0b0b0b0b
      0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b004026c6c61726765426c6f624b6579f5
      """)
}
