import Testing
import WebAuthn

@Suite struct Base64URLTests {
  @Test(
    arguments: [
      ([], ""), ([0x66], "Zg"), ([0x66, 0x6f], "Zm8"), ([0x66, 0x6f, 0x6f], "Zm9v"), ([0xfb, 0xff, 0xbf], "-_-_"),
      ([0x66, 0x6f, 0x6f, 0x62], "Zm9vYg"),
    ] as [([UInt8], String)])
  func encodesAndDecodes(bytes: [UInt8], text: String) {
    #expect(Base64URL.encode(bytes) == text)
    #expect(Base64URL.decode(text) == bytes)
  }

  @Test(arguments: ["Zg==", "Zm8=", "+_-_", "-/-_", "Zm 8", "Zm8\n", "Z", "Zm9vY", "Zm9é", "Zh", "Zm9"])
  func refusesOtherTexts(text: String) {
    #expect(Base64URL.decode(text) == nil)
  }

  @Test func roundTripsAnything() {
    let seed = UInt64.random(in: 0 ... .max)
    var state = seed
    for count in 0..<200 {
      let bytes = (0..<count).map { _ -> UInt8 in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 33)
      }
      #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes, "seed \(seed)")
    }
  }
}
