import Authenticator
import Glibc
import Platform
import TestSupport
import Testing

@testable import TPMKeyStore

@Suite(.serialized) struct MemoryTests {
  /// After the start the device secret is nowhere in this process but in the pages that a core dump leaves out.
  @Test(arguments: [false, true]) func theDeviceSecretIsInSecretMemoryOnly(restart: Bool) async throws {
    var bench = try await Bench.start()
    if restart {
      await bench.store.stop()
      bench = try await Bench.start(bench.fixture, records: bench.records)
    }
    // Complemented, so that the pattern is not found itself.
    let pattern: [UInt8] = bench.secret.reveal { span in (0..<8).map { ~span[$0] } }
    let found = try places(of: pattern)
    await bench.store.stop()
    #expect(found.secret >= 1)
    #expect(found.elsewhere.isEmpty, "\(found.elsewhere)")
  }

  private func places(of complement: [UInt8]) throws -> (secret: Int, elsewhere: [String]) {
    let memory = try Descriptor(opening: "/proc/self/mem", flags: O_RDONLY)
    var secret = 0
    var elsewhere: [String] = []
    for map in try maps() where map.isPrivateWritable && map.count <= 64 << 20 {
      let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: map.count, alignment: 16)
      defer { bytes.deallocate() }
      guard let base = bytes.baseAddress else { continue }
      memset(base, 0, map.count)
      // By pages, since other tests unmap their secrets meanwhile.
      for offset in stride(from: 0, to: map.count, by: 4096) {
        _ = pread(memory.raw, base + offset, 4096, off_t(map.start) + off_t(offset))
      }
      var index = 0
      while let hit = memchr(base + index, Int32(~complement[0]), map.count - index) {
        index = hit - base
        guard index + complement.count <= map.count else { break }
        if (1..<complement.count).allSatisfy({ bytes[index + $0] == ~complement[$0] }) {
          if map.isSecret { secret += 1 } else { elsewhere.append("\(map.name)+\(index)") }
        }
        index += 1
      }
      // So that our copy is not found in turn.
      memset(base, 0, map.count)
    }
    return (secret, elsewhere)
  }

  private struct Map {
    var start: UInt64 = 0
    var count = 0
    var name = ""
    var isPrivateWritable = false
    /// As SecretBytes maps its pages: left out of core dumps, wiped in forked children. (That they are locked cannot be
    /// seen under AddressSanitizer, which ignores mlock(2).)
    var isSecret = false
  }

  /// /proc/self/smaps: address ranges and their VmFlags.
  private func maps() throws -> [Map] {
    let file = try Descriptor(opening: "/proc/self/smaps", flags: O_RDONLY)
    var text: [UInt8] = []
    while case let part = try file.read(upTo: 1 << 16), !part.isEmpty { text += part }
    var maps: [Map] = []
    for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
      let words = line.split(separator: " ")
      if words.count >= 5, words[0].contains("-"), words[1].count == 4 {
        let ends = words[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
        maps.append(
          Map(
            start: ends[0], count: Int(ends[1] - ends[0]), name: words.count > 5 ? String(words[5]) : String(words[0]),
            isPrivateWritable: words[1] == "rw-p", isSecret: false))
      } else if words.first == "VmFlags:", !maps.isEmpty {
        maps[maps.count - 1].isSecret = words.contains("dd") && words.contains("wf")
      }
    }
    return maps
  }
}
