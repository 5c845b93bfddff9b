import AuditLog
import Authenticator
import CBOR
import CTAP
import Crypto
import Policy
import TestSupport
import Testing

/// authenticatorLargeBlobs (CTAP 2.1 section 6.10).
@Suite struct LargeBlobTests {
  /// The array that is there at first: an empty CBOR array and its check.
  static let empty = array([0x80])

  /// Bytes and their check.
  static func array(_ bytes: [UInt8]) -> [UInt8] {
    bytes + SHA256.hash(bytes).prefix(16)
  }

  private func read(
    _ harness: Harness, _ count: Int64 = 7545, at offset: Int64 = 0
  ) async throws -> (status: UInt8, bytes: [UInt8]?) {
    let (status, body) = try await harness.send(0x0c, [1: .integer(count), 3: .integer(offset)])
    return (status, try? body.bytes(1))
  }

  @Test func anEmptyArrayIsThereAtFirst() async throws {
    let harness = try Harness()
    #expect(Self.empty == [UInt8](hex: "80 76be8b528d0075f7aae98d6fa57a6d3c"))
    #expect(try await read(harness) == (Status.ok, Self.empty))
    #expect(try await read(harness, 1, at: 0) == (Status.ok, [0x80]))
    #expect(try await read(harness, 4, at: 15) == (Status.ok, Array(Self.empty.suffix(2))))
    #expect(try await read(harness, 4, at: 17) == (Status.ok, []))
    #expect(try await read(harness, 0) == (Status.ok, []))
    #expect(try await read(harness, 1, at: 18).status == Status.invalidParameter)
    #expect(try await read(harness, 7545).status == Status.ok)
    #expect(try await read(harness, 7546).status == Status.invalidLength)
  }

  private static let requests: [(CBORMap, UInt8)] = [
    ([1: 1], Status.invalidParameter), ([2: .bytes([1]), 4: 17], Status.invalidParameter),
    ([3: 0], Status.invalidParameter),
    ([1: 1, 2: .bytes([1]), 3: 0], Status.invalidParameter), ([1: 1, 3: 0, 4: 17], Status.invalidParameter),
    ([1: 1, 3: 0, 5: .bytes([])], Status.invalidParameter), ([1: 1, 3: 0, 6: 2], Status.invalidParameter),
    ([2: .bytes([1]), 3: 0], Status.invalidParameter), ([2: .bytes([1]), 3: 0, 4: 16], Status.invalidParameter),
    ([2: .bytes([1]), 3: 0, 4: 65537], Status.largeBlobStorageFull),
    ([2: .bytes([1]), 3: 1, 4: 17], Status.invalidParameter), ([2: .bytes([1]), 3: 1], Status.invalidSeq),
    ([2: .bytes([UInt8](repeating: 1, count: 7546)), 3: 0, 4: 9000], Status.invalidLength),
    ([2: .bytes([UInt8](repeating: 1, count: 18)), 3: 0, 4: 17], Status.invalidParameter),
    ([2: .bytes([UInt8](repeating: 1, count: 17)), 3: 0, 4: 17], Status.integrityFailure),
  ]

  @Test(arguments: requests)
  func parameters(request: CBORMap, expected: UInt8) async throws {
    let harness = try Harness(rules: [try Harness.anything()])
    #expect(try await harness.send(0x0c, request).status == expected)
    #expect(try await read(harness).bytes == Self.empty)
  }

  @Test func withoutAPINAFragmentNeedsNoToken() async throws {
    let harness = try Harness(rules: [try Harness.anything()])
    let array = Self.array([0x81, 0x01])
    let reply = await harness.engine.respond(
      to: [0x0c] + CanonicalCBOR.encode(.map(Harness.blobs(array, at: 0, of: array.count))), from: Harness.alice)
    #expect(reply == [Status.ok], "nothing follows the status")
    #expect(try await read(harness).bytes == array)
    #expect(harness.audit.records.map(\.detail) == ["largeBlobs.write"])
  }

  @Test(arguments: PINUVAuthProtocol.allCases)
  func severalFragments(version: PINUVAuthProtocol) async throws {
    let harness = try await Harness.withPIN()
    let array = Self.array([0x59, 0x1f, 0x40] + [UInt8](repeating: 7, count: 8000))
    let token = try await PINPlatform(harness, Harness.alice, version).token(.largeBlobWrite)
    for start in stride(from: 0, to: array.count, by: 3000) {
      let fragment = Array(array.dropFirst(start).prefix(3000))
      let request = token.write(fragment, at: start, of: start == 0 ? array.count : nil)
      #expect(try await harness.send(0x0c, request).status == Status.ok)
    }
    #expect(try await read(harness, 7545).bytes == Array(array.prefix(7545)))
    #expect(try await read(harness, 7545, at: 7545).bytes == Array(array.dropFirst(7545)))
    #expect(try await harness.restarted().store.largeBlobs() == array)
  }

