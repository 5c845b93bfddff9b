/// What a browser's `toJSON()` gives for a new credential (WebAuthn section 5.1.1).
package struct RegistrationResponseJSON: Equatable, Sendable {
  package var id: [UInt8]
  package var clientDataJSON: [UInt8]
  package var attestationObject: [UInt8]
  /// Absent in responses of old clients.
  package var authenticatorData: [UInt8]?
  /// DER SubjectPublicKeyInfo; nil where the client does not know the algorithm.
  package var publicKey: [UInt8]?
  package var publicKeyAlgorithm: Int64?
  package var transports: [String]
  package var authenticatorAttachment: String?
  /// Without ``prfResults``.
  package var clientExtensionResults: [String: JSONValue]
  package var prfResults: PRFResults?

  package init(
    id: [UInt8], clientDataJSON: [UInt8], attestationObject: [UInt8], authenticatorData: [UInt8]?, publicKey: [UInt8]?,
    publicKeyAlgorithm: Int64?, transports: [String], authenticatorAttachment: String?,
    clientExtensionResults: [String: JSONValue] = [:], prfResults: PRFResults? = nil
  ) {
    self.id = id
    self.clientDataJSON = clientDataJSON
    self.attestationObject = attestationObject
    self.authenticatorData = authenticatorData
    self.publicKey = publicKey
    self.publicKeyAlgorithm = publicKeyAlgorithm
    self.transports = transports
    self.authenticatorAttachment = authenticatorAttachment
    self.clientExtensionResults = clientExtensionResults
    self.prfResults = prfResults
  }

  package var json: JSONValue {
    var response: [String: JSONValue] = [
      "attestationObject": .string(Base64URL.encode(attestationObject)),
      "clientDataJSON": .string(Base64URL.encode(clientDataJSON)),
      "transports": .array(transports.sorted().map { .string($0) }),
    ]
    response["authenticatorData"] = authenticatorData.map { .string(Base64URL.encode($0)) }
    response["publicKey"] = publicKey.map { .string(Base64URL.encode($0)) }
    response["publicKeyAlgorithm"] = publicKeyAlgorithm.map { .integer($0) }
    return credentialJSON(
      id: id, response: response, attachment: authenticatorAttachment,
      extensions: PRFResults.json(clientExtensionResults, prfResults))
  }

  /// - Throws: ``JSONInputError``
  package init(parsing bytes: [UInt8]) throws(JSONInputError) {
    let credential = JSONCursor(try JSONValue.parse(bytes))
    id = try credential.credentialID()
    authenticatorAttachment = try credential.optional("authenticatorAttachment")?.string()
    clientExtensionResults = try credential.optional("clientExtensionResults")?.object() ?? [:]
    let response = try credential.required("response", "an object with clientDataJSON and attestationObject")
    clientDataJSON = try response.required("clientDataJSON", "base64url text").bytes()
    attestationObject = try response.required("attestationObject", "base64url text").bytes()
    authenticatorData = try response.optional("authenticatorData")?.bytes()
    publicKey = try response.optional("publicKey")?.bytes()
    publicKeyAlgorithm = try response.optional("publicKeyAlgorithm")?.integer(in: -0x8000_0000...0x7fff_ffff)
    transports = try response.optional("transports")?.strings() ?? []
  }
}

/// What a browser's `toJSON()` gives for an assertion (WebAuthn section 5.1.1).
package struct AuthenticationResponseJSON: Equatable, Sendable {
  package var id: [UInt8]
  package var clientDataJSON: [UInt8]
  package var authenticatorData: [UInt8]
  package var signature: [UInt8]
  package var userHandle: [UInt8]?
  package var authenticatorAttachment: String?
  /// Without ``prfResults``.
  package var clientExtensionResults: [String: JSONValue]
  package var prfResults: PRFResults?

  package init(
    id: [UInt8], clientDataJSON: [UInt8], authenticatorData: [UInt8], signature: [UInt8], userHandle: [UInt8]?,
    authenticatorAttachment: String?, clientExtensionResults: [String: JSONValue] = [:], prfResults: PRFResults? = nil
  ) {
    self.id = id
    self.clientDataJSON = clientDataJSON
    self.authenticatorData = authenticatorData
    self.signature = signature
    self.userHandle = userHandle
    self.authenticatorAttachment = authenticatorAttachment
    self.clientExtensionResults = clientExtensionResults
    self.prfResults = prfResults
  }

  package var json: JSONValue {
    var response: [String: JSONValue] = [
      "authenticatorData": .string(Base64URL.encode(authenticatorData)),
      "clientDataJSON": .string(Base64URL.encode(clientDataJSON)),
      "signature": .string(Base64URL.encode(signature)),
    ]
    response["userHandle"] = userHandle.map { .string(Base64URL.encode($0)) }
    return credentialJSON(
      id: id, response: response, attachment: authenticatorAttachment,
      extensions: PRFResults.json(clientExtensionResults, prfResults))
  }

  /// - Throws: ``JSONInputError``
  package init(parsing bytes: [UInt8]) throws(JSONInputError) {
    let credential = JSONCursor(try JSONValue.parse(bytes))
    id = try credential.credentialID()
    authenticatorAttachment = try credential.optional("authenticatorAttachment")?.string()
    clientExtensionResults = try credential.optional("clientExtensionResults")?.object() ?? [:]
    let response = try credential.required("response", "an object with clientDataJSON, authenticatorData and signature")
    clientDataJSON = try response.required("clientDataJSON", "base64url text").bytes()
    authenticatorData = try response.required("authenticatorData", "base64url text").bytes()
    signature = try response.required("signature", "base64url text").bytes()
    userHandle = try response.optional("userHandle")?.bytes()
  }
}

private func credentialJSON(
  id: [UInt8], response: [String: JSONValue], attachment: String?, extensions: JSONValue
) -> JSONValue {
  let idText = Base64URL.encode(id)
  var credential: [String: JSONValue] = [
    "clientExtensionResults": extensions,
    "id": .string(idText),
    "rawId": .string(idText),
    "response": .object(response),
    "type": .string(PublicKeyCredentialDescriptorJSON.publicKeyType),
  ]
  credential["authenticatorAttachment"] = attachment.map { .string($0) }
  return .object(credential)
}

extension JSONCursor {
  /// `id` and `rawId`, which must agree, of a credential of the only type there is.
  fileprivate func credentialID() throws(JSONInputError) -> [UInt8] {
    let type = try required("type", "\"public-key\"")
    guard try type.string() == PublicKeyCredentialDescriptorJSON.publicKeyType else {
      throw type.complaint(expected: "\"public-key\"", found: "another type")
    }
    let id = try required("id", "base64url text").bytes(1...Int.max)
    let rawID = try required("rawId", "base64url text")
    guard try rawID.bytes() == id else {
      throw rawID.complaint(expected: "the same bytes as in id", found: "other bytes")
    }
    return id
  }
}
