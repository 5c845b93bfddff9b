import CBOR
import Crypto
import RelyingParty
import TestSupport
import Testing
import WebAuthn

/// An assertion of which each property can be broken alone; the signature stays right.
struct Assertion {
  var key: TestKey
  var record: CredentialRecord
  var type = "webauthn.get"
  var challenge: [UInt8] = Array(1...32)
  var origin = "https://login.example.com"
  var crossOrigin = false
  var topOrigin: String?
  var clientData: [UInt8]?
  var expectedChallenge: [UInt8] = Array(1...32)
  var policy = RelyingPartyPolicy()
  var relyingPartyID = "example.com"
  var flags: AuthenticatorDataFlags = [.up]
  var counter: UInt32 = 8
  var userHandle: [UInt8]? = [1, 2, 3]
  var spoilResponse: (inout AuthenticationResponseJSON) -> Void = { _ in }
  var allowCredentials: [[UInt8]] = []
  var userVerification = UserVerificationRequirement.preferred
  var expectedRelyingPartyID = "example.com"

  init(_ algorithm: COSEAlgorithm = .es256) throws {
    let registration = Registration(key: TestKey(algorithm))
    key = registration.key
    record = try registration.verify()
  }

  func verify() throws -> CredentialRecord {
    let clientData =
      clientData
      ?? CollectedClientData(
        type: type, challenge: challenge, origin: origin, crossOrigin: crossOrigin, topOrigin: topOrigin
      ).serialized()
    let data = AuthenticatorData(
      relyingPartyIDHash: SHA256.hash([UInt8](relyingPartyID.utf8)), flags: flags, signatureCounter: counter
    ).encoded()
    var response = AuthenticationResponseJSON(
      id: record.id, clientDataJSON: clientData, authenticatorData: data,
      signature: key.sign(data + SHA256.hash(clientData)), userHandle: userHandle, authenticatorAttachment: "platform")
    spoilResponse(&response)
    var options = try PublicKeyCredentialRequestOptionsJSON(
      parsing: [UInt8]("{\"challenge\":\"\(Base64URL.encode(expectedChallenge))\",\"rpId\":\"example.com\"}".utf8))
    options.allowCredentials = allowCredentials.map { .init(id: $0) }
    options.userVerification = userVerification
    return try AssertionVerifier.verify(
      response, of: options, by: record, origin: "https://login.example.com", relyingPartyID: expectedRelyingPartyID,
      under: policy)
  }

  static func failure(_ change: (inout Assertion) -> Void) -> VerificationError? {
    do {
      var assertion = try Assertion()
      change(&assertion)
      _ = try assertion.verify()
      return nil
    } catch {
      return error as? VerificationError
    }
  }
}

@Suite struct AssertionTests {
  @Test(arguments: COSEAlgorithm.allCases)
  func acceptsAndUpdates(algorithm: COSEAlgorithm) throws {
    var assertion = try Assertion(algorithm)
    assertion.flags = [.up, .uv]
    var expected = assertion.record
    expected.signCount = 8
    expected.userVerified = true
    expected.userVerificationInitialized = true
    #expect(try assertion.verify() == expected)
  }

