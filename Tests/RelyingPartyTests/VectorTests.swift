import Platform
import RelyingParty
import Testing
import WebAuthn

/// Ceremonies that were made, and verified, by programs that we did not write: see Vectors/make.py.
@Suite struct VectorTests {
  let origin = "https://login.example.com:8443"
  let relyingPartyID = "login.example.com"

  static func member(_ name: String, of vector: String) throws -> [UInt8] {
    let path = #filePath.replacing("VectorTests.swift", with: "Vectors/\(vector).json")
    let file = try Descriptor(opening: path, flags: 0).read(upTo: 1 << 16)
    return try JSONCursor(JSONValue.parse(file)).required(name, "an object").value.serialized()
  }

  @Test(arguments: ["es256-packed", "es256-none", "rs256-packed"])
  func verifiesStrangers(vector: String) throws {
    let record = try RegistrationVerifier.verify(
      RegistrationResponseJSON(parsing: Self.member("registration", of: vector)),
      of: PublicKeyCredentialCreationOptionsJSON(parsing: Self.member("creationOptions", of: vector)),
      origin: origin, relyingPartyID: relyingPartyID)
    #expect(record.signCount == 41)
    #expect(record.aaguid == Array(0..<16))
    #expect(record.userHandle == Array("user".utf8))
    #expect(record.userVerified)
    #expect(record.attestationType == (vector.hasSuffix("none") ? .none : .`self`))

    let updated = try AssertionVerifier.verify(
      AuthenticationResponseJSON(parsing: Self.member("assertion", of: vector)),
      of: PublicKeyCredentialRequestOptionsJSON(parsing: Self.member("requestOptions", of: vector)),
      by: CredentialRecord(parsing: record.json.serialized()), origin: origin, relyingPartyID: relyingPartyID)
    #expect(updated.signCount == 42)
  }
}
