import CBOR
import FoundationEssentials
import TestSupport
import Testing

struct AppendixAEntry: CustomTestStringConvertible {
  let hex: String
  let expected: String

  var testDescription: String { hex }

  static let all: [AppendixAEntry] = {
    let path = #filePath.replacing("AppendixATests.swift", with: "Vectors/rfc8949-appendix-a.txt")
    guard let file = try? String(contentsOfFile: path, encoding: .utf8) else { return [] }
    return file.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
      let columns = line.split(separator: " | ", maxSplits: 1)
      return AppendixAEntry(hex: String(columns[0]), expected: String(columns[1]))
    }
  }()
}

@Suite("RFC 8949 appendix A")
struct AppendixATests {
  @Test func isWhole() {
    #expect(AppendixAEntry.all.count == 82)
    #expect(AppendixAEntry.all.count { $0.expected.hasPrefix("refused indefiniteLength") } == 11)
    #expect(AppendixAEntry.all.count { $0.expected.hasPrefix("refused tag") } == 8)
  }

  @Test(arguments: AppendixAEntry.all)
  func isDecodedOrRefused(_ entry: AppendixAEntry) {
    let bytes = [UInt8](hex: entry.hex)
    do {
      let value = try CanonicalCBOR.decode(bytes)
      #expect(diagnostic(value) == entry.expected)
      #expect(CanonicalCBOR.encode(value).hex == entry.hex)
    } catch {
      #expect("refused \(error)" == entry.expected)
    }
  }
}
