internal import CBOR
package import WebAuthn

/// What a relying party keeps of a credential (WebAuthn section 4, "credential record").
package struct CredentialRecord: Equatable, Sendable {
  package var id: [UInt8]
  package var publicKey: CredentialPublicKey
  package var relyingPartyID: String
  package var userHandle: [UInt8]
  package var signCount: UInt32
  package var aaguid: [UInt8]
  package var transports: [String]
  package var userPresent: Bool
  package var userVerified: Bool
  package var backupEligible: Bool
  package var backupState: Bool
  /// Whether any ceremony so far had user verification.
  package var userVerificationInitialized: Bool
  /// `none` or `packed`.
  package var attestationFormat: String
  package var attestationType: AttestationType
}

/// The attestation types of WebAuthn section 6.5.4 that are verified here.
package enum AttestationType: String, Sendable {
  case none
  case `self`
}

extension CredentialRecord {
  package var json: JSONValue {
    .object([
      "aaguid": .string(AAGUIDText.encode(aaguid)),
      "algorithm": .integer(publicKey.algorithm.rawValue),
      "attestation": .object([
        "format": .string(attestationFormat), "type": .string(attestationType.rawValue),
      ]),
      "flags": .object([
        "backupEligible": .boolean(backupEligible), "backupState": .boolean(backupState),
        "userPresent": .boolean(userPresent), "userVerified": .boolean(userVerified),
      ]),
      "id": .string(Base64URL.encode(id)),
      "publicKey": .string(Base64URL.encode(publicKey.encoded())),
      "rpId": .string(relyingPartyID),
      "signCount": .integer(Int64(signCount)),
      "transports": .array(transports.map { .string($0) }),
      "type": .string(PublicKeyCredentialDescriptorJSON.publicKeyType),
      "userHandle": .string(Base64URL.encode(userHandle)),
      "uvInitialized": .boolean(userVerificationInitialized),
    ])
  }

  /// Reads what ``json`` writes.
  ///
  /// - Throws: ``JSONInputError``
  package init(parsing bytes: [UInt8]) throws(JSONInputError) {
    let record = JSONCursor(try JSONValue.parse(bytes))
    id = try record.required("id", "base64url text").bytes(1...1023)
    let key = try record.required("publicKey", "base64url text of a COSE_Key")
    guard let publicKey = try? CredentialPublicKey.decode(key.bytes()) else {
      throw key.complaint(expected: "base64url text of a COSE_Key", found: "something else")
    }
    self.publicKey = publicKey
    relyingPartyID = try record.required("rpId", "a string").string()
    userHandle = try record.required("userHandle", "base64url text").bytes(1...64)
    signCount = UInt32(try record.required("signCount", "a number").integer(in: 0...Int64(UInt32.max)))
    let aaguidText = try record.required("aaguid", "a UUID")
    guard let aaguid = AAGUIDText.decode(try aaguidText.string()) else {
      throw aaguidText.complaint(expected: "a UUID")
    }
    self.aaguid = aaguid
    transports = try record.optional("transports")?.strings() ?? []
    let flags = try record.required("flags", "an object")
    userPresent = try flags.required("userPresent", "true or false").boolean()
    userVerified = try flags.required("userVerified", "true or false").boolean()
    backupEligible = try flags.required("backupEligible", "true or false").boolean()
    backupState = try flags.required("backupState", "true or false").boolean()
    userVerificationInitialized = try record.required("uvInitialized", "true or false").boolean()
    let attestation = try record.required("attestation", "an object with format and type")
    attestationFormat = try attestation.required("format", "a string").string()
    let type = try attestation.required("type", "\"none\" or \"self\"")
    guard let attestationType = AttestationType(rawValue: try type.string()) else {
      throw type.complaint(expected: "\"none\" or \"self\"")
    }
    self.attestationType = attestationType
  }
}
