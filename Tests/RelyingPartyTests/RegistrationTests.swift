import CBOR
import Crypto
import RelyingParty
import TestSupport
import Testing
import WebAuthn

/// A registration of which each property can be broken alone; everything that depends on it stays right, signature
/// included.
struct Registration {
  var key = TestKey()
  var type = "webauthn.create"
  var challenge: [UInt8] = Array(1...32)
  var origin = "https://login.example.com"
  var crossOrigin = false
  var topOrigin: String?
  var clientData: [UInt8]?
  var relyingPartyID = "example.com"
  var flags: AuthenticatorDataFlags = [.up, .at]
  var counter: UInt32 = 7
  var aaguid = [UInt8](repeating: 0xa5, count: 16)
  var credentialID: [UInt8] = Array(100..<116)
  var authenticatorData: [UInt8]?
  var format = "packed"
  var statementAlgorithm: Int64?
  var spoilSignature = false
  var statement: CBORMap?
  /// Of the authenticator data and the hash of the client data.
  var makeStatement: (([UInt8], [UInt8]) -> CBORMap)?
  var policy = RelyingPartyPolicy()
  var attestationObject: [UInt8]?
  var spoilResponse: (inout RegistrationResponseJSON) -> Void = { _ in }

  var options = Registration.options()

  static func options(adding members: String = "", algorithms: [Int64] = [-7, -35, -257])
    -> PublicKeyCredentialCreationOptionsJSON
  {
    let parameters = algorithms.map { "{\"type\":\"public-key\",\"alg\":\($0)}" }.joined(separator: ",")
    let challenge = Base64URL.encode(Array(1...32))
    let source = """
      {"rp":{"id":"example.com","name":"R"},"user":{"id":"AQID","name":"n","displayName":"d"},
      "challenge":"\(challenge)","pubKeyCredParams":[\(parameters)],"attestation":"direct"\(members)}
      """
    guard let options = try? PublicKeyCredentialCreationOptionsJSON(parsing: [UInt8](source.utf8)) else {
      fatalError("the options of the test are not options")
    }
    return options
  }

  var response: RegistrationResponseJSON {
    let clientData =
      clientData
      ?? CollectedClientData(
        type: type, challenge: challenge, origin: origin, crossOrigin: crossOrigin, topOrigin: topOrigin
      ).serialized()
    let data =
      authenticatorData
      ?? AuthenticatorData(
        relyingPartyIDHash: SHA256.hash([UInt8](relyingPartyID.utf8)), flags: flags, signatureCounter: counter,
        attestedCredential: flags.contains(.at)
          ? AttestedCredential(aaguid: aaguid, credentialID: credentialID, publicKey: key.publicKey) : nil
      ).encoded()
    let signature = key.sign(data + SHA256.hash(spoilSignature ? [] : clientData))
    let packed: CBORMap = [
      "alg": .integer(statementAlgorithm ?? key.publicKey.algorithm.rawValue), "sig": .bytes(signature),
    ]
    let object =
      attestationObject
      ?? AttestationObject(
        format: format,
        statement: makeStatement?(data, SHA256.hash(clientData)) ?? statement ?? (format == "none" ? [:] : packed),
        authenticatorData: data
      ).encoded()
    var response = RegistrationResponseJSON(
      id: credentialID, clientDataJSON: clientData, attestationObject: object, authenticatorData: data,
      publicKey: key.publicKey.subjectPublicKeyInfo, publicKeyAlgorithm: key.publicKey.algorithm.rawValue,
      transports: ["internal"], authenticatorAttachment: "platform")
    spoilResponse(&response)
    return response
  }

  func verify() throws(VerificationError) -> CredentialRecord {
    try RegistrationVerifier.verify(
      response, of: options, origin: "https://login.example.com", relyingPartyID: "example.com", under: policy)
  }

  /// The error of this registration after one change.
  static func failure(_ change: (inout Registration) -> Void) -> VerificationError? {
    var registration = Registration()
    change(&registration)
    do {
      _ = try registration.verify()
      return nil
    } catch {
      return error
    }
  }
}

@Suite struct RegistrationTests {
  @Test(arguments: COSEAlgorithm.allCases)
  func acceptsPackedSelfAttestation(algorithm: COSEAlgorithm) throws {
    let registration = Registration(key: TestKey(algorithm))
    let record = try registration.verify()
    #expect(record.id == registration.credentialID)
    #expect(record.publicKey == registration.key.publicKey)
    #expect(record.relyingPartyID == "example.com")
    #expect(record.userHandle == [1, 2, 3])
    #expect(record.signCount == 7)
    #expect(record.aaguid == registration.aaguid)
    #expect(record.attestationFormat == "packed")
    #expect(record.attestationType == .self)
    #expect(!record.userVerified)
  }

