import Attestation
import Secrets
import TPMStructures
import TestSupport
import Testing

@testable import TPM

/// What is made without a TPM, for both kinds of endorsement keys, a TPM opens: MakeCredential's known answer.
@Suite struct EndorsementKeyTests {
  @Test(arguments: EndorsementKeyKind.allCases)
  func opensWhatWasMadeForIt(kind: EndorsementKeyKind) throws {
    let fixture = try SoftwareTPMFixture()
    var context = try TPMContext(tcti: fixture.tcti)
    try context.withSession(saltedWith: nil, encrypting: []) { context, session throws(TPMError) in
      try context.createStorageRoot(at: 0x8100_0001, session: session)
    }
    let found = try context.reference(to: 0x8100_0001)
    let parent = try #require(found)
    let authorization = Box(try SecretBytes.random(count: 32))
    let wrapped = try context.withSession(saltedWith: parent, encrypting: .command) {
      context, session throws(TPMError) in
      try context.createAttestationKey(under: parent, session: session, authorization: authorization.secret)
    }
    let (endorsement, publicArea) = try context.createEndorsementKey(kind)
    let area = try TPMTPublic(parsing: publicArea)
    #expect(area.serialized() == publicArea)
    let key = try context.load(wrapped, under: parent)
    let name = try context.name(of: key)
    #expect(KeyNumbers.name(of: try TPMTPublic(parsing: wrapped.publicArea)) == name)

    let secret = Box(try SecretBytes.random(count: 32))
    let blob = try CredentialActivation.make(secret.secret, for: name, to: area)
    let opened = try context.activateCredential(
      blob.credentialBlob, blob.encryptedSecret, key: key, authorization: authorization.secret,
      endorsementKey: endorsement)
    let isSame = opened.isEqual(to: secret.secret)
    #expect(isSame)

    // For another name, altered, or with another authorization value it stays closed.
    let other = try CredentialActivation.make(secret.secret, for: [0, 11] + [UInt8](repeating: 1, count: 32), to: area)
    var altered = blob.credentialBlob
    altered[40] ^= 1
    let wrong = Box(try SecretBytes.random(count: 32))
    for (credentialBlob, encryptedSecret, value) in [
      (other.credentialBlob, other.encryptedSecret, authorization), (altered, blob.encryptedSecret, authorization),
      (blob.credentialBlob, blob.encryptedSecret, wrong), ([], blob.encryptedSecret, authorization),
      ([UInt8](repeating: 0, count: 2000), blob.encryptedSecret, authorization),
    ] {
      #expect(throws: TPMError.self) {
        _ = try context.activateCredential(
          credentialBlob, encryptedSecret, key: key, authorization: value.secret, endorsementKey: endorsement)
      }
    }
    // Nothing is left behind but what is held here.
    let sessions = try context.handles(from: 0x0200_0000)
    #expect(sessions.isEmpty)
    let objects = try context.handles(from: 0x8000_0000)
    #expect(objects.count == 2)
    let certificate = try context.readPublicIndex(kind.certificateIndex)
    #expect(certificate == nil)
  }

  @Test func attestationKeysSignWhatTheTPMHasHashed() throws {
    let fixture = try SoftwareTPMFixture()
    var context = try TPMContext(tcti: fixture.tcti)
    try context.withSession(saltedWith: nil, encrypting: []) { context, session throws(TPMError) in
      try context.createStorageRoot(at: 0x8100_0001, session: session)
    }
    let found = try context.reference(to: 0x8100_0001)
    let parent = try #require(found)
    let authorization = Box(try SecretBytes.random(count: 32))
    let wrapped = try context.withSession(saltedWith: parent, encrypting: .command) {
      context, session throws(TPMError) in
      try context.createAttestationKey(under: parent, session: session, authorization: authorization.secret)
    }
    let key = try context.load(wrapped, under: parent)
    _ = try context.signOutside([UInt8](repeating: 1, count: 1024), with: key, authorization: authorization.secret)
    // Too long for one command, and what looks like a statement of the TPM itself.
    #expect(throws: TPMError.self) {
      _ = try context.signOutside([UInt8](repeating: 1, count: 1025), with: key, authorization: authorization.secret)
    }
    #expect(throws: TPMError.self) {
      _ = try context.signOutside(
        [0xff, 0x54, 0x43, 0x47] + [UInt8](repeating: 1, count: 60), with: key, authorization: authorization.secret)
    }
    // A digest that comes from outside is refused.
    #expect(throws: TPMError.self) {
      _ = try context.sign(
        [UInt8](repeating: 1, count: 32), with: key, scheme: .ecdsaSHA256, authorization: authorization.secret)
    }
  }
}
