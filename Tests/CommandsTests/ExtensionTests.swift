import CBOR
import CTAP
import Commands
import Crypto
import Platform
import Testing
import TestSupport
import WebAuthn

/// WebAuthn's extensions, from JSON to JSON.
@Suite struct ExtensionTests {
  static let id = [UInt8](repeating: 2, count: 16)
  let daemon = FakeAuthenticator()

  init() {
    daemon.info.extensions = [
      "credBlob", "credProtect", "hmac-secret", "hmac-secret-mc", "largeBlobKey", "minPinLength",
    ]
    daemon.info.options["uv"] = true
    daemon.info.options["largeBlobs"] = true
    daemon.info.options["makeCredUvNotRqd"] = true
    daemon.info.pinUvAuthProtocols = [2, 1]
    daemon.info.maxCredBlobLength = 64
    for number in UInt8(1)...2 {
      daemon.accounts.append(
        .init(
          id: [UInt8](repeating: number, count: 16), relyingPartyID: "example.com", user: UserEntity(id: [number]),
          isDiscoverable: true, key: TestKey()))
    }
  }

  func register(_ extensions: String, residentKey: String = "required") -> (ExitCode, Transcript) {
    let transcript = Transcript(
      daemon: daemon,
      input: creationOptions(
        ",\"authenticatorSelection\":{\"residentKey\":\"\(residentKey)\"},\"extensions\":{\(extensions)}"))
    return (transcript.run("register"), transcript)
  }

  func authenticate(_ extensions: String, allowing ids: [[UInt8]] = [], _ line: String = "") -> (ExitCode, Transcript) {
    let transcript = Transcript(
      daemon: daemon,
      input: "{\"challenge\":\"AAAA\",\"rpId\":\"example.com\",\"extensions\":{\(extensions)}"
        + AuthenticateTests.allow(ids) + "}")
    transcript.files["pin"] = [UInt8]("1234".utf8)
    return (transcript.run("authenticate" + line), transcript)
  }

  /// clientExtensionResults as they were printed.
  func results(_ run: (ExitCode, Transcript)) -> String {
    #expect(run.0 == .done, "\(run.1.errorText)")
    let text = run.1.outputText
    guard let start = text.firstRange(of: "\"clientExtensionResults\":"), let end = text.firstRange(of: ",\"id\":")
    else { return "" }
    return String(text[start.upperBound..<end.lowerBound])
  }

  /// What the function of an account gives for an input.
  func evaluated(_ input: String, account: Int) throws -> String {
    let salt = SHA256.hash([UInt8]("WebAuthn PRF".utf8) + [0] + (Base64URL.decode(input) ?? []))
    let key = try secret(FakeAuthenticator.random(daemon.accounts[account], isVerified: true))
    return Base64URL.encode(HMACSHA256.authenticate(salt, key: key))
  }

  var creation: CreationExtensions? {
    guard case .makeCredential(let request)? = daemon.ceremonies.last else { return nil }
    return try? CreationExtensions(request.extensions)
  }

  // MARK: prf