  @Test func acceptsNone() throws {
    let record = try Registration(format: "none").verify()
    #expect(record.attestationType == .none)
  }

  @Test func acceptsResponsesWithoutConvenienceMembers() throws {
    _ = try Registration(spoilResponse: {
      $0.authenticatorData = nil
      $0.publicKey = nil
      $0.publicKeyAlgorithm = nil
    }).verify()
  }

  @Test func acceptsUserVerification() throws {
    let options = Registration.options(adding: #","authenticatorSelection":{"userVerification":"required"}"#)
    let record = try Registration(flags: [.up, .uv, .at], options: options).verify()
    #expect(record.userVerified && record.userVerificationInitialized)
  }

  @Test func refusesOtherClientData() {
    #expect(
      Registration.failure { $0.type = "webauthn.get" }
        == .type(expected: "webauthn.create", found: "webauthn.get"))
    #expect(Registration.failure { $0.challenge[31] ^= 1 } == .challenge)
    #expect(Registration.failure { $0.challenge = [] } == .challenge)
    #expect(
      Registration.failure { $0.origin = "https://login.example.com:8443" }
        == .origin(expected: "https://login.example.com", found: "https://login.example.com:8443"))
    #expect(Registration.failure { $0.crossOrigin = true } == .crossOrigin)
    #expect(Registration.failure { $0.topOrigin = "https://login.example.com" } == .crossOrigin)
    #expect(
      Registration.failure { $0.clientData = [UInt8]("{}".utf8) }
        == .clientData(JSONInputError(keyPath: "type", expected: "a string", found: "nothing")))
    for bytes: [UInt8] in [[], [0xff], Array("[]".utf8), Array("{".utf8)] {
      #expect {
        try Registration(clientData: bytes).verify()
      } throws: {
        if case VerificationError.clientData = $0 { true } else { false }
      }
    }
  }

  @Test func refusesOtherRelyingParties() {
    #expect(Registration.failure { $0.relyingPartyID = "login.example.com" } == .relyingPartyID("example.com"))
  }

  @Test func refusesWrongFlags() {
    #expect(Registration.failure { $0.flags = [.at] } == .userNotPresent)
    #expect(Registration.failure { $0.flags = [.up] } == .noAttestedCredential)
    #expect(Registration.failure { $0.flags = [.up, .at, .bs] } == .backupStateWithoutEligibility)
    #expect(Registration.failure { $0.flags = [.up, .at, .bs, .be] } == nil)
    let verified = Registration.options(adding: #","authenticatorSelection":{"userVerification":"required"}"#)
    #expect(Registration.failure { $0.options = verified } == .userNotVerified)
  }

  @Test func refusesAlgorithmsNotAskedFor() {
    #expect(
      Registration.failure { $0.options = Registration.options(algorithms: [-257, -8]) } == .algorithmNotRequested(-7))
  }

  @Test func refusesWrongStatements() {
    func flaw(_ section: String, _ requirement: StatementFlaw.Requirement) -> VerificationError {
      .attestationStatement(StatementFlaw(section, requirement))
    }
    let members = flaw("8.2", .members("alg and sig, or alg, sig and x5c"))
    #expect(Registration.failure { $0.spoilSignature = true } == flaw("8.2", .signature))
    #expect(Registration.failure { $0.statementAlgorithm = -35 } == flaw("8.2", .algorithm(-35)))
    #expect(Registration.failure { $0.statement = ["alg": -7] } == members)
    #expect(Registration.failure { $0.statement = ["alg": -7, "sig": "x"] } == members)
    #expect(Registration.failure { $0.statement = ["alg": -7, "sig": .bytes([]), "ver": "2.0"] } == members)
    for format in ["android-key", "apple", "Packed", "compound", ""] {
      #expect(Registration.failure { $0.format = format } == .attestationFormat(format))
    }
    #expect(
      Registration.failure {
        $0.format = "none"
        $0.statement = ["sig": .bytes([1])]
      } == flaw("8.7", .members("nothing")))
  }

  @Test func asksForTheAttestationOfThePolicy() {
    let anchors = RelyingPartyPolicy(
      attestation: AttestationPolicy(anchors: [TestAuthority().certificate], time: TestAuthority.now))
    #expect(Registration.failure { $0.policy = anchors } == .attestationTrust(.kind(.packedSelf)))
    #expect(
      Registration.failure {
        $0.policy = anchors
        $0.format = "none"
      } == .attestationTrust(.kind(.none)))
    var policy = RelyingPartyPolicy(attestation: AttestationPolicy(anchors: [], kinds: [.none], time: 0))
    #expect(Registration.failure { $0.policy = policy } == .attestationTrust(.kind(.packedSelf)))
    policy.attestation = AttestationPolicy(anchors: [], aaguids: [[UInt8](repeating: 1, count: 16)], time: 0)
    #expect(
      Registration.failure { $0.policy = policy }
        == .attestationTrust(.aaguid([UInt8](repeating: 0xa5, count: 16))))
    policy.attestation.aaguids.insert([UInt8](repeating: 0xa5, count: 16))
    #expect(Registration.failure { $0.policy = policy } == nil)
  }

  @Test func refusesShortChallenges() throws {
    var options = Registration.options()
    options.challenge = Array(1...15)
    #expect(
      Registration.failure {
        $0.options = options
        $0.challenge = options.challenge
      } == .challengeTooShort(15))
  }

  @Test func acceptsTheOriginsOfThePolicy() {
    func failure(_ policy: RelyingPartyPolicy, _ change: (inout Registration) -> Void) -> VerificationError? {
      Registration.failure {
        $0.policy = policy
        change(&$0)
      }
    }
    let others = RelyingPartyPolicy(otherOrigins: ["https://sub.example.com"])
    #expect(failure(others) { $0.origin = "https://sub.example.com" } == nil)
    #expect(
      failure(others) { $0.origin = "https://sub.example.com:1" }
        == .origin(expected: "https://login.example.com", found: "https://sub.example.com:1"))
    let framed = RelyingPartyPolicy(topOrigins: ["https://example.net"])
    #expect(failure(framed) { _ in } == nil)
    #expect(failure(framed) { $0.crossOrigin = true } == nil)
    #expect(
      failure(framed) {
        $0.crossOrigin = true
        $0.topOrigin = "https://example.net"
      } == nil)
    #expect(
      failure(framed) {
        $0.crossOrigin = true
        $0.topOrigin = "https://example.org"
      } == .topOrigin("https://example.org"))
    // A top origin contradicts crossOrigin false.
    #expect(failure(framed) { $0.topOrigin = "https://example.net" } == .topOrigin("https://example.net"))
    let bound = RelyingPartyPolicy(requiresDeviceBound: true)
    #expect(failure(bound) { _ in } == nil)
    #expect(failure(bound) { $0.flags = [.up, .at, .be] } == .notDeviceBound)
  }

  @Test func refusesMalformedObjects() {
    for object: [UInt8] in [[], [0xa0], [0xff], [0x01]] {
      #expect {
        try Registration(attestationObject: object).verify()
      } throws: {
        if case VerificationError.attestationObject = $0 { true } else { false }
      }
    }
    #expect {
      try Registration(authenticatorData: [1, 2, 3]).verify()
    } throws: {
      if case VerificationError.authenticatorData = $0 { true } else { false }
    }
  }

  @Test func refusesCredentialIDs() {
    #expect(
      Registration.failure { $0.credentialID = [UInt8](repeating: 1, count: 1024) } == .credentialIDTooLong(1024))
    #expect(Registration.failure { $0.credentialID = [UInt8](repeating: 1, count: 1023) } == nil)
    let id = Base64URL.encode(Registration().credentialID)
    let options = Registration.options(adding: ",\"excludeCredentials\":[{\"type\":\"public-key\",\"id\":\"\(id)\"}]")
    #expect(Registration.failure { $0.options = options } == .credentialExcluded)
  }

  @Test func refusesContradictions() {
    #expect(Registration.failure { $0.spoilResponse = { $0.id = [1] } } == .contradiction("id"))
    #expect(
      Registration.failure { $0.spoilResponse = { $0.authenticatorData?[0] ^= 1 } }
        == .contradiction("response.authenticatorData"))
    #expect(
      Registration.failure { $0.spoilResponse = { $0.publicKey?[40] ^= 1 } } == .contradiction("response.publicKey"))
    #expect(
      Registration.failure { $0.spoilResponse = { $0.publicKeyAlgorithm = -35 } }
        == .contradiction("response.publicKeyAlgorithm"))
  }

  @Test func survivesEveryFlippedBit() {
    // The signature covers everything but itself; nothing flipped may be accepted or trap.
    let good = Registration().response
    for index in good.attestationObject.indices {
      var response = good
      response.attestationObject[index] ^= 0x01
      #expect(throws: VerificationError.self) {
        try RegistrationVerifier.verify(
          response, of: Registration.options(), origin: "https://login.example.com", relyingPartyID: "example.com")
      }
    }
  }
}
