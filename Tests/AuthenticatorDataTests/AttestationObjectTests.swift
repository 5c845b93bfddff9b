import CBOR
import TestSupport
import Testing
import WebAuthn

@Suite("Attestation objects")
struct AttestationObjectTests {
  static let object = AttestationObject(
    format: "packed", statement: ["alg": -7, "sig": .bytes([0x30, 0x00])], authenticatorData: [1, 2, 3])

  @Test func membersAreInCanonicalOrder() throws {
    let bytes = Self.object.encoded()
    #expect(
      bytes.hex
        == "a363666d74667061636b6564" + "6761747453746d74a263616c672663736967423000" + "68617574684461746143010203")
    #expect(try AttestationObject.decode(bytes) == Self.object)
  }

  @Test("Every member missing, and with every other type", arguments: ["fmt", "attStmt", "authData"])
  func wrongMembers(_ name: String) throws {
    guard case .map(let map) = try CanonicalCBOR.decode(Self.object.encoded()) else { return }
    var without = map
    without[.text(name)] = nil
    #expect(throws: AuthenticatorDataError.missing(name)) { try decode(without) }
    let kinds: [CBORValue] = ["a", .map([:]), .bytes([]), 1, -1, .array([]), true, .null, .undefined, .float16(0)]
    let right = ["fmt": 0, "attStmt": 1, "authData": 2][name]
    for (index, value) in kinds.enumerated() where index != right {
      var with = map
      with[.text(name)] = value
      #expect(throws: AuthenticatorDataError.wrong(name)) { try decode(with) }
    }
  }

  @Test func everyTruncationAndMore() {
    let bytes = Self.object.encoded()
    for count in bytes.indices {
      #expect(throws: AuthenticatorDataError.cbor(.truncated)) {
        try AttestationObject.decode([UInt8](bytes.prefix(count)))
      }
    }
    #expect(throws: AuthenticatorDataError.cbor(.trailingBytes)) { try AttestationObject.decode(bytes + [0]) }
    #expect(throws: AuthenticatorDataError.wrong("attestationObject")) { try AttestationObject.decode([0x80]) }
  }

  private func decode(_ map: CBORMap) throws {
    _ = try AttestationObject.decode(CanonicalCBOR.encode(.map(map)))
  }
}
