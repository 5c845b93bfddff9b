import Crypto
import TestSupport
import Testing

@Suite("DER")
struct DERTests {
  @Test("Lengths of content, there and back", arguments: [0, 1, 127, 128, 255, 256, 65_535, 65_536, 70_000])
  func lengths(_ count: Int) throws {
    let content = [UInt8](repeating: 7, count: count)
    let bytes = DER.element(.octetString, content)
    let head: [UInt8] =
      switch count {
      case ..<128: [4, UInt8(count)]
      case ..<256: [4, 0x81, UInt8(count)]
      case ..<65_536: [4, 0x82, UInt8(count >> 8), UInt8(count & 0xff)]
      default: [4, 0x83, UInt8(count >> 16), UInt8(count >> 8 & 0xff), UInt8(count & 0xff)]
      }
    #expect(bytes == head + content)
    let element = try #require(DER.first(of: (bytes + [1, 2])[...]))
    #expect(element.tag == 4)
    #expect([UInt8](element.content) == content)
    #expect([UInt8](element.rest) == [1, 2])
    for cut in [1, count + 1] {
      #expect(DER.first(of: bytes.dropLast(cut)) == nil)
    }
  }

  @Test("Numbers")
  func integers() {
    let table: [([UInt8], String)] = [
      ([], "020100"), ([0], "020100"), ([0, 0], "020100"), ([1], "020101"), ([0x7f], "02017f"), ([0x80], "02020080"),
      ([0, 0, 0x80, 0], "0203008000"), ([0x7f, 0xff], "02027fff"),
    ]
    for (magnitude, hex) in table { #expect(DER.integer(magnitude).hex == hex) }
    #expect(DER.bitString([1, 2]).hex == "0303000102")
  }

  @Test(
    "What is no element, or not encoded as DER wants it",
    arguments: [
      "", "30", "1f0100", "3080", "30800000", "308100", "30817f" + String(repeating: "00", count: 127), "30820080",
      "3082", "308200ff", "3085000000000100", "30850100000000", "30ff", "3084ffffffff", "308480000000", "3001",
    ])
  func malformed(_ hex: String) {
    #expect(DER.first(of: [UInt8](hex: hex)[...]) == nil)
  }
}
