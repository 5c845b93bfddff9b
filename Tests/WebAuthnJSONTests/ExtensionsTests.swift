import Secrets
import Testing
import WebAuthn

@Suite struct ExtensionInputTests {
  static func creation(_ extensions: String) throws -> CreationExtensionsJSON {
    try CreationOptionsTests.options(adding: "\"extensions\":{\(extensions)}").extensions
  }

  static func request(_ extensions: String, _ members: String = "") throws -> RequestExtensionsJSON {
    try PublicKeyCredentialRequestOptionsJSON(
      parsing: bytes("{\"challenge\":\"AAAA\",\"extensions\":{\(extensions)}\(members)}")
    ).extensions
  }

  static let allowed = #","allowCredentials":[{"type":"public-key","id":"AQ"},{"type":"public-key","id":"Ag"}]"#

  @Test func readsThoseOfCreation() throws {
    let inputs = try Self.creation(
      #""credProps":true,"prf":{"eval":{"first":"AQ","second":"Ag"}},"largeBlob":{"support":"required"},"credBlob":"Aw","#
        + #""credentialProtectionPolicy":"userVerificationOptionalWithCredentialIDList","#
        + #""enforceCredentialProtectionPolicy":true,"minPinLength":true,"example.other":7"#)
    #expect(inputs.wantsProperties)
    #expect(inputs.pseudoRandomFunction == PRFInputsJSON(evaluated: PRFSaltsJSON(first: [1], second: [2])))
    #expect(inputs.largeBlobSupport == .required)
    #expect(inputs.blob == [3])
    #expect(inputs.protection == .userVerificationOptionalWithCredentialIDList)
    #expect(inputs.enforcesProtection)
    #expect(inputs.wantsMinPINLength)
    #expect(try Self.creation("") == CreationExtensionsJSON())
    #expect(try Self.creation(#""largeBlob":{"support":"new"}"#).largeBlobSupport == .preferred)
    #expect(try Self.creation(#""prf":{}"#).pseudoRandomFunction == PRFInputsJSON())
  }

  @Test func readsThoseOfRequests() throws {
    let inputs = try Self.request(
      #""prf":{"evalByCredential":{"Ag":{"first":""}}},"largeBlob":{"read":true},"getCredBlob":true"#, Self.allowed)
    #expect(inputs.pseudoRandomFunction?.evaluatedByCredential == [[2]: PRFSaltsJSON(first: [])])
    #expect(inputs.largeBlob == .read)
    #expect(inputs.wantsBlob)
    #expect(try Self.request("") == RequestExtensionsJSON())
    #expect(try Self.request(#""largeBlob":{"read":false}"#).largeBlob == nil)
    let one = #","allowCredentials":[{"type":"public-key","id":"AQ"}]"#
    #expect(try Self.request(#""largeBlob":{"write":"AQ"}"#, one).largeBlob == .write([1]))
  }

  @Test(arguments: [
    (
      #""prf":{"evalByCredential":{}}"#,
      "extensions.prf.evalByCredential: expected nothing, since only get() has it, found an object"
    ),
    (#""prf":{"eval":{}}"#, "extensions.prf.eval.first: expected base64url text, found nothing"),
    (
      #""largeBlob":{"read":true}"#,
      "extensions.largeBlob.read: expected nothing, since only get() has it, found a Boolean"
    ),
    (
      #""credentialProtectionPolicy":"userVerification""#,
      "extensions.credentialProtectionPolicy: expected one of \"userVerificationOptional\", "
        + "\"userVerificationOptionalWithCredentialIDList\", \"userVerificationRequired\", found another text"
    ),
    (#""credBlob":7"#, "extensions.credBlob: expected base64url text without padding, found a number"),
  ])
  func refusesInputsOfCreation(extensions: String, complaint: String) {
    #expect {
      _ = try Self.creation(extensions)
    } throws: {
      "\($0)" == complaint
    }
  }

  @Test(arguments: [
    (
      #""prf":{"evalByCredential":{"Aw":{"first":""}}}"#,
      "extensions.prf.evalByCredential: expected names that are IDs of allowCredentials, found another name"
    ),
    (
      #""prf":{"evalByCredential":{"Ag==":{"first":""}}}"#,
      "extensions.prf.evalByCredential: expected names that are IDs of allowCredentials, found another name"
    ),
    (
      #""largeBlob":{"support":"required"}"#,
      "extensions.largeBlob.support: expected nothing, since only create() has it, found a string"
    ),
    (
      #""largeBlob":{"read":true,"write":"AQ"}"#,
      "extensions.largeBlob.write: expected either read or write, found both"
    ),
    (
      #""largeBlob":{"write":"AQ"}"#,
      "extensions.largeBlob.write: expected one credential in allowCredentials to write for, found 2"
    ),
  ])
  func refusesInputsOfRequests(extensions: String, complaint: String) {
    #expect {
      _ = try Self.request(extensions, Self.allowed)
    } throws: {
      "\($0)" == complaint
    }
  }
}

@Suite struct PRFResultsTests {
  static func secret(_ bytes: [UInt8]) throws -> SecretBytes {
    try SecretBytes(count: bytes.count) { span in for index in bytes.indices { span[index] = bytes[index] } }
  }

  static let outputs = [UInt8](repeating: 1, count: 32) + [UInt8](repeating: 2, count: 32)

  @Test func standWhereABrowserPutsThem() throws {
    var registration = ResponseTests.registration
    registration.clientExtensionResults["prf"] = .object(["enabled": true])
    registration.prfResults = try PRFResults(try Self.secret(Self.outputs))
    let first = Base64URL.encode([UInt8](repeating: 1, count: 32))
    let second = Base64URL.encode([UInt8](repeating: 2, count: 32))
    #expect(
      text(registration.json.serialized()).contains(
        #""clientExtensionResults":{"credProps":{"rk":true},"prf":{"enabled":true,"results":{"first":"\#(first)","#
          + #""second":"\#(second)"}}},"id":"#))
    registration.clientExtensionResults = [:]
    registration.prfResults = try PRFResults(try Self.secret(Array(Self.outputs.prefix(32))))
    #expect(
      text(registration.json.serialized()).contains(
        #""clientExtensionResults":{"prf":{"results":{"first":"\#(first)"}}},"id":"#))
  }

  @Test func compare() throws {
    let both = try PRFResults(try Self.secret(Self.outputs))
    #expect(both == (try PRFResults(try Self.secret(Self.outputs))))
    #expect(both != (try PRFResults(try Self.secret(Array(Self.outputs.prefix(32))))))
    #expect(both != (try PRFResults(try Self.secret(Array(Self.outputs.reversed())))))
    for count in [1, 31, 33, 63, 65, 96] {
      #expect(try PRFResults(try Self.secret([UInt8](repeating: 0, count: count))) == nil)
    }
  }
}
