import Attestation
import Authenticator
import Secrets
import TPM
import TestSupport
import Testing

@testable import TPMKeyStore

@Suite struct EncodingTests {
  /// The shortest integers, whatever the TPM's padding: r, s, and the Sig-Value.
  @Test(arguments: [
    ("01", "7f", "30060201010201" + "7f"),
    ("80", "ff", "3008020200800202" + "00ff"),
    ("0000", "", "3006020100020100"),
    ("00000080", "000001", "300702020080020101"),
    ("7f00", "ff00", "3009" + "02027f00" + "020300ff00"),
  ])
  func ecdsaSignaturesAreDER(r: String, s: String, expected: String) {
    #expect(TPMSignature.ecdsa(r: .init(hex: r), s: .init(hex: s)).encoded.hex == expected)
  }

  @Test func longSignaturesHaveLongLengths() {
    let long = [UInt8](repeating: 0x11, count: 66)
    let encoded = TPMSignature.ecdsa(r: long, s: long).encoded
    #expect(encoded.prefix(5) == [0x30, 0x81, 136, 0x02, 66])
    let huge = [UInt8](repeating: 0x91, count: 300)
    #expect(TPMSignature.ecdsa(r: huge, s: [1]).encoded.prefix(8) == [0x30, 0x82, 0x01, 0x34, 0x02, 0x82, 0x01, 0x2d])
  }

  private let sealed = SealedDevice(
    parentHandle: 0x8100_0001, parentName: [0, 11] + [UInt8](repeating: 7, count: 32),
    indices: IndexPlaces(
      counter: 0x0180_C500, retries: 0x0180_C501, anchor: 0x0180_C502, tag: [UInt8](repeating: 9, count: 32)),
    secret: WrappedObject(publicArea: [1, 2, 3], privateArea: [UInt8](repeating: 4, count: 200)),
    auditKey: WrappedObject(publicArea: [5, 6], privateArea: [UInt8](repeating: 8, count: 100)), firstAnchor: 77)

  private var former: FormerDevice {
    FormerDevice(
      parentHandle: sealed.parentHandle, parentName: sealed.parentName, indices: sealed.indices,
      auditKey: [UInt8](repeating: 5, count: 91), firstAnchor: 1 << 40, anchor: .max, sequence: 3,
      hash: [UInt8](repeating: 6, count: 32))
  }

  @Test func recordsComeBack() {
    var bound = sealed
    bound.boot = BootPolicy(
      x: [UInt8](repeating: 1, count: 32), y: [UInt8](repeating: 2, count: 32), pcrs: [4],
      reference: [UInt8](repeating: 3, count: 32))
    for record in [
      DeviceRecord.sealed(sealed), .sealed(bound), .provisioning(sealed.indices), .decommissioning(bound),
      .removing(former), .decommissioned(former),
    ] {
      #expect(DeviceRecord.decode(record.encoded()) == record)
    }
    let object = WrappedObject(publicArea: [1], privateArea: [])
    #expect(KeyBlob.decode(KeyBlob.encode(object)) == object)
  }

