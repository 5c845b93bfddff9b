import Crypto
import Platform
import RelyingParty
import TPMStructures
import Testing
import WebAuthn

/// The vectors of Web Authentication Level 3, section 16, of the algorithms and formats that are here: see
/// Vectors/level3.py.
@Suite("WebAuthn Level 3 test vectors, both ceremonies")
struct Level3VectorTests {
  /// In 2026.
  static let now: Int64 = 1_780_000_000

  static let accepted: [(name: String, kind: AttestationKind)] = [
    ("none.ES256", .none), ("packed-self.ES256", .packedSelf), ("none.ES256.crossOrigin", .none),
    ("none.ES256.topOrigin", .none), ("none.ES256.long-credential-id", .none), ("packed.ES256", .packed),
    ("packed.ES384", .packed), ("packed.RS256", .packed), ("fido-u2f.ES256", .fidoU2F),
  ]

  let file: JSONCursor

  init() throws {
    let path = #filePath.replacing("Level3VectorTests.swift", with: "Vectors/webauthn-level3.json")
    file = JSONCursor(try JSONValue.parse(try Descriptor(opening: path, flags: 0).read(upTo: 1 << 16)))
  }

  func member(_ name: String, _ ceremony: String) throws -> JSONCursor {
    try file.required("vectors", "").required(name, "").required(ceremony, "")
  }

  func policy(_ kinds: Set<AttestationKind>? = nil) throws -> RelyingPartyPolicy {
    let anchor = try Certificate(der: file.required("anchor", "").bytes())
    // The page of the vectors with a top origin is in a frame of that one.
    return RelyingPartyPolicy(
      topOrigins: ["https://example.com"],
      attestation: AttestationPolicy(anchors: [anchor], kinds: kinds, time: Self.now))
  }

  func register(_ name: String, under policy: RelyingPartyPolicy) throws -> CredentialRecord {
    let registration = try member(name, "registration")
    let challenge = try registration.required("challenge", "").string()
    let options = """
      {"rp":{"id":"example.org","name":"R"},"user":{"id":"AQID","name":"n","displayName":"d"},
      "challenge":"\(challenge)","pubKeyCredParams":[{"type":"public-key","alg":-7},{"type":"public-key","alg":-35},
      {"type":"public-key","alg":-257}]}
      """
    let response = RegistrationResponseJSON(
      id: try registration.required("id", "").bytes(),
      clientDataJSON: try registration.required("clientDataJSON", "").bytes(),
      attestationObject: try registration.required("attestationObject", "").bytes(), authenticatorData: nil,
      publicKey: nil, publicKeyAlgorithm: nil, transports: [], authenticatorAttachment: nil)
    return try RegistrationVerifier.verify(
      response, of: PublicKeyCredentialCreationOptionsJSON(parsing: Array(options.utf8)),
      origin: "https://example.org", relyingPartyID: "example.org", under: policy)
  }

  @Test(arguments: accepted)
  func verifies(name: String, kind: AttestationKind) throws {
    let record = try register(name, under: policy([kind]))
    #expect((record.attestationAnchor != nil) == kind.hasTrustPath)
    #expect(record.id.count == (name.hasSuffix("long-credential-id") ? 1023 : 32))

    let assertion = try member(name, "assertion")
    let challenge = try assertion.required("challenge", "").string()
    let id = Base64URL.encode(record.id)
    let options = """
      {"challenge":"\(challenge)","rpId":"example.org","allowCredentials":[{"type":"public-key","id":"\(id)"}]}
      """
    let response = AuthenticationResponseJSON(
      id: record.id, clientDataJSON: try assertion.required("clientDataJSON", "").bytes(),
      authenticatorData: try assertion.required("authenticatorData", "").bytes(),
      signature: try assertion.required("signature", "").bytes(), userHandle: nil, authenticatorAttachment: nil)
    let used = try AssertionVerifier.verify(
      response, of: PublicKeyCredentialRequestOptionsJSON(parsing: Array(options.utf8)), by: record,
      origin: "https://example.org", relyingPartyID: "example.org", under: policy())
    #expect(used.signCount == 0)

    // Another attestation than the one that is accepted, and a page that nobody shows in a frame.
    for other in AttestationKind.allCases where other != kind {
      #expect(throws: VerificationError.attestationTrust(.kind(kind))) { try register(name, under: policy([other])) }
    }
    if name.hasSuffix("Origin") {
      #expect(throws: VerificationError.crossOrigin) { try register(name, under: RelyingPartyPolicy()) }
    }
  }

  /// It breaks the rules that it should show: clockInfo.safe is neither yes nor no, the key is not fixed to its TPM, and
  /// the maker of the TPM is none.
  @Test func refusesTheOneOfFormatTPM() throws {
    let policy = try policy()
    let malformed = flaw("8.3", .certificationInformation(.wrong("clockInfo.safe")))
    #expect(throws: malformed) { try register("tpm.ES256", under: policy) }
  }
}
