import CBOR
import CTAP

extension MessageSpecification {
  static let all = [
    makeCredential, getAssertion, makeCredentialResponse, assertion, info, clientPIN, clientPINResponse,
    credentialManagement, credentialManagementResponse, config, largeBlobs, largeBlobsResponse, creationExtensions,
    assertionExtensions,
  ]

  static let makeCredential = MessageSpecification(
    name: "makeCredential", bytes: Fixtures.makeCredentialBytes,
    members: [
      .required(1, kind: .bytes), .required(2, kind: .map), .required(2, "id", kind: .text),
      .optional(2, "name", kind: .text), .optional(2, "icon", kind: .text), .required(3, kind: .map),
      .required(3, "id", kind: .bytes), .optional(3, "name", kind: .text), .optional(3, "displayName", kind: .text),
      .optional(3, "icon", kind: .text), .required(4, kind: .array), .optional(4, 0, kind: .map),
      .required(4, 0, "type", kind: .text), .required(4, 0, "alg", kind: .integer), .optional(4, 1, kind: .map),
      .required(4, 1, "type", kind: .text), .required(4, 1, "alg", kind: .integer), .optional(5, kind: .array),
      .optional(5, 0, kind: .map), .required(5, 0, "type", kind: .text), .required(5, 0, "id", kind: .bytes),
      .optional(5, 0, "transports", kind: .array), .optional(5, 0, "transports", 1, kind: .text),
      .optional(6, kind: .map), .optional(7, kind: .map), .optional(7, "rk", kind: .boolean),
      .optional(7, "up", kind: .boolean), .optional(7, "uv", kind: .boolean), .optional(8, kind: .bytes),
      .optional(9, kind: .unsigned), .optional(10, kind: .unsigned), .optional(11, kind: .array),
      .optional(11, 1, kind: .text),
    ],
    openMaps: [[2], [3], [4, 1], [5, 0], [7]], recode: recodeRequest)

  static let getAssertion = MessageSpecification(
    name: "getAssertion", bytes: Fixtures.getAssertionBytes,
    members: [
      .required(1, kind: .text), .required(2, kind: .bytes), .optional(3, kind: .array), .optional(3, 0, kind: .map),
      .required(3, 0, "type", kind: .text), .required(3, 0, "id", kind: .bytes),
      .optional(3, 0, "transports", kind: .array), .optional(4, kind: .map), .optional(5, kind: .map),
      .optional(5, "rk", kind: .boolean), .optional(5, "up", kind: .boolean), .optional(5, "uv", kind: .boolean),
      .optional(6, kind: .bytes), .optional(7, kind: .unsigned),
    ],
    openMaps: [[3, 0], [5]], recode: recodeRequest)

  static let makeCredentialResponse = MessageSpecification(
    name: "makeCredential's response", bytes: Fixtures.makeCredentialResponseBytes,
    members: [
      .required(1, kind: .text), .required(2, kind: .bytes), .required(3, kind: .map), .optional(4, kind: .boolean),
      .optional(5, kind: .bytes),
    ],
    openMaps: [], recode: recodeResponse(to: .makeCredential))

  static let assertion = MessageSpecification(
    name: "getAssertion's response", bytes: Fixtures.assertionBytes,
    members: [
      .required(1, kind: .map), .required(1, "id", kind: .bytes), .required(1, "type", kind: .text),
      .required(2, kind: .bytes), .required(3, kind: .bytes), .optional(4, kind: .map),
      .required(4, "id", kind: .bytes), .optional(4, "name", kind: .text), .optional(4, "displayName", kind: .text),
      .optional(5, kind: .unsigned), .optional(6, kind: .boolean), .optional(7, kind: .bytes),
    ],
    openMaps: [[1], [4]], recode: recodeResponse(to: .getNextAssertion))

  static let info = MessageSpecification(
    name: "getInfo's response", bytes: Fixtures.infoBytes,
    members: [
      .required(1, kind: .array), .optional(1, 0, kind: .text), .optional(2, kind: .array),
      .optional(2, 1, kind: .text), .required(3, kind: .bytes), .optional(4, kind: .map),
      .optional(4, "rk", kind: .boolean), .optional(5, kind: .unsigned), .optional(6, kind: .array),
      .optional(6, 0, kind: .unsigned), .optional(7, kind: .unsigned), .optional(8, kind: .unsigned),
      .optional(9, kind: .array), .optional(9, 0, kind: .text), .optional(10, kind: .array),
      .optional(10, 0, kind: .map), .required(10, 0, "alg", kind: .integer), .required(10, 0, "type", kind: .text),
      .optional(11, kind: .unsigned), .optional(12, kind: .boolean), .optional(13, kind: .unsigned),
      .optional(14, kind: .unsigned), .optional(15, kind: .unsigned), .optional(16, kind: .unsigned),
      .optional(17, kind: .unsigned), .optional(18, kind: .unsigned), .optional(19, kind: .map),
      .optional(19, "FIDO", kind: .unsigned), .optional(20, kind: .unsigned), .optional(21, kind: .array),
      .optional(21, 0, kind: .unsigned), .optional(22, kind: .array), .optional(22, 0, kind: .text),
      .optional(23, kind: .unsigned), .optional(24, kind: .boolean), .optional(25, kind: .bytes),
      .optional(26, kind: .array), .optional(26, 1, kind: .text), .optional(27, kind: .boolean),
      .optional(28, kind: .bytes), .optional(29, kind: .unsigned), .optional(30, kind: .bytes),
      .optional(31, kind: .array), .optional(31, 2, kind: .unsigned),
    ],
    openMaps: [[10, 0]], recode: recodeResponse(to: .getInfo))
}

let recodeRequest: @Sendable ([UInt8]) throws(CTAPStatus) -> [UInt8] = { (message) throws(CTAPStatus) in
  try CTAPRequest.decode(message).encoded()
}

func recodeResponse(to command: CTAPCommand) -> @Sendable ([UInt8]) throws(CTAPStatus) -> [UInt8] {
  { (reply) throws(CTAPStatus) in
    do throws(CTAPReplyError) {
      return try CTAPResponse.decode(reply, to: command).encoded()
    } catch {
      switch error {
      case .refused(let status), .malformed(let status): throw status
      }
    }
  }
}
