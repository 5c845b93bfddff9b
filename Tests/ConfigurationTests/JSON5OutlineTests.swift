import FoundationEssentials
import TestSupport
import Testing

@testable import Configuration

struct JSON5OutlineTests {
  private func error(_ text: String) -> JSON5Outline.SyntaxError? {
    do throws(JSON5Outline.SyntaxError) {
      _ = try JSON5Outline(Array(text.utf8))
      return nil
    } catch {
      return error
    }
  }

  @Test func knowsWhereThingsStand() throws {
    let outline = try JSON5Outline(Array("// c\n{ a: [1,\n  'ü', { \"b c\": null }],\n\td: true }".utf8))
    func place(_ path: String) -> String { "\(outline.position(of: path).line):\(outline.position(of: path).column)" }
    #expect(place("") == "2:1" && place("a") == "2:3" && place("a[0]") == "2:7" && place("a[1]") == "3:3")
    // Columns count characters, not bytes.
    #expect(place("a[2]") == "3:8" && place("a[2].\"b c\"") == "3:10" && place("d") == "4:2")
    // What is not there stands where it would stand.
    #expect(place("a[2].x.y[3]") == "3:8" && place("zzz") == "2:1" && place("d.x") == "4:2")
    #expect(outline.kind(of: "a") == .list && outline.kind(of: "a[0]") == .number && outline.kind(of: "a[1]") == .text)
    #expect(outline.kind(of: "a[2]") == .object && outline.kind(of: "d") == .boolean && outline.kind(of: "e") == nil)
  }

  @Test(arguments: [
    ("", "1:1", "the end of the file"), ("{", "1:2", "the end of the file"), ("{a", "1:3", "the end of the file"),
    ("{a:1", "1:5", "the end of the file"), ("{a:1,\n  b:[}", "2:6", "value"), ("[1 2]", "1:4", "\"2\""),
    ("{a:1,,}", "1:6", "key"), ("[,]", "1:2", "value"), ("{} x", "1:4", "after the end"), ("{1a:2}", "1:2", "key"),
    ("{a:'x\n'}", "1:4", "on its line"), ("{a:'x", "1:4", "does not end"), ("{a:\"x'}", "1:4", "does not end"),
    ("{a:'\u{1}'}", "1:5", "control character"), ("{a:'\\q'}", "1:5", "escape"), ("{a:'\\u12'}", "1:5", "escape"),
    ("{a:'\\", "1:5", "escape"), ("{a:'\\ud83d\\ude00'}", "1:5", "half of a character"), ("/* x", "1:1", "comment"),
    ("{}/", "1:3", "comment"), ("{a:truee}", "1:4", "no value"), ("{a:01}", "1:4", "no value"),
    ("{a:NaN}", "1:4", "no value"), ("{a:-Infinity}", "1:4", "no value"), ("{a:0x}", "1:4", "no value"),
    ("{a:1e400}", "1:4", "no value"), ("{a:1-2}", "1:4", "no value"), ("{a:root}", "1:4", "no value"),
    ("{a:1,\n 'a':2}", "2:2", "stands on line 1"), ("{a:{b:1,b:2}}", "1:9", "stands on line 1"),
    (String(repeating: "[", count: 100_000), "1:18", "deep"), ("{a:\u{a0}1}", "1:4", "no value"),
  ])
  func saysWhereATextIsBroken(_ text: String, _ place: String, _ problem: String) throws {
    let found = try #require(error(text))
    #expect("\(found.position.line):\(found.position.column)" == place)
    #expect(found.problem.contains(problem), "\(found)")
    #expect(!found.advice.isEmpty)
  }

  @Test func textThatIsNotUTF8() {
    #expect(throws: JSON5Outline.SyntaxError.self) { try JSON5Outline(Array("{a:'".utf8) + [0xff] + Array("'}".utf8)) }
  }

  /// What the outline takes and JSONDecoder does not would be an error without a place.
  @Test func theDecoderTakesWhatTheOutlineTakes() throws {
    var random = SeededGenerator()
    let pieces = [
      "{", "}", "[", "]", ",", ":", "a", "b1", "'x'", "\"y\\n\"", "'\\x41'", "1", "-2.5", "0x1F", ".5", "5.", "+1",
      "1e3",
      "true", "null", " ", "\n", "\t", "// c\n", "/* d */", "é", "$_", "'\\/'", "'\\u0000'", "'\\u0001'", "'\\x00'",
      "'\\uFFFF'", "\u{c}", "01", "1e", "-", "\\",
    ]
    var taken = 0
    for _ in 0..<20_000 {
      let body = (0..<Int.random(in: 0...6, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }
      for text in ["[" + body.joined() + "]", "{a:" + body.joined() + "}"] where error(text) == nil {
        taken += 1
        let decoder = JSONDecoder()
        decoder.allowsJSON5 = true
        do {
          _ = try decoder.decode(Anything.self, from: Data(text.utf8))
        } catch {
          Issue.record("\(text.debugDescription): \(error), seed \(random.seed)")
        }
      }
    }
    #expect(taken > 1000, "seed \(random.seed)")
  }
}

/// Decodes whatever there is.
private struct Anything: Decodable {
  init(from decoder: any Decoder) throws {
    if let container = try? decoder.container(keyedBy: Key.self) {
      for key in container.allKeys { _ = try container.decode(Anything.self, forKey: key) }
    } else if var container = try? decoder.unkeyedContainer() {
      while !container.isAtEnd { _ = try container.decode(Anything.self) }
    } else {
      let container = try decoder.singleValueContainer()
      if container.decodeNil() || (try? container.decode(Bool.self)) != nil { return }
      if (try? container.decode(String.self)) != nil { return }
      _ = try container.decode(Double.self)
    }
  }

  private struct Key: CodingKey {
    let stringValue: String
    let intValue: Int? = nil
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
}
