import CBOR
import TestSupport
import Testing

@Suite("Values and maps")
struct ValueTests {
  @Test("Keys come out in canonical order, in whatever order they went in")
  func sortsKeys() {
    // CTAP 2.1 section 8: major type, then length, then bytes.
    let sorted: [CBORValue] = [
      0, 1, 23, 24, 255, 256, 65_536, .unsigned(.max), -1, -24, -25, .negative(.max), .bytes([]), .bytes([0]),
      .bytes([1]),
      .bytes([0, 0]), "", "a", "b", "aa", "é", .array([]), .array([1]), .array([100]), .array([0, 0]), .map([:]), false,
      true, .null, .undefined, .float16(0), .float32(0), .float64(0),
    ]
    var generator = SeededGenerator()
    print("seed \(generator.seed)")
    var map = CBORMap()
    for key in sorted.shuffled(using: &generator) {
      map[key] = .null
    }
    #expect(map.entries.map(\.key) == sorted)
    #expect(throws: Never.self) { try CanonicalCBOR.decode(CanonicalCBOR.encode(.map(map))) }
  }

  @Test func looksUpSetsAndRemoves() {
    var map: CBORMap = ["b": 2, 1: true, "a": .bytes([1])]
    #expect(map[1] == true)
    #expect(map["a"] == .bytes([1]))
    #expect(map["c"] == nil)
    map["b"] = 3
    #expect(map["b"] == 3)
    map["b"] = nil
    #expect(map["b"] == nil)
    map["never there"] = nil
    #expect(map.count == 2)
    #expect(map == ["a": .bytes([1]), 1: true])
    #expect(CBORMap().isEmpty)
  }

  @Test("Texts are told apart by their bytes, not by Unicode equivalence")
  func comparesTextBytes() throws {
    let composed: CBORValue = "\u{e9}"
    let decomposed: CBORValue = "e\u{301}"
    #expect(composed != decomposed)
    let map: CBORMap = [composed: 1, decomposed: 2]
    #expect(map.count == 2)
    #expect(try CanonicalCBOR.decode(CanonicalCBOR.encode(.map(map))) == .map(map))
  }

  @Test func integersOfBothSigns() {
    #expect(CBORValue.integer(.min) == .negative(UInt64(Int64.max)))
    #expect(CBORValue.integer(.max) == .unsigned(UInt64(Int64.max)))
    for number in [Int64.min, -257, -1, 0, 1, .max] {
      #expect(CBORValue.integer(number).integer == number)
    }
    #expect(CBORValue.unsigned(1 << 63).integer == nil)
    #expect(CBORValue.negative(1 << 63).integer == nil)
    #expect(CBORValue.null.integer == nil)
  }

  @Test("Floats keep their width and the bits of their NaN")
  func keepsFloats() throws {
    for hex in ["f97e01", "f97d01", "fa7fa00001", "fb7ff4000000000001", "fa3f800000", "fb3ff0000000000000"] {
      #expect(CanonicalCBOR.encode(try CanonicalCBOR.decode([UInt8](hex: hex))).hex == hex)
    }
  }

  @Test func takesThePrefix() throws {
    let bytes = [UInt8](hex: "a1 01 02 f6")
    let (value, byteCount) = try CanonicalCBOR.decodePrefix(bytes.span)
    #expect(value == .map([1: 2]))
    #expect(byteCount == 3)
    let (rest, _) = try CanonicalCBOR.decodePrefix(bytes.span.extracting(byteCount...))
    #expect(rest == .null)
  }
}
