import CBOR
import TestSupport
import Testing
import WebAuthn

@Suite("Authenticator data")
struct AuthenticatorDataTests {
  static let credential = AttestedCredential(
    aaguid: [UInt8](0..<16), credentialID: [0xc1, 0xc2, 0xc3],
    publicKey: .es256(x: [UInt8](repeating: 1, count: 32), y: [UInt8](repeating: 2, count: 32)))

  /// Authenticator data with every part.
  static let whole = AuthenticatorData(
    relyingPartyIDHash: [UInt8](repeating: 0xaa, count: 32), flags: [.up, .uv], signatureCounter: 0x0102_0304,
    attestedCredential: credential, extensions: ["credProtect": 2])

  @Test("Every part is where the standard has it")
  func layout() {
    let expected =
      String(repeating: "aa", count: 32) + "c5" + "01020304" + "000102030405060708090a0b0c0d0e0f" + "0003c1c2c3"
      + "a5010203262001215820" + String(repeating: "01", count: 32) + "225820" + String(repeating: "02", count: 32)
      + "a16b6372656450726f7465637402"
    #expect(Self.whole.encoded().hex == expected)
    #expect(Self.whole.encoded().count == 37 + 16 + 2 + 3 + 77 + 14)
  }

  @Test("With and without each optional part")
  func roundTrips() throws {
    for credential in [nil, Self.credential] {
      for extensions in [nil, [:], ["hmac-secret": true]] as [CBORMap?] {
        for claims in [[], [.up], [.uv, .be], [.up, .uv, .be, .bs]] as [AuthenticatorDataFlags] {
          var data = AuthenticatorData(
            relyingPartyIDHash: [UInt8](repeating: 7, count: 32), flags: claims, signatureCounter: .max)
          data.attestedCredential = credential
          data.extensions = extensions
          #expect(data.flags.contains(.at) == (credential != nil))
          #expect(data.flags.contains(.ed) == (extensions != nil))
          #expect(data.flags.subtracting([.at, .ed]) == claims)
          #expect(try AuthenticatorData.decode(data.encoded()) == data)
        }
      }
    }
  }

  @Test("Flags of what is there follow from what is there")
  func flagsCannotContradict() {
    let data = AuthenticatorData(
      relyingPartyIDHash: [UInt8](repeating: 7, count: 32), flags: [.up, .at, .ed], signatureCounter: 1)
    #expect(data.flags == [.up])
    #expect(data.encoded().count == 37)
  }

  @Test func reservedFlagsAreKept() throws {
    var bytes = AuthenticatorData(
      relyingPartyIDHash: [UInt8](repeating: 7, count: 32), flags: [.up], signatureCounter: 1
    ).encoded()
    bytes[32] |= 0x22
    let data = try AuthenticatorData.decode(bytes)
    #expect(data.flags.rawValue == 0x23)
    #expect(data.encoded() == bytes)
  }

  @Test func everyTruncation() throws {
    let bytes = Self.whole.encoded()
    #expect(try AuthenticatorData.decode(bytes) == Self.whole)
    for count in bytes.indices {
      #expect(throws: AuthenticatorDataError.truncated) { try AuthenticatorData.decode([UInt8](bytes.prefix(count))) }
    }
  }

  @Test func trailingBytes() {
    #expect(throws: AuthenticatorDataError.trailingBytes) { try AuthenticatorData.decode(Self.whole.encoded() + [0]) }
    // Extensions that no flag announces.
    var bytes = Self.whole.encoded()
    bytes[32] &= 0x7f
    #expect(throws: AuthenticatorDataError.trailingBytes) { try AuthenticatorData.decode(bytes) }
  }

  @Test func longestCredentialID() throws {
    var data = Self.whole
    data.attestedCredential?.credentialID = [UInt8](repeating: 9, count: 1_023)
    #expect(try AuthenticatorData.decode(data.encoded()) == data)
    // A length beyond the end is refused, whatever it promises.
    var bytes = data.encoded()
    bytes[53] = 0xff
    bytes[54] = 0xff
    #expect(throws: AuthenticatorDataError.truncated) { try AuthenticatorData.decode(bytes) }
  }

  @Test func extensionsThatAreNoMapOrNotCanonical() {
    var data = Self.whole
    data.extensions = nil
    var bytes = data.encoded()
    bytes[32] |= AuthenticatorDataFlags.ed.rawValue
    #expect(throws: AuthenticatorDataError.truncated) { try AuthenticatorData.decode(bytes) }
    #expect(throws: AuthenticatorDataError.wrong("extensions")) { try AuthenticatorData.decode(bytes + [0x80]) }
    #expect(throws: AuthenticatorDataError.cbor(.indefiniteLength)) {
      try AuthenticatorData.decode(bytes + [0xbf, 0xff])
    }
  }

  @Test("Every byte with every other value never crashes, and what is accepted is encoded the same")
  func everyMutation() {
    let bytes = Self.whole.encoded()
    for index in bytes.indices {
      for bit in 0..<8 {
        var mutated = bytes
        mutated[index] ^= 1 << bit
        guard let data = try? AuthenticatorData.decode(mutated) else { continue }
        #expect(data.encoded() == mutated)
      }
    }
  }

  @Test func randomBytes() {
    var generator = SeededGenerator()
    print("seed \(generator.seed)")
    for _ in 0..<3_000 {
      let bytes = generator.bytes(.random(in: 0...200, using: &generator))
      guard let data = try? AuthenticatorData.decode(bytes) else { continue }
      #expect(data.encoded() == bytes, "seed \(generator.seed)")
    }
  }
}
