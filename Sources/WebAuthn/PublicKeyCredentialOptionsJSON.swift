/// What a relying party asks of `create()` (WebAuthn section 5.1.9), read from JSON.
///
/// As in a browser: unknown members and unknown values of enumerations are ignored, required ones are not guessed.
package struct PublicKeyCredentialCreationOptionsJSON: Equatable, Sendable {
  package struct Parameters: Equatable, Sendable {
    package let type: String
    package let algorithm: Int64
  }

  package struct AuthenticatorSelection: Equatable, Sendable {
    package var attachment: AuthenticatorAttachment?
    package var residentKey: ResidentKeyRequirement
    package var userVerification: UserVerificationRequirement

    package init(
      attachment: AuthenticatorAttachment? = nil, residentKey: ResidentKeyRequirement = .discouraged,
      userVerification: UserVerificationRequirement = .preferred
    ) {
      self.attachment = attachment
      self.residentKey = residentKey
      self.userVerification = userVerification
    }
  }

  /// nil: the host of the origin.
  package var relyingPartyID: String?
  package var relyingPartyName: String
  package var userHandle: [UInt8]
  package var userName: String
  package var userDisplayName: String
  package var challenge: [UInt8]
  /// As given, unknown types included.
  package var parameters: [Parameters]
  package var timeoutMilliseconds: UInt32?
  package var excludeCredentials: [PublicKeyCredentialDescriptorJSON]
  package var selection: AuthenticatorSelection
  package var attestation: AttestationConveyancePreference
  package var attestationFormats: [String]
  package var extensions = CreationExtensionsJSON()

  /// The algorithms that will do, in the relying party's order: those of type `public-key`, and where there are no
  /// parameters at all ES256 and RS256, as section 5.1.3 says. Empty where none is of a known type.
  package var algorithms: [Int64] {
    if parameters.isEmpty { return [COSEAlgorithm.es256.rawValue, COSEAlgorithm.rs256.rawValue] }
    return parameters.filter { $0.type == PublicKeyCredentialDescriptorJSON.publicKeyType }.map(\.algorithm)
  }

  /// Reads the options, bare or as the member `publicKey` of an object, as servers often send them.
  ///
  /// - Throws: ``JSONInputError``
  package init(parsing bytes: [UInt8]) throws(JSONInputError) {
    let options = try JSONCursor(JSONValue.parse(bytes)).unwrapped()

    let relyingParty = try options.required("rp", "an object with the relying party's id and name")
    relyingPartyID = try relyingParty.optional("id")?.string()
    relyingPartyName = try relyingParty.required("name", "a string").string()

    let user = try options.required("user", "an object with id, name and displayName")
    userHandle = try user.required("id", "base64url text of 1 to 64 bytes")
      .bytes(1...64, expected: "base64url text without padding, of 1 to 64 bytes")
    userName = try user.required("name", "a string").string()
    userDisplayName = try user.required("displayName", "a string").string()

    challenge = try options.required("challenge", "base64url text").bytes()
    parameters = []
    for entry in try options.required("pubKeyCredParams", "an array of {type, alg}").elements() {
      parameters.append(
        Parameters(
          type: try entry.required("type", "a string").string(),
          algorithm: try entry.required("alg", "a COSE algorithm number").integer(in: -0x8000_0000...0x7fff_ffff)))
    }
    timeoutMilliseconds = try options.timeout()
    excludeCredentials = try options.descriptors("excludeCredentials")
    selection = try options.authenticatorSelection()
    attestation =
      AttestationConveyancePreference(rawValue: try options.optional("attestation")?.string() ?? "") ?? .none
    attestationFormats = try options.optional("attestationFormats")?.strings() ?? []
    if let member = try options.optional("extensions") { extensions = try CreationExtensionsJSON(member) }
  }
}

