import Testing
import WebAuthn

@Suite struct CreationOptionsTests {
  static let minimal =
    #"{"rp":{"name":"R"},"user":{"id":"AQ","name":"n","displayName":"d"},"challenge":"AAAA","pubKeyCredParams":[]}"#

  static func options(adding members: String) throws -> PublicKeyCredentialCreationOptionsJSON {
    try PublicKeyCredentialCreationOptionsJSON(parsing: bytes(minimal.dropLast() + "," + members + "}"))
  }

  @Test func readsTheLeast() throws {
    let options = try PublicKeyCredentialCreationOptionsJSON(parsing: bytes(Self.minimal))
    #expect(options.relyingPartyID == nil)
    #expect(options.userHandle == [1])
    #expect(options.algorithms == [-7, -257])
    #expect(options.selection == .init())
    #expect(options.selection.userVerification == .preferred)
    #expect(options.attestation == .none)
    #expect(!options.extensions.wantsProperties)
  }

  @Test func readsTheMost() throws {
    let source = """
      {"publicKey": {
        "rp": {"id": "example.com", "name": "R", "icon": "x"},
        "user": {"id": "AQID", "name": "n", "displayName": "d"},
        "challenge": "AAAA", "timeout": 6e4,
        "pubKeyCredParams": [{"type": "public-key", "alg": -8}, {"type": "other", "alg": -7}],
        "excludeCredentials": [{"type": "public-key", "id": "AAEC", "transports": ["usb"]}],
        "authenticatorSelection": {"authenticatorAttachment": "platform", "residentKey": "required",
          "requireResidentKey": true, "userVerification": "discouraged"},
        "attestation": "direct", "attestationFormats": ["packed"], "hints": [], "extensions": {"credProps": true}
      }}
      """
    let options = try PublicKeyCredentialCreationOptionsJSON(parsing: bytes(source))
    #expect(options.relyingPartyID == "example.com")
    #expect(options.timeoutMilliseconds == 60000)
    #expect(options.algorithms == [-8])
    #expect(options.excludeCredentials == [.init(id: [0, 1, 2])])
    #expect(options.selection == .init(attachment: .platform, residentKey: .required, userVerification: .discouraged))
    #expect(options.attestation == .direct)
    #expect(options.attestationFormats == ["packed"])
    #expect(options.extensions.wantsProperties)
  }