  /// Truncated, lengthened and random records: a value or nil, never a trap.
  @Test func otherBytesAreNoRecord() {
    var bound = sealed
    bound.boot = BootPolicy(
      x: [UInt8](repeating: 1, count: 32), y: [UInt8](repeating: 2, count: 32), pcrs: [4],
      reference: [UInt8](repeating: 3, count: 32))
    let bytes = DeviceRecord.sealed(bound).encoded()
    for bytes in [bytes, DeviceRecord.removing(former).encoded()] {
      for count in 0..<bytes.count { #expect(DeviceRecord.decode(Array(bytes.prefix(count))) == nil) }
    }
    #expect(DeviceRecord.decode(bytes + [0]) == nil)
    var random = SeededGenerator()
    print("seed \(random.seed)")
    for _ in 0..<5000 {
      var mutated = bytes
      mutated[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: .min ... .max, using: &random)
      if let record = DeviceRecord.decode(mutated) { #expect(record.encoded() == mutated) }
      _ = KeyBlob.decode(random.bytes(Int.random(in: 0..<64, using: &random)))
    }
  }

  /// Records of this version must open for ever.
  @Test func theFormatIsFixed() {
    let tag = [UInt8](repeating: 0xaa, count: 32)
    let indices = IndexPlaces(counter: 0x0180_C5AB, retries: 0x0180_C5CD, anchor: 0x0180_C5EF, tag: tag)
    let indicesHex = "0180c5ab" + "0180c5cd" + "0180c5ef" + "0020" + tag.hex
    #expect(DeviceRecord.provisioning(indices).encoded().hex == "43534452" + "05" + "01" + indicesHex)
    var device = SealedDevice(
      parentHandle: 0x8100_0001, parentName: [1], indices: indices,
      secret: WrappedObject(publicArea: [4], privateArea: [5]),
      auditKey: WrappedObject(publicArea: [6], privateArea: [7]), firstAnchor: 0x0102_0304_0506_0708)
    #expect(
      DeviceRecord.sealed(device).encoded().hex
        == "43534452" + "05" + "02" + "81000001" + "000101" + indicesHex + "000104" + "000105" + "000106" + "000107"
        + "0102030405060708" + "00")
    let numbers = [UInt8](repeating: 0xbb, count: 32)
    device.boot = BootPolicy(x: numbers, y: tag, pcrs: [0, 7, 23], reference: numbers)
    #expect(
      DeviceRecord.sealed(device).encoded().hex.hasSuffix(
        "0102030405060708" + "01" + "0020" + numbers.hex + "0020" + tag.hex + "00800081" + "0020" + numbers.hex))
  }

  /// A record that somebody has made up must not name whatever has no policy.
  @Test(arguments: [0, 31, 33]) func aTagHasItsLength(count: Int) {
    var indices = sealed.indices
    indices.tag = [UInt8](repeating: 9, count: count)
    #expect(DeviceRecord.decode(DeviceRecord.provisioning(indices).encoded()) == nil)
  }

  @Test func theRetryRecordIsFixed() throws {
    let record = RetryRecord(generation: 0x0102_0304_0506_0708, failures: 9)
    #expect(record.encoded.hex == "0102030405060708" + "09" + "00000000000000")
    var random = SeededGenerator()
    print("seed \(random.seed)")
    for _ in 0..<1000 {
      let record = RetryRecord(
        generation: .random(in: .min ... .max, using: &random), failures: .random(in: .min ... .max, using: &random))
      #expect(RetryRecord(encoded: record.encoded) == record)
    }
    for count in [0, 8, 9, 15, 17] { #expect(RetryRecord(encoded: [UInt8](repeating: 0, count: count)) == nil) }
    for index in 9..<16 {
      var other = record.encoded
      other[index] = 1
      #expect(RetryRecord(encoded: other) == nil)
    }
  }

  @Test func thePayloadComesBack() throws {
    let payload = SealedPayload(
      secret: DeviceSecret(try SecretBytes.random(count: 32)),
      indexAuthorization: SharedSecret(try SecretBytes.random(count: 32)), counterBase: 0x0102_0304_0506_0708,
      surroundings: [UInt8](1...32))
    let encoded = try payload.encoded()
    let count = encoded.bytes.count
    #expect(count == 104)
    let result = try SealedPayload.decode(encoded.bytes)
    let decoded = try #require(result)
    #expect(decoded.secret.copied == payload.secret.copied)
    let isSame = decoded.indexAuthorization.bytes.isEqual(to: payload.indexAuthorization.bytes)
    #expect(isSame)
    #expect(decoded.counterBase == payload.counterBase)
    #expect(decoded.surroundings == payload.surroundings)
    let tooShort = try SealedPayload.decode(try SecretBytes.random(count: 103))
    #expect(tooShort == nil)
  }
}
