import CTAP
import Crypto
import TestSupport
import Testing
import WebAuthn

@Suite("The certificate of a U2F registration")
struct U2FCertificateTests {
  /// The public half of the private key 0x1234567890abcdef.
  static let x = [UInt8](hex: "9fad84aeae08bbef7f010014d82cef6a09de2b0cf871b5ce0c4f1d13a59a5934")
  static let y = [UInt8](hex: "07cb45769f1070e2c2470fe5b1bfe63133c0b0cdc64ea4bf3791a8ec2a07fd4f")
  static let credentialID = [UInt8](0..<16)

  /// What pyca/cryptography 50 builds from the same members.
  static let tbs = [UInt8](
    hex: """
      3081eaa00302010202107e45cb2605bf36bebde684841a28f0fd300a06082a8648ce3d040302301a3118301606035504030c0f436f756e
      7465727369676e205532463020170d3230303130313030303030305a180f39393939313233313233353935395a301a3118301606035504
      030c0f436f756e7465727369676e205532463059301306072a8648ce3d020106082a8648ce3d030107034200049fad84aeae08bbef7f01
      0014d82cef6a09de2b0cf871b5ce0c4f1d13a59a593407cb45769f1070e2c2470fe5b1bfe63133c0b0cdc64ea4bf3791a8ec2a07fd4fa3
      10300e300c0603551d130101ff04023000
      """)
  static let signature = [UInt8](
    hex: """
      30450220392b31cccd183387b9cc680053d9bf9ee3760b10c5be5a6198f671809eb50e42022100ee3733a9ca78339ccf1e9b97039ffbb9
      0d3acf623181b99946e1f123840af920
      """)
  static let certificateHead = [UInt8](hex: "30820143")
  /// ecdsa-with-SHA256, and the head of the bit string.
  static let middle = [UInt8](hex: "300a06082a8648ce3d04030203480" + "0")

  @Test("Is what another implementation builds")
  func asAnotherBuildsIt() {
    let tbs = U2FSelfCertificate.tbs(x: Self.x, y: Self.y, credentialID: Self.credentialID)
    #expect(tbs.hex == Self.tbs.hex)
    let certificate = U2FSelfCertificate.assemble(tbs: Self.tbs, signature: Self.signature)
    #expect(certificate == Self.certificateHead + Self.tbs + Self.middle + Self.signature)
    #expect(SignatureVerifier.isValidES256(x: Self.x, y: Self.y, signature: Self.signature, message: tbs))
  }

  @Test("Taken apart again: its members, the key in it, and a signature of this key")
  func takenApart() throws {
    for index in 0..<20 as Range<UInt8> {
      let key = TestKey()
      guard case .es256(let x, let y) = key.publicKey else { return }
      let credentialID = [UInt8](repeating: index, count: 16)
      let tbs = U2FSelfCertificate.tbs(x: x, y: y, credentialID: credentialID)
      let certificate = U2FSelfCertificate.assemble(tbs: tbs, signature: key.sign(tbs))

      let parts = try elements(certificate[...], .sequence)
      try #require(parts.count == 3)
      #expect(parts[0] == tbs)
      let members = try elements(parts[0][...], .sequence)
      try #require(members.count == 8)
      #expect(members[0] == [0xa0, 3, 2, 1, 2])
      let serial = try content(members[1], .integer)
      #expect(serial.count == 16)
      #expect(serial[0] & 0xc0 == 0x40)
      #expect(serial.dropFirst() == SHA256.hash(credentialID)[1..<16])
      #expect(members[2] == parts[1])
      #expect(members[3] == members[5])
      #expect(members[3].hex.hasSuffix("0c0f" + [UInt8]("Countersign U2F".utf8).hex))
      let validity = try elements(members[4][...], .sequence)
      #expect(try content(validity[0], .utcTime) == [UInt8]("200101000000Z".utf8))
      #expect(try content(validity[1], .generalizedTime) == [UInt8]("99991231235959Z".utf8))
      #expect(members[6] == key.publicKey.subjectPublicKeyInfo)
      #expect(members[7].hex == "a310300e300c0603551d130101ff04023000")

      let signature = try content(parts[2], .bitString)
      #expect(signature.first == 0)
      #expect(
        SignatureVerifier.isValidES256(x: x, y: y, signature: [UInt8](signature.dropFirst()), message: parts[0]))
    }
  }

  /// The elements within one element that is everything there is.
  private func elements(_ bytes: ArraySlice<UInt8>, _ tag: DER.Tag) throws -> [[UInt8]] {
    var rest = ArraySlice(try content([UInt8](bytes), tag))
    var elements: [[UInt8]] = []
    while !rest.isEmpty {
      let after = try #require(DER.first(of: rest)).rest
      elements.append([UInt8](rest.prefix(rest.count - after.count)))
      rest = after
    }
    return elements
  }

  private func content(_ bytes: [UInt8], _ tag: DER.Tag) throws -> [UInt8] {
    let element = try #require(DER.first(of: bytes[...]))
    #expect(element.tag == tag.rawValue)
    #expect(element.rest.isEmpty)
    return [UInt8](element.content)
  }
}