  @Test(arguments: [[2, 1], [1]] as [[UInt64]])
  func evaluatesTheFunction(protocols: [UInt64]) throws {
    daemon.info.pinUvAuthProtocols = protocols
    #expect(
      results(authenticate(#""prf":{"eval":{"first":"AAEC","second":""}}"#)) == #"{"prf":{"results":{"first":""#
        + (try evaluated("AAEC", account: 1)) + #"","second":""# + (try evaluated("", account: 1)) + #""}}}"#)
    let chosen = authenticate(#""prf":{"eval":{"first":"AQ"}}"#, allowing: [], " --user-handle AQ")
    #expect(results(chosen).hasPrefix(#"{"prf":{"#))
  }

  @Test func evaluatesByCredential() throws {
    let one = Base64URL.encode([UInt8](repeating: 1, count: 16))
    let input = #""prf":{"evalByCredential":{""# + one + #"":{"first":"Ag"}},"eval":{"first":"Aw"}}"#
    let ids = daemon.accounts.map(\.id)
    // The other one of the two is what the authenticator takes, and for that one there is eval only.
    #expect(
      results(authenticate(input, allowing: ids))
        == #"{"prf":{"results":{"first":""# + (try evaluated("Aw", account: 1)) + #""}}}"#)
    daemon.accounts.removeLast()
    #expect(
      results(authenticate(input, allowing: ids))
        == #"{"prf":{"results":{"first":""# + (try evaluated("Ag", account: 0)) + #""}}}"#)
  }

  @Test func evaluatesForVerifiedUsersOnly() throws {
    daemon.info.options["uv"] = false
    let input = #""prf":{"eval":{"first":"AAEC"}}"#
    let (status, transcript) = authenticate(input)
    #expect(status == .failure)
    #expect(transcript.errorText.contains("the extension prf cannot be had here: it needs a verified user"))
    daemon.set(pin: "1234")
    #expect(authenticate(input).0 == .refusedByPolicy)
    #expect(results(authenticate(input, allowing: [], " --pin-file pin")).contains(try evaluated("AAEC", account: 1)))
  }

  @Test func enablesTheFunction() throws {
    #expect(results(register(#""prf":{}"#)) == #"{"prf":{"enabled":true}}"#)
    #expect(creation?.hmacSecret == true)
    #expect(creation?.hmacSecretMC == nil)
    #expect(
      results(register(#""prf":{"eval":{"first":"AAEC"}}"#)) == #"{"prf":{"enabled":true,"results":{"first":""#
        + (try evaluated("AAEC", account: 3)) + #""}}}"#)
    // Without a verified user it is not the right function.
    daemon.info.options["uv"] = false
    #expect(
      results(register(#""prf":{"eval":{"first":"AAEC"}}"#, residentKey: "discouraged"))
        == #"{"prf":{"enabled":true}}"#)
    daemon.info.extensions = []
    #expect(results(register(#""prf":{"eval":{"first":"AAEC"}}"#)) == #"{"prf":{"enabled":false}}"#)
    #expect(results(authenticate(#""prf":{"eval":{"first":"AAEC"}}"#)) == #"{"prf":{}}"#)
  }

  // MARK: largeBlob

  /// What python-fido2 wrote for account 2, after an entry of somebody else's.
  static let stored = [UInt8](
    hex: """
      82a3015821a305fc1f4d37c05096309fccb356f10a54a678d5aad73b244893eaa04e55cdff1b024c000102030405060708090a0b030f\
      a3015826aba25c9d35fdeb243f86f3353d253fe2ca024c087c7efca431a72e5f78a8b9216522e0575c33024c00010203040506070809\
      0a0b0319012ce92fbf4ad78847b4f530473ce21062b1
      """)

  @Test func readsLargeBlobs() {
    #expect(results(authenticate(#""largeBlob":{"read":true}"#)) == #"{"largeBlob":{}}"#)
    daemon.largeBlobs = Self.stored
    let expected =
      #"{"largeBlob":{"blob":""#
      + Base64URL.encode([UInt8](String(repeating: "a certificate, ", count: 20).utf8)) + #""}}"#
    #expect(results(authenticate(#""largeBlob":{"read":true}"#)) == expected)
    // In fragments of one byte, of 64, and exactly one.
    for size in [65, 128, 64 + Self.stored.count] {
      daemon.info.maxMessageSize = size
      #expect(results(authenticate(#""largeBlob":{"read":true}"#)) == expected)
    }
    daemon.largeBlobs[3] ^= 1
    #expect(results(authenticate(#""largeBlob":{"read":true}"#)) == #"{"largeBlob":{}}"#)
  }

  static func write(_ bytes: [UInt8]) -> String { "\"largeBlob\":{\"write\":\"\(Base64URL.encode(bytes))\"}" }

  @Test func writesLargeBlobs() {
    daemon.largeBlobs = Self.stored
    daemon.info.maxMessageSize = 100
    daemon.info.maxSerializedLargeBlobArray = 4096
    for blob in [[], [7], [UInt8](repeating: 7, count: 100_000)] as [[UInt8]] {
      #expect(results(authenticate(Self.write(blob), allowing: [Self.id])) == #"{"largeBlob":{"written":true}}"#)
      #expect(
        results(authenticate(#""largeBlob":{"read":true}"#))
          == #"{"largeBlob":{"blob":""# + Base64URL.encode(blob) + #""}}"#)
      // The entry of somebody else is there as it was.
      #expect(daemon.largeBlobs.dropFirst().starts(with: Self.stored[1..<54]))
      #expect(daemon.largeBlobs[0] == 0x82)
    }
  }

  @Test func writesLargeBlobsByPIN() {
    daemon.info.options["uv"] = false
    daemon.set(pin: "1234")
    #expect(
      results(authenticate(Self.write([1]), allowing: [Self.id], " --pin-file pin"))
        == #"{"largeBlob":{"written":true}}"#)
    #expect(daemon.pin.tokenRequest?.permissions == 0x12)
    // In several fragments, each of which is authenticated with its place.
    daemon.info.maxMessageSize = 164
    let long = SeededRandom(seed: 7).bytes(600)
    #expect(
      results(authenticate(Self.write(long), allowing: [Self.id], " --pin-file pin"))
        == #"{"largeBlob":{"written":true}}"#)
    #expect(daemon.largeBlobs.count > 600)
    let (status, transcript) = authenticate(Self.write([1]), allowing: [Self.id])
    #expect(status == .done)
    #expect(transcript.outputText.contains(#"{"largeBlob":{"written":false}}"#))
    #expect(
      transcript.errorText.hasPrefix("countersign: large blob not written: the authenticator asks for a verified"))
  }

  @Test func saysThatALargeBlobIsNotWritten() {
    daemon.writesLargeBlobs = false
    let denied = authenticate(Self.write([1]), allowing: [Self.id])
    #expect(results(denied) == #"{"largeBlob":{"written":false}}"#)
    #expect(
      denied.1.errorText == "countersign: large blob not written: no rule lets you manage what all RP IDs share "
        + "(CTAP2_ERR_OPERATION_DENIED): have the operator allow \"manage\" on \"*\"\n")
    daemon.writesLargeBlobs = true
    daemon.verifiesByRule = false
    #expect(
      authenticate(Self.write([1]), allowing: [Self.id]).1.errorText.contains(
        "no rule lets you manage what all RP IDs share (CTAP2_ERR_UV_BLOCKED)"))
    daemon.verifiesByRule = true
    let long = authenticate(Self.write(SeededRandom(seed: 7).bytes(1200)), allowing: [Self.id])
    #expect(results(long) == #"{"largeBlob":{"written":false}}"#)
    #expect(long.1.errorText.contains("CTAP2_ERR_LARGE_BLOB_STORAGE_FULL"))
    // What is whole and no array is somebody's, and not to be overwritten.
    daemon.largeBlobs = [0xa0] + SHA256.hash([0xa0]).prefix(16)
    let strange = authenticate(Self.write([1]), allowing: [Self.id])
    #expect(results(strange) == #"{"largeBlob":{"written":false}}"#)
    #expect(daemon.largeBlobs[0] == 0xa0)
  }

  @Test func supportsLargeBlobs() {
    #expect(results(register(#""largeBlob":{"support":"required"}"#)) == #"{"largeBlob":{"supported":true}}"#)
    #expect(creation?.largeBlobKey == true)
    #expect(results(register(#""largeBlob":{}"#, residentKey: "discouraged")) == #"{"largeBlob":{"supported":false}}"#)
    #expect(creation?.largeBlobKey == nil)
    let before = daemon.accounts.count
    let (status, transcript) = register(#""largeBlob":{"support":"required"}"#, residentKey: "discouraged")
    #expect(status == .failure)
    #expect(transcript.errorText.contains("the extension largeBlob cannot be had here: it needs a discoverable"))
    #expect(daemon.accounts.count == before)
  }

  // MARK: Others

  @Test func protectsCredentials() {
    let enforced =
      #""credentialProtectionPolicy":"userVerificationRequired","enforceCredentialProtectionPolicy":true"#
    #expect(results(register(enforced)) == "{}")
    #expect(creation?.credProtect == 3)
    daemon.spoilData = { $0.extensions?["credProtect"] = 2 }
    #expect(register(enforced).1.errorText.contains("the credential is protected less than asked for"))
    daemon.spoilData = { _ in }
    daemon.info.extensions = []
    #expect(register(enforced).1.errorText.contains("credentialProtectionPolicy cannot be had here"))
    #expect(register(enforced.replacing("true", with: "false")).0 == .done)
    #expect(creation == CreationExtensions())
  }

  @Test func keepsSmallBlobs() {
    #expect(results(register(#""credBlob":"sQs","minPinLength":true,"unknown":{}"#)) == #"{"credBlob":true}"#)
    #expect(creation?.credBlob == [0xb1, 0x0b])
    #expect(creation?.minPINLength == true)
    let long = Base64URL.encode([UInt8](repeating: 1, count: 65))
    #expect(results(register("\"credBlob\":\"\(long)\"")) == #"{"credBlob":false}"#)
    #expect(results(authenticate(#""getCredBlob":true"#)) == #"{"getCredBlob":"sQs"}"#)
  }
}