  @Test func refusesOtherClientData() {
    #expect(
      Assertion.failure { $0.type = "webauthn.create" }
        == .type(expected: "webauthn.get", found: "webauthn.create"))
    #expect(Assertion.failure { $0.challenge = [1] } == .challenge)
    #expect(
      Assertion.failure { $0.origin = "http://login.example.com" }
        == .origin(expected: "https://login.example.com", found: "http://login.example.com"))
    #expect(Assertion.failure { $0.crossOrigin = true } == .crossOrigin)
    #expect(Assertion.failure { $0.topOrigin = "https://login.example.com" } == .crossOrigin)
    #expect(
      Assertion.failure { $0.clientData = [UInt8]("{}".utf8) }
        == .clientData(JSONInputError(keyPath: "type", expected: "a string", found: "nothing")))
    for bytes: [UInt8] in [[], [0xff], Array("[]".utf8), Array("{".utf8)] {
      #expect {
        var assertion = try Assertion()
        assertion.clientData = bytes
        _ = try assertion.verify()
      } throws: {
        if case VerificationError.clientData = $0 { true } else { false }
      }
    }
  }

  /// Section 7.2 steps 13 and 14, under a policy that knows frames and other origins.
  @Test func acceptsTheOriginsOfThePolicy() {
    func failure(_ policy: RelyingPartyPolicy, _ change: (inout Assertion) -> Void) -> VerificationError? {
      Assertion.failure {
        $0.policy = policy
        change(&$0)
      }
    }
    let others = RelyingPartyPolicy(otherOrigins: ["https://sub.example.com"])
    #expect(failure(others) { $0.origin = "https://sub.example.com" } == nil)
    let framed = RelyingPartyPolicy(topOrigins: ["https://example.net"])
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
    let bound = RelyingPartyPolicy(requiresDeviceBound: true)
    #expect(failure(bound) { _ in } == nil)
    #expect(
      failure(bound) {
        $0.flags = [.up, .be]
        $0.record.backupEligible = true
      } == .notDeviceBound)
  }

  /// Section 13.4.3.
  @Test func refusesShortChallenges() {
    #expect(
      Assertion.failure {
        $0.challenge = Array(1...15)
        $0.expectedChallenge = Array(1...15)
      } == .challengeTooShort(15))
  }

  @Test func refusesOtherRelyingParties() {
    #expect(Assertion.failure { $0.relyingPartyID = "example.org" } == .relyingPartyID("example.com"))
    #expect(Assertion.failure { $0.expectedRelyingPartyID = "example.org" } == .otherRelyingParty("example.com"))
  }

  @Test func refusesWrongFlags() {
    #expect(Assertion.failure { $0.flags = [] } == .userNotPresent)
    #expect(Assertion.failure { $0.userVerification = .required } == .userNotVerified)
    #expect(Assertion.failure { $0.flags = [.up, .bs] } == .backupStateWithoutEligibility)
    #expect(Assertion.failure { $0.flags = [.up, .be] } == .backupEligibilityChanged)
  }

  @Test func refusesOtherCredentials() {
    #expect(Assertion.failure { $0.allowCredentials = [[9]] } == .credentialNotAllowed)
    #expect(Assertion.failure { $0.spoilResponse = { $0.id = [9] } } == .otherCredential)
    #expect(Assertion.failure { $0.allowCredentials = [[9], $0.record.id] } == nil)
  }

  @Test func refusesOtherUsers() {
    #expect(Assertion.failure { $0.userHandle = nil } == .userHandleMissing)
    #expect(Assertion.failure { $0.userHandle = [3, 2, 1] } == .otherUserHandle)
    #expect(
      Assertion.failure {
        $0.allowCredentials = [$0.record.id]
        $0.userHandle = nil
      } == nil)
  }

  @Test func refusesWrongSignatures() {
    #expect(Assertion.failure { $0.spoilResponse = { $0.signature[20] ^= 1 } } == .signature)
    #expect(Assertion.failure { $0.spoilResponse = { $0.signature = [] } } == .signature)
    #expect(Assertion.failure { $0.key = TestKey() } == .signature)
    #expect(Assertion.failure { $0.spoilResponse = { $0.authenticatorData[36] ^= 1 } } == .signature)
  }

  @Test func refusesCountersThatDoNotRise() {
    #expect(Assertion.failure { $0.counter = 7 } == .signatureCounter(stored: 7, received: 7))
    #expect(Assertion.failure { $0.counter = 6 } == .signatureCounter(stored: 7, received: 6))
    #expect(Assertion.failure { $0.counter = 0 } == .signatureCounter(stored: 7, received: 0))
    #expect(
      Assertion.failure {
        $0.counter = 0
        $0.record.signCount = 0
      } == nil)
  }

  @Test func refusesMalformedAuthenticatorData() {
    #expect {
      var assertion = try Assertion()
      assertion.spoilResponse = { $0.authenticatorData.removeLast() }
      _ = try assertion.verify()
    } throws: {
      if case VerificationError.authenticatorData = $0 { true } else { false }
    }
  }
}

@Suite struct CredentialRecordTests {
  @Test(arguments: COSEAlgorithm.allCases)
  func readsWhatItWrites(algorithm: COSEAlgorithm) throws {
    let record = try Assertion(algorithm).record
    #expect(try CredentialRecord(parsing: record.json.serialized()) == record)
  }

  @Test(arguments: [
    ("\"signCount\":7", "\"signCount\":-1", "signCount: expected an integer from 0 to 4294967295, found -1"),
    ("\"rpId\":\"example.com\"", "\"x\":1", "rpId: expected a string, found nothing"),
    ("a5a5a5a5-a5a5", "a5a5a5a5a5a5", "aaguid: expected a UUID, found a string"),
    ("\"publicKey\":\"", "\"publicKey\":\"A", "publicKey: expected base64url text of a COSE_Key, found something else"),
    ("\"userVerified\":false", "\"userVerified\":0", "flags.userVerified: expected true or false, found a number"),
  ])
  func refusesOthers(old: String, new: String, complaint: String) throws {
    var text = String(decoding: try Assertion().record.json.serialized(), as: UTF8.self)
    text.replaceSubrange(try #require(text.firstRange(of: old)), with: new)
    #expect {
      try CredentialRecord(parsing: [UInt8](text.utf8))
    } throws: {
      "\($0)" == complaint
    }
  }
}
