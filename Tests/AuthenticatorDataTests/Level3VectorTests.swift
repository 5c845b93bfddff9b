import CBOR
import Crypto
import TestSupport
import Testing
import WebAuthn

@Suite("WebAuthn Level 3 test vectors")
struct Level3VectorTests {
  @Test func noAttestation() throws {
    let bytes = try vector("none.attestationObject")
    let object = try AttestationObject.decode(bytes)
    #expect(object.format == "none")
    #expect(object.statement.isEmpty)
    #expect(object.encoded() == bytes)

    let data = try AuthenticatorData.decode(object.authenticatorData)
    #expect(data.relyingPartyIDHash == SHA256.hash([UInt8]("example.org".utf8)))
    #expect(data.flags == [.up, .be, .bs, .at])
    #expect(data.signatureCounter == 0)
    #expect(data.attestedCredential?.credentialID == (try vector("none.credentialID")))
    #expect(data.attestedCredential?.aaguid == (try vector("none.aaguid")))
    #expect(data.attestedCredential?.publicKey.algorithm == .es256)
    #expect(data.extensions == nil)
    #expect(data.encoded() == object.authenticatorData)
  }

  @Test func assertion() throws {
    let bytes = try vector("none.assertion.authenticatorData")
    let data = try AuthenticatorData.decode(bytes)
    #expect(data.flags == [.up, .be, .bs])
    #expect(data.attestedCredential == nil)
    #expect(data.encoded() == bytes)
  }

  @Test("Self attestation, whose signature the decoded key verifies")
  func selfAttestation() throws {
    let bytes = try vector("packed-self.attestationObject")
    let object = try AttestationObject.decode(bytes)
    #expect(object.format == "packed")
    #expect(object.encoded() == bytes)

    let data = try AuthenticatorData.decode(object.authenticatorData)
    #expect(data.flags == [.up, .uv, .be, .bs, .at])
    let credential = try #require(data.attestedCredential)
    #expect(credential.credentialID == (try vector("packed-self.credentialID")))
    #expect(credential.aaguid == (try vector("packed-self.aaguid")))
    #expect(data.encoded() == object.authenticatorData)

    guard case .es256(let x, let y) = credential.publicKey, case .bytes(let signature) = object.statement["sig"] else {
      Issue.record("another key or no signature")
      return
    }
    #expect(object.statement["alg"] == -7)
    let message = object.authenticatorData + SHA256.hash(try vector("packed-self.clientDataJSON"))
    #expect(SignatureVerifier.isValidES256(x: x, y: y, signature: signature, message: message))
  }
}
