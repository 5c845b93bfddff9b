import Authenticator
import CBOR
import Platform
import TestSupport
import Testing
import WebAuthn

import Policy
@testable import Storage

/// What lies sealed in a row, and the tags beside it.
@Suite struct CredentialRecordTests {
  private func map(_ credential: Credential = sample(1)) throws -> CBORMap {
    guard case .map(let map) = try CanonicalCBOR.decode(CredentialRecord.encode(credential)) else {
      throw Unexpected("no map")
    }
    return map
  }

  private func refusal(_ bytes: [UInt8]) -> String? {
    do throws(RecordError) {
      _ = try CredentialRecord.decode(bytes, id: [1], isDiscoverable: true)
      return nil
    } catch {
      return error.description
    }
  }

  /// A stored format: whoever changes it writes a migration.
  @Test func theEncodingStays() {
    let credential = Credential(
      relyingPartyID: "a.example", userHandle: [1], isDiscoverable: true,
      publicKey: .es256(x: [UInt8](repeating: 2, count: 32), y: [UInt8](repeating: 3, count: 32)),
      key: CredentialKey(
        algorithm: .es256, binding: KeyBinding(credentialID: [9], relyingPartyID: "a.example"), blob: [4, 5]),
      signatureCounter: .zero, createdAt: 6)
    let x = String(repeating: "02", count: 32)
    let y = String(repeating: "03", count: 32)
    #expect(
      CredentialRecord.encode(credential).hex
        == "a7" + "0169612e6578616d706c65" + "034101" + "0626" + "07825820\(x)5820\(y)" + "08420405" + "0901" + "0a06")
  }

  @Test func unknownFieldsAreRefused() throws {
    for key: CBORValue in [0, 11, -1, "x", .bytes([1])] {
      var map = try map()
      map[key] = 1
      #expect(refusal(CanonicalCBOR.encode(.map(map)))?.contains("newer version") == true)
    }
  }

  @Test func unknownValuesAreRefused() throws {
    for (key, value) in [(6, -8), (9, 2), (9, 256), (9, -1)] as [(Int64, Int64)] {
      var map = try map()
      map[.integer(key)] = .integer(value)
      #expect(refusal(CanonicalCBOR.encode(.map(map)))?.contains("newer version") == true)
    }
  }

  @Test func everyFieldHasItsType() throws {
    let optional: Set<Int64> = [2, 4, 5]
    for key in Int64(1)...10 {
      var map = try map()
      map[.integer(key)] = nil
      #expect((refusal(CanonicalCBOR.encode(.map(map))) == nil) == optional.contains(key))
      for wrong: CBORValue in [.null, .array([]), .map([:]), true, .float16(0), .unsigned(.max)] {
        map[.integer(key)] = wrong
        #expect(refusal(CanonicalCBOR.encode(.map(map))) != nil, "\(key)")
      }
    }
    for wrong: CBORValue in [
      .array([.bytes([1]), .bytes([2])]), .array([.bytes([UInt8](repeating: 1, count: 32))]), .array([1, 2]),
    ] {
      var map = try map()
      map[7] = wrong
      #expect(refusal(CanonicalCBOR.encode(.map(map))) != nil)
    }
  }

  @Test func anyBytesAreRefusedOrTaken() throws {
    let whole = CredentialRecord.encode(sample(1))
    #expect(refusal(whole) == nil)
    for length in 0..<whole.count { #expect(refusal(Array(whole.prefix(length))) != nil) }
    #expect(refusal(whole + [0]) != nil)
    var random = SeededGenerator()
    print("CredentialRecordTests.anyBytesAreRefusedOrTaken: seed \(random.seed)")
    for _ in 0..<2000 {
      var bytes = whole
      bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      _ = refusal(bytes)
      _ = refusal(random.bytes(40))
    }
  }

  @Test func tagsTellEverythingApart() throws {
    let keys = try RowKeys(try deviceSecret())
    let others = try RowKeys(try deviceSecret(2))
    let tags = [
      keys.relyingPartyTag("a"), keys.relyingPartyTag("b"), keys.relyingPartyTag(""), others.relyingPartyTag("a"),
      keys.userTag("a", [0x62]), keys.userTag("ab", []), keys.userTag("", [0x61, 0x62]), keys.userTag("a", [0x63]),
      others.userTag("a", [0x62]),
    ]
    #expect(Set(tags).count == tags.count)
    #expect(tags.allSatisfy { $0.count == 32 })
  }

  @Test func noTwoSealsAreAlike() throws {
    let keys = try RowKeys(try deviceSecret())
    let first = try keys.seal(sample(1), sequence: 1, random: SystemRandom())
    let second = try keys.seal(sample(1), sequence: 1, random: SystemRandom())
    #expect(first.record.prefix(12) != second.record.prefix(12))
    #expect(first.record != second.record)
    #expect(try keys.open(first) == sample(1))
  }
}
