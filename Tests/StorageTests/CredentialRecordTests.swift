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
      _ = try CredentialRecord.decode(bytes, id: [1], isOnWalks: true)
      return nil
    } catch {
      return error.description
    }
  }

  /// A stored format: whoever changes it writes a migration.
  @Test func theEncodingStays() {
    var credential = Credential(
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
    credential.protection = .userVerificationRequired
    credential.hasHMACSecret = true
    credential.hasLargeBlobKey = true
    credential.blob = [7]
    credential.relyingPartyID = nil
    let hash = credential.key.binding.relyingPartyIDHash.hex
    #expect(
      CredentialRecord.encode(credential).hex
        == "ab" + "034101" + "0626" + "07825820\(x)5820\(y)" + "08420405" + "0901" + "0a06" + "0b03" + "0cf5" + "0df5"
        + "0e4107" + "0f5820\(hash)")
  }

  /// As above: what the operator has made of it.
  @Test func theEncodingOfStateAndLabelStays() throws {
    let plain = CredentialRecord.encode(sample(1))
    for (state, fields) in [(.outgoing, "1001"), (.disabled, "1002" + "11f5")] as [(CredentialState, String)] {
      var credential = sample(1)
      credential.state = state
      credential.label = "old"
      let encoded = CredentialRecord.encode(credential)
      let added = fields + "12636f6c64"
      #expect(encoded.hex.hasSuffix(added) && encoded.count == plain.count + added.count / 2)
      #expect(
        try CredentialRecord.decode(encoded, id: credential.id, isOnWalks: credential.isOnWalks) == credential)
    }
  }

  @Test func aDisabledOneIsOnNoWalk() throws {
    for isDiscoverable in [true, false] {
      var credential = sample(1)
      credential.isDiscoverable = isDiscoverable
      credential.state = .disabled
      let encoded = CredentialRecord.encode(credential)
      #expect(try CredentialRecord.decode(encoded, id: credential.id, isOnWalks: false) == credential)
      #expect(throws: RecordError.self) {
        try CredentialRecord.decode(encoded, id: credential.id, isOnWalks: true)
      }
    }
    for (key, value) in [(16, 0), (16, 3), (16, true), (17, true), (18, 1)] as [(Int64, CBORValue)] {
      var map = try map()
      map[.integer(key)] = value
      #expect(refusal(CanonicalCBOR.encode(.map(map))) != nil, "\(key)")
    }
  }

  @Test func unknownFieldsAreRefused() throws {
    for key: CBORValue in [0, 19, -1, "x", .bytes([1])] {
      var map = try map()
      map[key] = 1
      #expect(refusal(CanonicalCBOR.encode(.map(map)))?.contains("newer version") == true)
    }
  }

  @Test func unknownValuesAreRefused() throws {
    for (key, value) in [
      (6, -8), (9, 2), (9, 256), (9, -1), (11, 0), (11, 4), (11, 257), (11, -1),
    ] as [(Int64, Int64)] {
      var map = try map()
      map[.integer(key)] = .integer(value)
      #expect(refusal(CanonicalCBOR.encode(.map(map)))?.contains("newer version") == true)
    }
  }

  @Test func everyFieldHasItsType() throws {
    let optional: Set<Int64> = [2, 4, 5, 11, 12, 13, 14]
    for key in Int64(1)...15 {
      var full = sample(1, protection: .userVerificationRequired)
      full.hasHMACSecret = true
      full.hasLargeBlobKey = true
      full.blob = [1]
      // RP ID and hash are there in turn, never both.
      var map = try map(key == 15 ? sampleByU2F(1) : full)
      #expect(map[.integer(key)] != nil, "\(key)")
      map[.integer(key)] = nil
      #expect((refusal(CanonicalCBOR.encode(.map(map))) == nil) == optional.contains(key))
      for wrong: CBORValue in [.null, .array([]), .map([:]), true, false, .float16(0), .unsigned(.max), .bytes([])] {
        let isRight =
          switch (key, wrong) {
          case (12, true), (13, true), (3, .bytes), (8, .bytes), (14, .bytes): true
          default: false
          }
        map[.integer(key)] = wrong
        guard !isRight else {
          #expect(refusal(CanonicalCBOR.encode(.map(map))) == nil, "\(key)")
          continue
        }
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

  /// One credential has one encoding: what is left out is not written.
  @Test func defaultsAreNotWritten() throws {
    for (key, value) in [(11, 1), (12, false), (13, false)] as [(Int64, CBORValue)] {
      var map = try map()
      map[.integer(key)] = value
      #expect(refusal(CanonicalCBOR.encode(.map(map))) != nil, "\(key)")
    }
  }

  @Test func itBelongsToAnIDOrAHash() throws {
    var both = try map()
    both[15] = .bytes(hash("example.com"))
    #expect(refusal(CanonicalCBOR.encode(.map(both)))?.contains("relyingPartyIDHash") == true)
    for count in [0, 31, 33] {
      var map = try map(sampleByU2F(1))
      map[15] = .bytes([UInt8](repeating: 1, count: count))
      #expect(refusal(CanonicalCBOR.encode(.map(map)))?.contains("relyingPartyIDHash") == true)
    }
  }

  @Test func theColumnSaysTheSameProtection() throws {
    let keys = try RowKeys(try deviceSecret())
    for protection in CredentialProtection.allCases {
      let row = try keys.seal(sample(1, protection: protection), sequence: 1, random: SystemRandom())
      #expect(row.protection == Int64(protection.rawValue))
      #expect(try keys.open(row) == sample(1, protection: protection))
      for other in CredentialProtection.allCases where other != protection {
        var changed = row
        changed.protection = Int64(other.rawValue)
        let error = #expect(throws: RecordError.self) { try keys.open(changed) }
        #expect(error?.description.contains("its seal is broken") == true)
        // Nor does a sealed row say one thing in clear and another in its record.
        changed.record = try keys.seal(
          CredentialRecord.encode(sample(1, protection: protection)), keys.clearColumns(changed), SystemRandom())
        #expect(throws: RecordError(description: "its protection is not that of its row")) { try keys.open(changed) }
      }
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
    func binding(_ relyingPartyID: String) -> KeyBinding {
      KeyBinding(credentialID: [1], relyingPartyID: relyingPartyID)
    }
    let tags = [
      keys.relyingPartyTag(hash("a")), keys.relyingPartyTag(hash("b")), keys.relyingPartyTag(hash("")),
      others.relyingPartyTag(hash("a")), keys.userTag(binding("a"), [0x62]), keys.userTag(binding("ab"), []),
      keys.userTag(binding(""), [0x61, 0x62]), keys.userTag(binding("a"), [0x63]), keys.userTag(binding("a"), []),
      others.userTag(binding("a"), [0x62]),
    ]
    #expect(Set(tags).count == tags.count)
    #expect(tags.allSatisfy { $0.count == 32 })
    // A credential made by U2F is found like one whose RP ID is known.
    let byHash = KeyBinding(credentialID: [2], relyingPartyIDHash: hash("a"))
    #expect(keys.userTag(byHash, [0x62]) == keys.userTag(binding("a"), [0x62]))
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
