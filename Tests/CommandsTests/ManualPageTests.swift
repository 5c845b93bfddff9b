import Commands
import TestSupport
import Testing

/// countersign(1) against `--help`, which is held to what the commands take.
@Suite struct ManualPageTests {
  private let page: [Substring]

  init() throws {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let text = try #require(contents(of: "/\(root)/man/countersign.1"))
    page = String(decoding: text, as: UTF8.self).split(separator: "\n")
  }

  /// The options of a line of mdoc(7), which writes a dash for itself: `Fl -json`.
  private func options(in line: Substring) -> [String] {
    let words = line.split(separator: " ")
    return zip(words, words.dropFirst()).compactMap { $0 == "Fl" || $0 == ".Fl" ? "-\($1)" : nil }
  }

  private func section(_ name: String) -> [Substring] {
    Array(page.drop { $0 != ".Sh \(name)" }.dropFirst().prefix { !$0.hasPrefix(".Sh ") })
  }

  /// Of each command, by its words; those that share an entry (`disable | enable`) each have it.
  private func synopsis() -> [String: Set<String>] {
    var found: [String: Set<String>] = [:]
    for entry in section("SYNOPSIS").split(separator: ".Nm") {
      guard let head = entry.first, head.hasPrefix(".Cm ") else { continue }
      let words = head.split(separator: " ").filter { $0 != ".Cm" && $0 != "Cm" }.prefix { $0 != "Ar" }
      var names = [""]
      if let bar = words.firstIndex(of: "|"), bar > 1, words[0] != "completion" {
        names = words[1...].filter { $0 != "|" }.map { "\(words[0]) \($0)" }
      } else {
        names = [words.prefix(words[0] == "completion" ? 1 : 2).joined(separator: " ")]
      }
      for name in names { found[name, default: []].formUnion(entry.flatMap(options(in:))) }
    }
    return found
  }

  /// `--help` is everybody's.
  private func help(of command: String) -> Set<String> {
    let transcript = Transcript()
    _ = transcript.run(command + " --help")
    return Set(
      transcript.outputText.split(separator: "\n").compactMap { line in
        line.hasPrefix("  ") ? line.split(separator: " ").first { $0.hasPrefix("--") }.map(String.init) : nil
      }
    ).subtracting(["--help"])
  }

  private var commands: [String] {
    let transcript = Transcript()
    _ = transcript.run("--help")
    let lines = transcript.outputText.split(separator: "\n", omittingEmptySubsequences: false)
    return lines.drop { $0 != "Commands:" }.dropFirst().prefix { !$0.isEmpty }.compactMap { line in
      line.dropFirst(2).first == " "
        ? nil : line.dropFirst(2).firstRange(of: "  ").map { String(line.dropFirst(2)[..<$0.lowerBound]) }
    }
  }

  @Test func theSynopsisHasEveryCommandAndItsOptions() {
    let synopsis = synopsis()
    #expect(commands.count >= 40)
    #expect(Set(synopsis.keys) == Set(commands))
    // What describes the caller is summed up as one word.
    let caller = Set(
      [
        "user", "group", "unit", "slice", "container", "executable", "executable-sha256", "caller-socket", "rule",
        "claim",
      ]
      .map { "--\($0)" })
    for command in commands {
      let expected = command == "policy explain" ? help(of: command).subtracting(caller) : help(of: command)
      #expect(synopsis[command] == expected, "\(command)")
    }
  }

  /// In a list, or at the begin of a sentence in a section of its own.
  @Test func everyCommandIsDescribed() {
    let description = section("DESCRIPTION")
    for command in commands {
      let words = "Cm " + command.split(separator: " ").joined(separator: " Cm ")
      let starts = [".It " + words, "." + words]
      #expect(
        description.contains { line in starts.contains { line == $0 || line.hasPrefix($0 + " ") } }, "\(command)")
    }
  }

  @Test func everyOptionIsDescribed() {
    let described = Set(section("DESCRIPTION").flatMap(options(in:)))
    for command in commands {
      let missing = help(of: command).subtracting(described)
      #expect(missing.isEmpty, "\(command): \(missing.sorted())")
    }
  }
}
