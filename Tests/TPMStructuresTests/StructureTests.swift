import TPMStructures
import TestSupport
import Testing

@Suite struct PublicAreaTests {
  static let areas = [
    TPMTPublic(
      attributes: [.fixedTPM, .fixedParent, .sensitiveDataOrigin, .noDA, .sign],
      key: .ecc(curve: TPMCurve.p256, kdf: nil, x: Array(0..<32), y: Array(32..<64))),
    TPMTPublic(
      nameAlgorithm: TPMAlgorithm.sha384, attributes: [.restricted, .decrypt],
      authPolicy: [UInt8](repeating: 3, count: 48),
      symmetric: .init(algorithm: TPMAlgorithm.aes, keyBits: 128, mode: TPMAlgorithm.cfb),
      key: .rsa(keyBits: 2048, exponent: 0, modulus: [UInt8](repeating: 9, count: 256))),
    TPMTPublic(
      attributes: .sign, scheme: .init(algorithm: TPMAlgorithm.ecdsa, hash: TPMAlgorithm.sha256),
      key: .ecc(curve: TPMCurve.p384, kdf: .init(algorithm: 0x20, hash: TPMAlgorithm.sha256), x: [1], y: [])),
    TPMTPublic(
      attributes: .sign, scheme: .init(algorithm: TPMAlgorithm.ecdaa, hash: TPMAlgorithm.sha256, count: 5),
      key: .ecc(curve: TPMCurve.p256, kdf: nil, x: [1], y: [2])),
    TPMTPublic(
      attributes: .decrypt, scheme: .init(algorithm: TPMAlgorithm.rsaes, hash: nil),
      key: .rsa(keyBits: 2048, exponent: 3, modulus: [1])),
  ]

  @Test(arguments: areas)
  func readsWhatItWrites(area: TPMTPublic) throws {
    let bytes = area.serialized()
    #expect(try TPMTPublic(parsing: bytes) == area)
    #expect(throws: TPMStructureError.trailingBytes) { try TPMTPublic(parsing: bytes + [0]) }
    for count in bytes.indices {
      #expect {
        try TPMTPublic(parsing: Array(bytes.prefix(count)))
      } throws: {
        if case TPMStructureError.truncated = $0 { true } else { false }
      }
    }
  }

  /// A key of swtpm, as `tpm2_readpublic` gives it: type, nameAlg, attributes, policy, three times NULL, curve, point.
  @Test func isInTheOrderOfTheStandard() {
    let area = PublicAreaTests.areas[0]
    let x = (0..<32).map { UInt8($0) }.hex
    let y = (32..<64).map { UInt8($0) }.hex
    #expect(
      area.serialized().hex == "0023000b00040432" + "0000" + "0010" + "0010" + "0003" + "0010" + "0020" + x + "0020" + y
    )
  }

  @Test(arguments: [
    ("0008000b0004007200000010001000100000", "type"), ("0023000b00040432ffff", "authPolicy"),
    ("0023000b0004043200000005", "symmetric"), ("0023000b000404320000001000ff", "scheme"),
    ("0023000b000404320000001000100003000f", "kdf"), ("0023000b000404320000001000100003001000ff", "unique.x"),
    ("0001000b00040432000000100010080000000000ffff", "unique"),
  ])
  func refusesOtherValues(hex: String, member: String) {
    #expect(throws: TPMStructureError.wrong(member)) { try TPMTPublic(parsing: [UInt8](hex: hex)) }
  }
}

@Suite struct AttestTests {
  static func attest(_ attested: TPMSAttest.Attested) -> TPMSAttest {
    TPMSAttest(
      qualifiedSigner: [0, 11] + [UInt8](repeating: 1, count: 32), extraData: [UInt8](repeating: 2, count: 32),
      clock: .init(clock: 1 << 40, resetCount: 3, restartCount: 4, isSafe: true),
      firmwareVersion: 0x2020_0312_0012_0000,
      attested: attested)
  }

  static let attests = [
    attest(.certify(name: [0, 11, 5], qualifiedName: [])),
    attest(.quote(selections: [], digest: [])),
    attest(
      .quote(
        selections: [.init(hash: TPMAlgorithm.sha256, bits: [0xff, 0, 0]), .init(hash: 4, bits: [])],
        digest: [UInt8](repeating: 6, count: 32))),
  ]

  @Test(arguments: attests)
  func readsWhatItWrites(attest: TPMSAttest) throws {
    let bytes = attest.serialized()
    #expect(try TPMSAttest(parsing: bytes) == attest)
    #expect(throws: TPMStructureError.trailingBytes) { try TPMSAttest(parsing: bytes + [0]) }
    for count in bytes.indices {
      #expect {
        try TPMSAttest(parsing: Array(bytes.prefix(count)))
      } throws: {
        if case TPMStructureError.truncated = $0 { true } else { false }
      }
    }
  }

  @Test func beginsAsTheStandardSays() {
    #expect(AttestTests.attests[0].serialized().hex.hasPrefix("ff54434780170022000b01"))
    #expect(AttestTests.attests[1].serialized().hex.hasPrefix("ff5443478018"))
  }

  @Test(arguments: [(0, "magic"), (5, "type"), (6, "qualifiedSigner"), (42, "extraData"), (92, "clockInfo.safe")])
  func refusesOtherValues(offset: Int, member: String) {
    var bytes = AttestTests.attests[0].serialized()
    bytes[offset] = 0x33
    #expect(throws: TPMStructureError.wrong(member)) { try TPMSAttest(parsing: bytes) }
  }

  @Test func boundsSelections() {
    var bytes = AttestTests.attests[1].serialized()
    bytes[bytes.count - 3] = 17
    #expect(throws: TPMStructureError.wrong("attested.pcrSelect")) { try TPMSAttest(parsing: bytes) }
    bytes[bytes.count - 3] = 1
    bytes = Array(bytes.dropLast(2)) + [0, 11, 5]
    #expect(throws: TPMStructureError.wrong("attested.pcrSelect.sizeofSelect")) { try TPMSAttest(parsing: bytes) }
  }
}
