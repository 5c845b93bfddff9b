import CBOR
import TestSupport
import Testing

@Suite("What the canonical form refuses")
struct RejectionTests {
  @Test(
    "Nothing, and items that end too early",
    arguments: [
      "", "18", "19 00", "1a 000000", "1b 00000000000000", "38", "41", "42 00", "58", "61", "62 61", "81", "82 01",
      "a1", "a1 01", "a2 01 02 03", "f8", "f9 00", "fa 000000", "fb 00000000000000",
    ])
  func truncated(_ hex: String) {
    expect(hex, .truncated)
  }

  /// The size of the message bounds what is looked at or kept; the claims here reach up to 2^64 - 1.
  @Test(
    "Lengths and counts beyond what is there",
    arguments: [
      "5a ffffffff 0000000000", "5b ffffffffffffffff 00", "5b 7fffffffffffffff 00", "7a ffffffff 6161",
      "7b ffffffffffffffff 61",
      "9a ffffffff 0000000000", "9b 0000000100000000 00", "9b ffffffffffffffff 00", "ba ffffffff 0000000000",
      "bb 0000000100000000 00", "bb 8000000000000000 00", "bb ffffffffffffffff 00", "82 9a ffffffff 00 00", "83 01 02",
      "a2 01 02", "a1 01 9b ffffffffffffffff",
    ])
  func overlong(_ hex: String) {
    expect(hex, .truncated)
  }

  @Test("Bytes behind the item", arguments: ["00 00", "80 ff", "f6 f6", "a0 00", "40 40", "83 010203 00"])
  func trailing(_ hex: String) {
    expect(hex, .trailingBytes)
  }

  @Test(
    "Longer forms of integers, lengths and counts",
    arguments: [
      "18 00", "18 17", "19 0000", "19 00ff", "1a 00000000", "1a 0000ffff", "1b 0000000000000000",
      "1b 00000000ffffffff",
      "38 17", "39 00ff", "3a 0000ffff", "3b 00000000ffffffff", "58 00", "58 01 00", "59 0001 00", "5a 00000001 00",
      "5b 0000000000000001 00", "78 00", "78 01 61", "79 0001 61", "7a 00000001 61", "7b 0000000000000001 61", "98 00",
      "98 01 00",
      "99 0001 00", "9a 00000001 00", "9b 0000000000000001 00", "b8 00", "b8 01 00 00", "b9 0001 00 00",
      "ba 00000001 00 00", "bb 0000000000000001 00 00", "81 18 00", "a1 18 00 00",
    ])
  func nonMinimal(_ hex: String) {
    expect(hex, .nonMinimal)
  }

  @Test(
    "Indefinite lengths and breaks",
    arguments: ["5f 41 00 ff", "7f 61 61 ff", "9f ff", "bf ff", "ff", "81 ff", "81 9f ff", "a1 00 bf ff", "5f", "9f"])
  func indefinite(_ hex: String) {
    expect(hex, .indefiniteLength)
  }

  @Test(
    "Tags",
    arguments: [
      "c0 60", "c1 00", "d7 40", "d8 18 40", "d9 d9f7 80", "da 00010000 00", "db 0000000100000000 00", "81 c1 00",
      "a1 c1 00 00",
    ])
  func tags(_ hex: String) {
    expect(hex, .tag)
  }

  @Test(
    "Keys out of order",
    arguments: [
      "a2 02 00 01 00",  // by value
      "a2 18 18 00 17 00",  // by length
      "a2 20 00 00 00",  // by major type, though the lengths are equal
      "a2 61 61 00 19 03e8 00",  // by major type, though the length says otherwise
      "a2 62 6161 00 61 62 00",  // a shorter text first
      "a2 61 62 00 61 61 00",
      "a2 60 00 40 00",
      "a2 f5 00 f4 00",
      "a2 81 19 03e8 00 82 00 00 00",  // arrays as keys: the shorter first
      "a3 01 00 03 00 02 00",
      "a3 01 00 02 00 01 00",  // also a duplicate, but not a neighbour
      "81 a2 02 00 01 00",
      "a1 00 a2 02 00 01 00",
    ])
  func unsorted(_ hex: String) {
    expect(hex, .unsortedKeys)
  }

  @Test(
    "Keys twice",
    arguments: [
      "a2 01 00 01 01", "a2 20 00 20 00", "a2 61 61 00 61 61 00", "a2 41 00 00 41 00 00", "a2 80 00 80 00",
      "a3 01 00 02 00 02 00",
      "81 a2 01 00 01 00",
    ])
  func duplicates(_ hex: String) {
    expect(hex, .duplicateKey)
  }

  @Test(
    "More than four levels",
    arguments: ["81 81 81 81 80", "81 81 81 81 a0", "a1 00 a1 00 a1 00 a1 00 80", "a1 81 81 81 81 00 00"])
  func deep(_ hex: String) {
    expect(hex, .tooDeep)
  }

  @Test(
    "Four levels are allowed",
    arguments: ["81 81 81 80", "81 81 81 81 00", "a1 00 81 a1 00 81 00", "a1 81 81 81 00 00"])
  func deepEnough(_ hex: String) throws {
    let value = try CanonicalCBOR.decode([UInt8](hex: hex))
    #expect(CanonicalCBOR.encode(value) == [UInt8](hex: hex))
  }

  @Test func depthIsTheCallersChoice() throws {
    let deep = [UInt8](repeating: 0x81, count: 64) + [0x00]
    #expect(throws: CBORError.tooDeep) { try CanonicalCBOR.decode(deep) }
    #expect(throws: CBORError.tooDeep) { try CanonicalCBOR.decode(deep, maximumDepth: 63) }
    #expect(CanonicalCBOR.encode(try CanonicalCBOR.decode(deep, maximumDepth: 64)) == deep)
    #expect(throws: CBORError.tooDeep) { try CanonicalCBOR.decode([0x80], maximumDepth: 0) }
    #expect(try CanonicalCBOR.decode([0x00], maximumDepth: 0) == .unsigned(0))
    // A message of nothing but array heads ends at the bound, however long it is.
    #expect(throws: CBORError.tooDeep) { try CanonicalCBOR.decode([UInt8](repeating: 0x81, count: 65_535)) }
  }

  @Test(
    "Texts that are not UTF-8",
    arguments: [
      "61 80", "61 ff", "62 c3 28", "62 c0 80", "63 e0 80 80", "63 ed a0 80", "64 f4 90 80 80", "64 f0 80 80 80",
      "61 c3", "65 f8 88 80 80 80", "81 61 80", "a1 61 80 00",
    ])
  func invalidUTF8(_ hex: String) {
    expect(hex, .invalidUTF8)
  }

  @Test(
    "Reserved encodings",
    arguments: [
      "1c", "1d", "1e", "1f", "3c", "3d", "3e", "3f", "5c", "5d", "5e", "7c", "7d", "7e", "9c", "9d", "9e", "bc", "bd",
      "be", "dc", "dd", "de", "df", "fc", "fd", "fe", "f8 00", "f8 13", "f8 14", "f8 18", "f8 1f",
    ])
  func reserved(_ hex: String) {
    expect(hex, .reserved)
  }

  private func expect(_ hex: String, _ expected: CBORError, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(throws: expected, sourceLocation: sourceLocation) { try CanonicalCBOR.decode([UInt8](hex: hex)) }
  }
}
