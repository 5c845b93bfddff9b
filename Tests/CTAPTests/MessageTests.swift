import CBOR
import CTAP
import TestSupport
import Testing

@Suite("Every message")
struct MessageTests {
  @Test("In one piece", arguments: MessageSpecification.all)
  func inOnePiece(_ message: MessageSpecification) throws {
    #expect(try message.recode(message.bytes) == message.bytes)
  }

  @Test("Every truncation", arguments: MessageSpecification.all)
  func everyTruncation(_ message: MessageSpecification) {
    #expect(message.status(of: [UInt8]()) == .invalidLength)
    #expect(message.status(of: [message.bytes[0]]) == message.ofNoMap)
    for count in 2..<message.bytes.count {
      #expect(message.status(of: [UInt8](message.bytes.prefix(count))) == .invalidCBOR)
    }
  }

  @Test("Every missing member", arguments: MessageSpecification.all)
  func everyMissingMember(_ message: MessageSpecification) throws {
    for member in message.members {
      let map = try #require(try message.map.replacing(member.path, with: nil))
      #expect(message.status(of: map) == (member.isRequired ? .missingParameter : .ok), "\(member.path)")
    }
    #expect(message.status(of: .map([:])) == message.ofEmptyMap)
  }

  @Test("Every member with a value of every other type", arguments: MessageSpecification.all)
  func everyWrongType(_ message: MessageSpecification) throws {
    for member in message.members {
      for sample in CBORValue.samples where !member.kind.includes(sample) {
        let map = try #require(try message.map.replacing(member.path, with: sample))
        // One array or map more than CTAP2 allows within one another is found in the first step.
        let isTooDeep = member.path.count >= CanonicalCBOR.maximumDepth && (sample == .array([]) || sample == .map([:]))
        #expect(
          message.status(of: map) == (isTooDeep ? .invalidCBOR : .cborUnexpectedType), "\(member.path) \(sample)")
      }
    }
    for sample in CBORValue.samples where !MessageSpecification.Kind.map.includes(sample) {
      #expect(message.status(of: sample) == .cborUnexpectedType)
    }
  }

  @Test("Numbers beyond what any number of the standard can be", arguments: MessageSpecification.all)
  func hugeNumbers(_ message: MessageSpecification) throws {
    for member in message.members where member.kind == .integer {
      for number in [CBORValue.unsigned(.max), .negative(.max)] {
        let map = try #require(try message.map.replacing(member.path, with: number))
        #expect(message.status(of: map) == .cborUnexpectedType, "\(member.path)")
      }
    }
    for member in message.members where member.kind == .unsigned {
      let map = try #require(try message.map.replacing(member.path, with: .unsigned(.max)))
      #expect([.ok, .cborUnexpectedType].contains(message.status(of: map)), "\(member.path)")
    }
  }

  @Test("Unknown members are ignored", arguments: MessageSpecification.all)
  func unknownMembers(_ message: MessageSpecification) throws {
    let unknown: [CBORValue] = [0, 0x7f, -100, "unknown", .bytes([1]), false]
    for path in [[]] + message.openMaps {
      for key in unknown {
        let map = try #require(try message.map.replacing(path + [key], with: .array([1])))
        #expect(try message.recode([message.bytes[0]] + CanonicalCBOR.encode(map)) == message.bytes, "\(path) \(key)")
      }
    }
  }

  @Test("What is not one item in canonical form", arguments: MessageSpecification.all)
  func notCanonical(_ message: MessageSpecification) throws {
    let command = message.bytes[0]
    guard case .map(let map) = try message.map else { return }
    let count = UInt8(map.count)
    // Counts of 24 and more have a byte of their own.
    let content = [UInt8](message.bytes.dropFirst(count < 24 ? 2 : 3))
    func head(_ count: UInt8) -> [UInt8] { count < 24 ? [command, 0xa0 | count] : [command, 0xb8, count] }
    // A key that sorts behind all others.
    let last = [0x77] + [UInt8](repeating: 0x7a, count: 23)
    let faults: [String: [UInt8]] = [
      "a trailing byte": message.bytes + [0x00],
      "an indefinite length": [command, 0xbf] + content + [0xff],
      "a longer count": (count < 24 ? [command, 0xb8, count] : [command, 0xb9, 0, count]) + content,
      "a tag": [command, 0xd9, 0xd9, 0xf7] + message.bytes.dropFirst(),
      "a member twice": head(count + 2) + content + last + [0x00] + last + [0x00],
      "a member out of order": head(count + 1) + content + [0x00, 0x00],
      "five levels": head(count + 1) + content + last + [0x81, 0x81, 0x81, 0x81, 0x00],
      "not UTF-8": head(count + 1) + content + [0x78, 0x18] + [UInt8](repeating: 0xff, count: 24) + [0x00],
    ]
    for (name, bytes) in faults {
      #expect(message.status(of: bytes) == .invalidCBOR, "\(name)")
    }
    #expect(message.status(of: head(count + 1) + content + last + [0x81, 0x81, 0x81, 0x00]) == .ok)
  }

  @Test(
    "Every bit turned: refused, or a message that stays as it is when decoded again",
    arguments: MessageSpecification.all)
  func everyMutation(_ message: MessageSpecification) {
    for index in message.bytes.indices.dropFirst() {
      for bit in 0..<8 {
        var bytes = message.bytes
        bytes[index] ^= 1 << bit
        guard let again = try? message.recode(bytes) else { continue }
        #expect((try? message.recode(again)) == again)
      }
    }
  }

  @Test("Random members in random messages", arguments: MessageSpecification.all)
  func randomMessages(_ message: MessageSpecification) throws {
    var generator = SeededGenerator()
    print("seed \(generator.seed)")
    for _ in 0..<500 {
      var map: CBORValue? = try message.map
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let path = message.members.randomElement(using: &generator)?.path ?? []
        map = map?.replacing(path, with: CBORValue.samples.randomElement(using: &generator)) ?? map
      }
      guard let map, let again = try? message.recode([message.bytes[0]] + CanonicalCBOR.encode(map)) else { continue }
      #expect((try? message.recode(again)) == again, "seed \(generator.seed)")
    }
  }
}