  @Test(arguments: [
    (#"{}"#, ResidentKeyRequirement.discouraged), (#"{"requireResidentKey":true}"#, .required),
    (#"{"requireResidentKey":true,"residentKey":"preferred"}"#, .preferred),
    (#"{"requireResidentKey":true,"residentKey":"new"}"#, .required), (#"{"residentKey":"required"}"#, .required),
    (#"{"residentKey":null,"requireResidentKey":null}"#, .discouraged),
  ])
  func readsResidentKey(selection: String, requirement: ResidentKeyRequirement) throws {
    let options = try Self.options(adding: #""authenticatorSelection":"# + selection)
    #expect(options.selection.residentKey == requirement)
  }

  @Test func ignoresUnknownValues() throws {
    let options = try Self.options(
      adding:
        #""attestation":"new","authenticatorSelection":{"userVerification":"new","authenticatorAttachment":"new"}"#)
    #expect(options.attestation == .none)
    #expect(options.selection.userVerification == .preferred)
    #expect(options.selection.attachment == nil)
  }

  @Test(arguments: [
    (#""timeout":0.5"#, "timeout: expected an integer from 0 to 4294967295, found 0.5"),
    (#""timeout":-1"#, "timeout: expected an integer from 0 to 4294967295, found -1"),
    (#""timeout":"1""#, "timeout: expected an integer from 0 to 4294967295, found a string"),
    (#""excludeCredentials":{}"#, "excludeCredentials: expected an array, found an object"),
    (
      #""excludeCredentials":[{"type":"public-key","id":"AA"},{"id":"AA"}]"#,
      "excludeCredentials[1].type: expected \"public-key\", found nothing"
    ),
    (
      #""excludeCredentials":[{"type":"public-key","id":"A"}]"#,
      "excludeCredentials[0].id: expected base64url text without padding, found a string that is not base64url"
    ),
    (
      #""authenticatorSelection":{"requireResidentKey":"yes"}"#,
      "authenticatorSelection.requireResidentKey: expected true or false, found a string"
    ),
    (#""attestation":1"#, "attestation: expected a string, found a number"),
    (#""extensions":[]"#, "extensions: expected an object, found an array"),
    (#""extensions":{"credProps":1}"#, "extensions.credProps: expected true or false, found a number"),
  ])
  func namesTheKeyPath(members: String, complaint: String) {
    #expect {
      try Self.options(adding: members)
    } throws: {
      "\($0)" == complaint
    }
  }

  @Test(arguments: [
    (#""rp":{"name":"R"}"#, #""x":0"#, "rp: expected an object with the relying party's id and name, found nothing"),
    (#""rp":{"name":"R"}"#, #""rp":{}"#, "rp.name: expected a string, found nothing"),
    (#""rp":{"name":"R"}"#, #""rp":{"name":"R","id":1}"#, "rp.id: expected a string, found a number"),
    (#""id":"AQ""#, #""id":"""#, "user.id: expected base64url text without padding, of 1 to 64 bytes, found 0 bytes"),
    (
      #""id":"AQ""#, #""id":"AQ==""#,
      "user.id: expected base64url text without padding, of 1 to 64 bytes, found a string that is not base64url"
    ),
    (#""displayName":"d""#, #""x":0"#, "user.displayName: expected a string, found nothing"),
    (#""challenge":"AAAA""#, #""challenge":null"#, "challenge: expected base64url text, found nothing"),
    (
      #""pubKeyCredParams":[]"#, #""pubKeyCredParams":[{"alg":-7}]"#,
      "pubKeyCredParams[0].type: expected a string, found nothing"
    ),
    (
      #""pubKeyCredParams":[]"#, #""pubKeyCredParams":[{"type":"public-key","alg":"ES256"}]"#,
      "pubKeyCredParams[0].alg: expected an integer from -2147483648 to 2147483647, found a string"
    ),
  ])
  func demandsWhatIsRequired(old: String, new: String, complaint: String) throws {
    let position = try #require(Self.minimal.firstRange(of: old))
    let source = Self.minimal.replacingCharacters(in: position, with: new)
    #expect {
      try PublicKeyCredentialCreationOptionsJSON(parsing: bytes(source))
    } throws: {
      "\($0)" == complaint
    }
    let wrapped = "{\"publicKey\":" + source + "}"
    #expect {
      try PublicKeyCredentialCreationOptionsJSON(parsing: bytes(wrapped))
    } throws: {
      "\($0)" == "publicKey." + complaint
    }
  }

  @Test func refusesLongUserHandles() {
    let source = Self.minimal.replacingOccurrence(
      of: "\"AQ\"", with: "\"" + Base64URL.encode(.init(repeating: 1, count: 65)) + "\"")
    #expect(throws: JSONInputError.self) { try PublicKeyCredentialCreationOptionsJSON(parsing: bytes(source)) }
  }
}

extension String {
  func replacingCharacters(in range: Range<Index>, with other: String) -> String {
    var copy = self
    copy.replaceSubrange(range, with: other)
    return copy
  }

  func replacingOccurrence(of old: String, with new: String) -> String {
    firstRange(of: old).map { replacingCharacters(in: $0, with: new) } ?? self
  }
}

@Suite struct RequestOptionsTests {
  @Test func readsTheLeast() throws {
    let options = try PublicKeyCredentialRequestOptionsJSON(parsing: bytes(#"{"challenge":"AAAA"}"#))
    #expect(options.challenge == [0, 0, 0])
    #expect(options.relyingPartyID == nil)
    #expect(options.allowCredentials == [])
    #expect(options.userVerification == .preferred)
  }

  @Test func readsTheMost() throws {
    let source = #"""
      {"publicKey":{"challenge":"AAAA","rpId":"example.com","timeout":1,"userVerification":"required",
      "allowCredentials":[{"type":"public-key","id":"AAEC","transports":["internal"]}],"extensions":{}}}
      """#
    let options = try PublicKeyCredentialRequestOptionsJSON(parsing: bytes(source))
    #expect(options.relyingPartyID == "example.com")
    #expect(options.timeoutMilliseconds == 1)
    #expect(options.userVerification == .required)
    #expect(options.allowCredentials == [.init(id: [0, 1, 2])])
  }

  @Test(arguments: [
    ("{}", "challenge: expected base64url text, found nothing"),
    (#"{"challenge":"AA","rpId":[]}"#, "rpId: expected a string, found an array"),
    (
      #"{"publicKey":{"challenge":"AA","allowCredentials":[7]}}"#,
      "publicKey.allowCredentials[0]: expected an object, found a number"
    ),
    (
      #"{"challenge":"AA","allowCredentials":[{"type":"public-key","id":""}]}"#,
      "allowCredentials[0].id: expected base64url text without padding, found 0 bytes"
    ),
    (
      #"{"challenge":"AA","allowCredentials":[{"type":"public-key","id":"AA","transports":"usb"}]}"#,
      "allowCredentials[0].transports: expected an array, found a string"
    ),
  ])
  func namesTheKeyPath(source: String, complaint: String) {
    #expect {
      try PublicKeyCredentialRequestOptionsJSON(parsing: bytes(source))
    } throws: {
      "\($0)" == complaint
    }
  }
}

@Suite struct ResponseTests {
  static let registration = RegistrationResponseJSON(
    id: [1], clientDataJSON: [2], attestationObject: [3], authenticatorData: [4], publicKey: [5],
    publicKeyAlgorithm: -7,
    transports: ["usb", "internal"], authenticatorAttachment: "platform",
    clientExtensionResults: ["credProps": .object(["rk": true])])
  static let registrationText =
    #"{"authenticatorAttachment":"platform","clientExtensionResults":{"credProps":{"rk":true}},"id":"AQ","rawId":"AQ","#
    + #""response":{"attestationObject":"Aw","authenticatorData":"BA","clientDataJSON":"Ag","publicKey":"BQ","#
    + #""publicKeyAlgorithm":-7,"transports":["internal","usb"]},"type":"public-key"}"#

  @Test func writesRegistrationsLikeABrowser() throws {
    #expect(text(Self.registration.json.serialized()) == Self.registrationText)
    var sorted = Self.registration
    sorted.transports.sort()
    #expect(try RegistrationResponseJSON(parsing: bytes(Self.registrationText)) == sorted)
  }

  @Test func writesAssertionsLikeABrowser() throws {
    var response = AuthenticationResponseJSON(
      id: [1], clientDataJSON: [2], authenticatorData: [3], signature: [4], userHandle: [5],
      authenticatorAttachment: "platform")
    let source =
      #"{"authenticatorAttachment":"platform","clientExtensionResults":{},"id":"AQ","rawId":"AQ","response":"#
      + #"{"authenticatorData":"Aw","clientDataJSON":"Ag","signature":"BA","userHandle":"BQ"},"type":"public-key"}"#
    #expect(text(response.json.serialized()) == source)
    #expect(try AuthenticationResponseJSON(parsing: bytes(source)) == response)
    response.userHandle = nil
    #expect(text(response.json.serialized()) == source.replacingOccurrence(of: #","userHandle":"BQ""#, with: ""))
  }

  @Test(arguments: [
    (#""rawId":"AQ""#, #""rawId":"Ag""#, "rawId: expected the same bytes as in id, found other bytes"),
    (#""type":"public-key""#, #""type":"x""#, "type: expected \"public-key\", found another type"),
    (#""clientDataJSON":"Ag""#, #""x":1"#, "response.clientDataJSON: expected base64url text, found nothing"),
    (
      #""attestationObject":"Aw""#, #""attestationObject":{}"#,
      "response.attestationObject: expected base64url text without padding, found an object"
    ),
  ])
  func refusesRegistrations(old: String, new: String, complaint: String) {
    #expect {
      try RegistrationResponseJSON(parsing: bytes(Self.registrationText.replacingOccurrence(of: old, with: new)))
    } throws: {
      "\($0)" == complaint
    }
  }
}