/// What a relying party asks of `get()` (WebAuthn section 5.1.9), read from JSON.
package struct PublicKeyCredentialRequestOptionsJSON: Equatable, Sendable {
  package var challenge: [UInt8]
  package var timeoutMilliseconds: UInt32?
  /// nil: the host of the origin.
  package var relyingPartyID: String?
  /// Empty: any discoverable credential of the RP ID.
  package var allowCredentials: [PublicKeyCredentialDescriptorJSON]
  package var userVerification: UserVerificationRequirement
  package var extensions = RequestExtensionsJSON()

  /// Reads the options, bare or as the member `publicKey` of an object, as servers often send them.
  ///
  /// - Throws: ``JSONInputError``
  package init(parsing bytes: [UInt8]) throws(JSONInputError) {
    let options = try JSONCursor(JSONValue.parse(bytes)).unwrapped()
    challenge = try options.required("challenge", "base64url text").bytes()
    timeoutMilliseconds = try options.timeout()
    relyingPartyID = try options.optional("rpId")?.string()
    allowCredentials = try options.descriptors("allowCredentials")
    userVerification =
      UserVerificationRequirement(rawValue: try options.optional("userVerification")?.string() ?? "") ?? .preferred
    if let member = try options.optional("extensions") {
      extensions = try RequestExtensionsJSON(member, allowed: allowCredentials.map(\.id))
    }
  }
}

package struct PublicKeyCredentialDescriptorJSON: Equatable, Sendable {
  package static let publicKeyType = "public-key"

  package let type: String
  package let id: [UInt8]

  package init(type: String = publicKeyType, id: [UInt8]) {
    self.type = type
    self.id = id
  }
}

package enum AuthenticatorAttachment: String, Sendable {
  case platform
  case crossPlatform = "cross-platform"
}

package enum ResidentKeyRequirement: String, Sendable {
  case discouraged
  case preferred
  case required
}

package enum UserVerificationRequirement: String, Sendable {
  case discouraged
  case preferred
  case required
}

package enum AttestationConveyancePreference: String, Sendable {
  case none
  case indirect
  case direct
  case enterprise
}

extension JSONCursor {
  fileprivate func unwrapped() throws(JSONInputError) -> JSONCursor {
    try optional("publicKey") ?? self
  }

  fileprivate func timeout() throws(JSONInputError) -> UInt32? {
    try optional("timeout").map { member throws(JSONInputError) in
      UInt32(try member.integer(in: 0...Int64(UInt32.max)))
    }
  }

  fileprivate func descriptors(_ name: String) throws(JSONInputError) -> [PublicKeyCredentialDescriptorJSON] {
    guard let list = try optional(name) else { return [] }
    var descriptors: [PublicKeyCredentialDescriptorJSON] = []
    for entry in try list.elements() {
      _ = try entry.optional("transports")?.strings()
      descriptors.append(
        PublicKeyCredentialDescriptorJSON(
          type: try entry.required("type", "\"public-key\"").string(),
          id: try entry.required("id", "base64url text").bytes(1...Int.max)))
    }
    return descriptors
  }

  fileprivate func authenticatorSelection() throws(JSONInputError)
    -> PublicKeyCredentialCreationOptionsJSON.AuthenticatorSelection
  {
    var selection = PublicKeyCredentialCreationOptionsJSON.AuthenticatorSelection()
    guard let member = try optional("authenticatorSelection") else { return selection }
    selection.attachment = AuthenticatorAttachment(
      rawValue: try member.optional("authenticatorAttachment")?.string() ?? "")
    let requiresResidentKey = try member.optional("requireResidentKey")?.boolean() ?? false
    // Section 5.4.4: an absent or unknown residentKey leaves the decision to the older member.
    selection.residentKey =
      ResidentKeyRequirement(rawValue: try member.optional("residentKey")?.string() ?? "")
      ?? (requiresResidentKey ? .required : .discouraged)
    selection.userVerification =
      UserVerificationRequirement(rawValue: try member.optional("userVerification")?.string() ?? "") ?? .preferred
    return selection
  }
}
