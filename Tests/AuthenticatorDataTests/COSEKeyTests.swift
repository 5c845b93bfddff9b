import CBOR
import TestSupport
import Testing
import WebAuthn

@Suite("Credential public keys")
struct COSEKeyTests {
  @Test(arguments: [("es256", COSEAlgorithm.es256), ("es384", .es384), ("rs256", .rs256)])
  func vectors(_ name: String, _ algorithm: COSEAlgorithm) throws {
    let bytes = try vector("\(name).cose")
    let key = try CredentialPublicKey.decode(bytes)
    #expect(key.algorithm == algorithm)
    #expect(key.encoded() == bytes)
    #expect(key.subjectPublicKeyInfo == (try vector("\(name).spki")))
  }

  // Computed, because the tagged pointers of an enum in a global hide its arrays from LeakSanitizer.
  static var es256: CredentialPublicKey {
    .es256(x: [UInt8](repeating: 1, count: 32), y: [UInt8](repeating: 2, count: 32))
  }
  static var es384: CredentialPublicKey {
    .es384(x: [UInt8](repeating: 1, count: 48), y: [UInt8](repeating: 2, count: 48))
  }
  static var rs256: CredentialPublicKey {
    .rs256(modulus: [UInt8](repeating: 0xc3, count: 256), exponent: [1, 0, 1])
  }

  static var members: [(CredentialPublicKey, CBORValue, String)] {
    [
      (es256, 1, "kty"), (es256, 3, "alg"), (es256, -1, "crv"), (es256, -2, "x"), (es256, -3, "y"),
      (es384, 1, "kty"), (es384, 3, "alg"), (es384, -1, "crv"), (es384, -2, "x"), (es384, -3, "y"),
      (rs256, 1, "kty"), (rs256, 3, "alg"), (rs256, -1, "n"), (rs256, -2, "e"),
    ]
  }

  @Test("Every member missing, and with every other type", arguments: members)
  func wrongMembers(_ key: CredentialPublicKey, _ label: CBORValue, _ name: String) {
    #expect(throws: AuthenticatorDataError.missing(name)) { try decode(key, label, nil) }
    let values: [CBORValue] = [
      "text", .array([]), .map([:]), true, .null, .undefined, .float16(0), .bytes([]), .bytes([0]), .bytes([0, 1]),
      .unsigned(.max), .negative(.max),
    ]
    for value in values {
      #expect(throws: AuthenticatorDataError.wrong(name)) { try decode(key, label, value) }
    }
  }

  @Test("Coordinates of another length, or compressed")
  func coordinates() {
    for (key, count) in [(Self.es256, 32), (Self.es384, 48)] {
      for (label, name) in [(CBORValue.integer(-2), "x"), (.integer(-3), "y")] {
        for wrong in [0, count - 1, count + 1, 66] {
          #expect(throws: AuthenticatorDataError.wrong(name)) {
            try decode(key, label, .bytes([UInt8](repeating: 1, count: wrong)))
          }
        }
      }
      #expect(throws: AuthenticatorDataError.wrong("y")) { try decode(key, -3, false) }
    }
  }

  @Test("Curves and key types that do not belong to the algorithm")
  func mismatches() {
    for curve in [2, 3, 6, 8] {
      #expect(throws: AuthenticatorDataError.wrong("crv")) { try decode(Self.es256, -1, .integer(Int64(curve))) }
    }
    #expect(throws: AuthenticatorDataError.wrong("crv")) { try decode(Self.es384, -1, 1) }
    for type in [1, 3, 4] {
      #expect(throws: AuthenticatorDataError.wrong("kty")) { try decode(Self.es256, 1, .integer(Int64(type))) }
    }
    #expect(throws: AuthenticatorDataError.wrong("kty")) { try decode(Self.rs256, 1, 2) }
  }

  @Test("Algorithms that Countersign does not know", arguments: [-8, -36, -37, -65_535, 7, 0] as [Int64])
  func unsupported(_ algorithm: Int64) {
    #expect(throws: AuthenticatorDataError.unsupportedAlgorithm(algorithm)) {
      try decode(Self.es256, 3, .integer(algorithm))
    }
  }

  @Test("Members that WebAuthn forbids", arguments: [2, 4, 5, -4, "kid"] as [CBORValue])
  func superfluous(_ label: CBORValue) {
    for key in [Self.es256, Self.es384, Self.rs256] {
      #expect(throws: AuthenticatorDataError.superfluous) { try decode(key, label, .bytes([1])) }
    }
  }

  @Test func notAMapOrNotCanonical() {
    #expect(throws: AuthenticatorDataError.wrong("COSE_Key")) { try CredentialPublicKey.decode([0x80]) }
    #expect(throws: AuthenticatorDataError.cbor(.trailingBytes)) {
      try CredentialPublicKey.decode(Self.es256.encoded() + [0])
    }
    #expect(throws: AuthenticatorDataError.cbor(.truncated)) { try CredentialPublicKey.decode([]) }
  }

  private func decode(_ key: CredentialPublicKey, _ label: CBORValue, _ value: CBORValue?) throws {
    guard case .map(var map) = key.coseKey else { return }
    map[label] = value
    _ = try CredentialPublicKey.decode(CanonicalCBOR.encode(.map(map)))
  }
}
