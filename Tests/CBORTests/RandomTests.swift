import CBOR
import TestSupport
import Testing

@Suite("Random values, truncations and mutations")
struct RandomTests {
  @Test func roundTrip() throws {
    var generator = SeededGenerator()
    print("seed \(generator.seed)")
    for _ in 0..<1_000 {
      let value = CBORValue.random(depth: 4, using: &generator)
      let bytes = CanonicalCBOR.encode(value)
      #expect(try CanonicalCBOR.decode(bytes) == value, "seed \(generator.seed)")
    }
  }

  @Test("What is accepted is the one encoding of its value, whatever the bytes")
  func acceptsOnlyWhatItWouldWrite() {
    var generator = SeededGenerator()
    print("seed \(generator.seed)")
    var accepted = 0
    for _ in 0..<30_000 {
      let bytes = generator.bytes(.random(in: 0...12, using: &generator))
      guard let value = try? CanonicalCBOR.decode(bytes) else { continue }
      accepted += 1
      #expect(CanonicalCBOR.encode(value) == bytes, "seed \(generator.seed)")
    }
    #expect(accepted > 0)
  }

  /// A message with every kind of item.
  private static let message = [UInt8](
    hex: """
      ad 01 582000112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
      02 a26269646b6578616d706c652e636f6d646e616d6563c3bc78
      03 a16269644401020304
      04 82a263616c672664747970656a7075626c69632d6b6579a263616c6739010064747970656a7075626c69632d6b6579
      05 80 06 a0 07 f5 1818 f4 190100 f6 1a00010000 f7 20 f97e00 3863 fa7f7fffff 6161 fb7e37e43c8800759c
      """)

  @Test func everyTruncation() throws {
    _ = try CanonicalCBOR.decode(Self.message)
    for count in 0..<Self.message.count {
      #expect(throws: CBORError.truncated) { try CanonicalCBOR.decode([UInt8](Self.message.prefix(count))) }
    }
  }

  @Test("Every byte with every other value: refused, or again the one encoding of a value")
  func everyMutationOfOneByte() {
    for index in Self.message.indices {
      for byte in UInt8.min...UInt8.max {
        var bytes = Self.message
        bytes[index] = byte
        guard let value = try? CanonicalCBOR.decode(bytes) else { continue }
        #expect(CanonicalCBOR.encode(value) == bytes)
      }
    }
  }
}

extension CBORValue {
  static func random(depth: Int, using generator: inout SeededGenerator) -> CBORValue {
    let scalarKinds = 10
    switch Int.random(in: 0..<(depth > 0 ? scalarKinds + 4 : scalarKinds), using: &generator) {
    case 0: return .unsigned(generator.next() >> UInt64.random(in: 0..<64, using: &generator))
    case 1: return .negative(generator.next() >> UInt64.random(in: 0..<64, using: &generator))
    case 2: return .bytes(generator.bytes(.random(in: 0..<300, using: &generator)))
    case 3:
      let scalars = generator.bytes(.random(in: 0..<40, using: &generator)).map { Character(Unicode.Scalar($0)) }
      return .text(String(scalars))
    case 4: return .boolean(.random(using: &generator))
    case 5: return .random(using: &generator) ? .null : .undefined
    case 6:
      let number = UInt8.random(in: .min ... .max, using: &generator)
      return .simple((20..<32).contains(number) ? 255 : number)
    case 7: return .float16(UInt16.random(in: .min ... .max, using: &generator))
    case 8: return .float32(UInt32.random(in: .min ... .max, using: &generator))
    case 9: return .float64(generator.next())
    case 10, 11:
      return .array(
        (0..<Int.random(in: 0..<8, using: &generator)).map { _ in random(depth: depth - 1, using: &generator) })
    default:
      var map = CBORMap()
      for _ in 0..<Int.random(in: 0..<8, using: &generator) {
        map[random(depth: depth - 1, using: &generator)] = random(depth: depth - 1, using: &generator)
      }
      return .map(map)
    }
  }
}
