import CBOR
import CTAP
import Testing

@Suite("Extension inputs")
struct ExtensionTests {
  @Test func creation() throws {
    let map = try decode(Fixtures.creationExtensionsBytes)
    #expect(try CreationExtensions(map) == Fixtures.creationExtensions)
    #expect(Fixtures.creationExtensions.value == map)
  }

  @Test func assertion() throws {
    let map = try decode(Fixtures.assertionExtensionsBytes)
    #expect(try AssertionExtensions(map) == Fixtures.assertionExtensions)
    #expect(Fixtures.assertionExtensions.value == map)
  }

  @Test("None, and none that is known")
  func nothing() throws {
    for map in [nil, [:], ["unknown": 1, 1: .null]] as [CBORMap?] {
      let creation = try CreationExtensions(map)
      #expect(creation == CreationExtensions())
      #expect(creation.value == nil)
      let assertion = try AssertionExtensions(map)
      #expect(assertion == AssertionExtensions())
      #expect(assertion.value == nil)
    }
  }

  @Test("False is not absent, and nothing is not nothing at all")
  func empty() throws {
    let creation = CreationExtensions(hmacSecret: false, credBlob: [], largeBlobKey: false, minPINLength: false)
    #expect(try CreationExtensions(creation.value) == creation)
    let assertion = AssertionExtensions(credBlob: false, largeBlobKey: false)
    #expect(try AssertionExtensions(assertion.value) == assertion)
  }

  @Test("hmac-secret says yes at a creation, and has salts at an assertion")
  func hmacSecret() throws {
    let input = try #require(Fixtures.assertionExtensions.value?["hmac-secret"])
    #expect(throws: CTAPStatus.cborUnexpectedType) { try CreationExtensions(["hmac-secret": input]) }
    #expect(throws: CTAPStatus.cborUnexpectedType) { try AssertionExtensions(["hmac-secret": true]) }
    #expect(try AssertionExtensions(["hmac-secret-mc": true]) == AssertionExtensions())
  }

  @Test("In a request, within the four levels that there may be")
  func inRequests() throws {
    var makeCredential = Fixtures.makeCredential
    makeCredential.extensions = Fixtures.creationExtensions.value
    guard
      case .makeCredential(let request) = try CTAPRequest.decode(CTAPRequest.makeCredential(makeCredential).encoded())
    else {
      Issue.record("another request")
      return
    }
    #expect(try CreationExtensions(request.extensions) == Fixtures.creationExtensions)
  }

  private func decode(_ bytes: [UInt8]) throws -> CBORMap {
    guard case .map(let map) = try CanonicalCBOR.decode(bytes) else { return [:] }
    return map
  }
}
