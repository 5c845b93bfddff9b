internal import CBOR
internal import Crypto
internal import TPMStructures
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
  /// `none`, `packed`, `tpm` or `fido-u2f`.
  package var attestationFormat: String
  package var attestationType: AttestationType
  /// SHA-256 of the certificate to which the attestation's lead; nil where certificates have no part in it.
  package var attestationAnchor: [UInt8]?
  /// Of format `tpm`.
  package var tpm: AttestedTPM?
}

/// The attestation types of WebAuthn section 6.5.4 that are verified here.
package enum AttestationType: String, CaseIterable, Sendable {
  case none
  case `self`
  /// A key of the authenticator's model; or by an attestation CA, which the statement does not tell apart.
  case basic
  /// A key of this authenticator, certified by a CA that has met it.
  case attCA = "attca"
}

extension CredentialRecord {
  package var json: JSONValue {
    .object([
      "aaguid": .string(AAGUIDText.encode(aaguid)),
      "algorithm": .integer(publicKey.algorithm.rawValue),
      "attestation": .object(attestationMembers),
      "flags": .object([
        "backupEligible": .boolean(backupEligible), "backupState": .boolean(backupState),
        "userPresent": .boolean(userPresent), "userVerified": .boolean(userVerified),
      ]),
      "id": .string(Base64URL.encode(id)),
      "proven": .array(proven.map { .string($0) }),
      "publicKey": .string(Base64URL.encode(publicKey.encoded())),
      "rpId": .string(relyingPartyID),
      "signCount": .integer(Int64(signCount)),
      "transports": .array(transports.map { .string($0) }),
      "type": .string(PublicKeyCredentialDescriptorJSON.publicKeyType),
      "userHandle": .string(Base64URL.encode(userHandle)),
      "uvInitialized": .boolean(userVerificationInitialized),
    ])
  }

  private var attestationMembers: [String: JSONValue] {
    var members: [String: JSONValue] = [
      "format": .string(attestationFormat), "type": .string(attestationType.rawValue),
    ]
    members["anchor"] = attestationAnchor.map { .string(Base64URL.encode($0)) }
    members["tpm"] = tpm.map {
      .object(["model": .string($0.model), "vendor": .string($0.vendor.name), "version": .string($0.version)])
    }
    return members
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
    let types = AttestationType.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: " or ")
    let type = try attestation.required("type", types)
    guard let attestationType = AttestationType(rawValue: try type.string()) else {
      throw type.complaint(expected: types)
    }
    self.attestationType = attestationType
    attestationAnchor = try attestation.optional("anchor")?.bytes(SHA256.count...SHA256.count)
    tpm = try attestation.optional("tpm").map { member throws(JSONInputError) in
      let vendor = try member.required("vendor", "a string")
      guard let known = TPMVendor(name: try vendor.string()) else {
        throw vendor.complaint(expected: "a registered vendor of TPMs")
      }
      return AttestedTPM(
        vendor: known, model: try member.required("model", "a string").string(),
        version: try member.required("version", "a string").string())
    }
  }
}

extension CredentialRecord {
  /// What its registration proved, in words for people.
  package var proven: [String] {
    var proven: [String] = []
    switch attestationType {
    case .none: proven.append("nothing about the key: there is no attestation")
    case .self: proven.append("whoever registered has the credential's key; nothing about where it is")
    case .basic:
      proven.append("an authenticator that holds a certificate of the trusted anchor made this registration")
    case .attCA: proven.append("the key was made in a TPM and cannot leave it: the TPM itself says so")
    }
    if let tpm {
      proven.append(
        "the trusted anchor's authority vouches for the TPM: maker \(tpm.vendor.name), model \(tpm.model), "
          + "version \(tpm.version)")
    }
    if attestationAnchor != nil { proven.append("AAGUID \(AAGUIDText.encode(aaguid)), attested") }
    proven.append(userVerified ? "the user counts as present and verified" : "the user counts as present")
    return proven
  }
}