  @Test func nothingIsStoredBeforeAllOfItIsRight() async throws {
    let harness = try await Harness.withPIN()
    let token = try await PINPlatform(harness).token(.largeBlobWrite)
    var array = Self.array([0x81, 0x01])
    #expect(try await harness.send(0x0c, token.write(Array(array.prefix(10)), at: 0, of: 18)).status == Status.ok)
    #expect(try await harness.send(0x0c, token.write(Array(array.suffix(7)), at: 11)).status == Status.invalidSeq)
    #expect(try await harness.send(4).status == Status.ok)
    #expect(
      try await harness.send(0x0c, token.write(Array(array.suffix(8)), at: 10)).status == Status.invalidSeq,
      "another command ends it")
    #expect(try await harness.send(0x0c, token.write(Array(array.prefix(10)), at: 0, of: 18)).status == Status.ok)
    #expect(
      try await harness.send(0x0c, token.write(Array(array.suffix(7)), at: 11)).status == Status.invalidSeq,
      "and a fragment out of turn does not")
    #expect(
      try await harness.send(0x0c, token.write(Array(array.suffix(9)), at: 10)).status == Status.invalidParameter,
      "longer than was said")
    array[17] ^= 1
    #expect(try await harness.send(0x0c, token.write(array, at: 0, of: 18)).status == Status.integrityFailure)
    #expect(try await read(harness).bytes == Self.empty)
  }

  @Test func aWriteBelongsToOneChannelAndThirtySeconds() async throws {
    let harness = try await Harness.withPIN()
    let token = try await PINPlatform(harness).token(.largeBlobWrite)
    let other = Harness.caller(connection: 2)
    let others = try await PINPlatform(harness, other).token(.largeBlobWrite)
    let array = Self.array([0x81, 0x01])
    #expect(try await harness.send(0x0c, token.write(Array(array.prefix(10)), at: 0, of: 18)).status == Status.ok)
    #expect(
      try await harness.send(0x0c, others.write(Array(array.suffix(8)), at: 10), from: other).status
        == Status.invalidSeq)
    harness.time.advance(by: .milliseconds(30_001))
    #expect(try await harness.send(0x0c, token.write(Array(array.suffix(8)), at: 10)).status == Status.invalidSeq)
  }

  @Test func aProtectedAuthenticatorAsksForATokenWithThePermission() async throws {
    let harness = try await Harness.withPIN()
    let array = Self.array([0x81, 0x01])
    #expect(try await harness.send(0x0c, Harness.blobs(array, at: 0, of: 18)).status == Status.puatRequired)
    let wrong = try await PINPlatform(harness).token([.authenticatorConfiguration, .credentialManagement])
    #expect(try await harness.send(0x0c, wrong.write(array, at: 0, of: 18)).status == Status.pinAuthInvalid)
    let token = try await PINPlatform(harness).token(.largeBlobWrite)
    let right = token.write(array, at: 0, of: 18)
    #expect(try await harness.send(0x0c, right.with([(6, nil)])).status == Status.missingParameter)
    #expect(try await harness.send(0x0c, right.with([(6, 3)])).status == Status.invalidParameter)
    #expect(try await harness.send(0x0c, right.with([(6, 1)])).status == Status.pinAuthInvalid)
    #expect(try await harness.send(0x0c, right.with([(2, .bytes(Self.empty))])).status == Status.pinAuthInvalid)
    let signedForElsewhere = token.write(array, at: 1).with([(3, 0), (4, 18)])
    #expect(try await harness.send(0x0c, signedForElsewhere).status == Status.pinAuthInvalid)
    #expect(try await read(harness).bytes == Self.empty)
    #expect(try await harness.send(0x0c, right).status == Status.ok)
  }

  @Test func writingNeedsARuleForAllAndReadingAnyRule() async throws {
    let harness = try Harness()
    #expect(
      try await harness.send(0x0c, Harness.blobs(Self.empty, at: 0, of: 17)).status == Status.operationDenied)
    #expect(harness.audit.records.last?.detail == "largeBlobs.write")
    #expect(try await read(harness).status == Status.ok)
    let stranger = Harness.caller(connection: 2, user: 1001)
    #expect(try await harness.send(0x0c, [1: 1, 3: 0], from: stranger).status == Status.operationDenied)
  }

  @Test func aResetEmptiesIt() async throws {
    let harness = try Harness(rules: [try Harness.anything()])
    let array = Self.array([0x81, 0x01])
    #expect(try await harness.send(0x0c, Harness.blobs(array, at: 0, of: 18)).status == Status.ok)
    #expect(try await harness.send(7).status == Status.ok)
    #expect(try await read(harness).bytes == Self.empty)
  }
}
