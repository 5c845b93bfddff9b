import Platform
import Testing

@testable import Commands

/// countersign(1) names every command with what it takes, and nothing else.
@Suite struct ManualTests {
  private static let home = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" }

  private static func page(_ name: String) throws -> String {
    let file = try Descriptor(opening: "\(home)/man/\(name)", flags: 0)
    var bytes: [UInt8] = []
    while case let part = try file.read(upTo: 65_536), !part.isEmpty { bytes += part }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The options that a part of a page names.
  private static func options(_ text: some StringProtocol) -> Set<String> {
    Set(
      text.split(separator: "Fl -").dropFirst().map { rest in
        "--" + rest.prefix { $0 == "-" || $0.isLetter || $0.isNumber }
      })
  }

  /// Of the synopsis: the commands that a form is of, and its text.
  private static func forms(_ page: String) -> [(commands: Set<String>, text: Substring)] {
    let synopsis = page.split(separator: ".Sh ").first { $0.hasPrefix("SYNOPSIS") } ?? ""
    return synopsis.split(separator: ".Nm\n").dropFirst().map { form in
      var words = form.prefix { $0 != "\n" }.split(separator: " ").dropFirst()
      if let end = words.firstIndex(where: { ["Ar", "Op", "Fl"].contains($0) }) { words = words[..<end] }
      let names = words.filter { $0 != "Cm" && $0 != "|" }.map(String.init)
      return (Set(names.prefix(1) + names.dropFirst().map { "\(names[0]) \($0)" }), form)
    }
  }

  @Test(arguments: Commands.Command.allCases)
  func theSynopsisIsThatOfTheHelp(command: Commands.Command) throws {
    let page = try Self.page("countersign.1")
    let forms = Self.forms(page).filter { $0.commands.contains(command.rawValue) }
    try #require(!forms.isEmpty)
    var named = forms.reduce(into: Set()) { $0.formUnion(Self.options($1.text)) }
    let taken = Set(HelpText.options(in: Help.of(command)).map(\.name)).subtracting(["--help"])
    if forms.contains(where: { $0.text.contains("| caller") }) {
      // What an invented caller is made of has a list of its own.
      named.formUnion(Self.options(page).intersection(taken))
    }
    if command.isHandedOver { named.formUnion(["--version"]) }
    #expect(named == taken, "\(named.symmetricDifference(taken).sorted())")
  }

  @Test(arguments: Commands.Command.allCases)
  func everyCommandIsDescribed(command: Commands.Command) throws {
    let words = "Cm " + command.rawValue.split(separator: " ").joined(separator: " Cm ")
    let description = try Self.page("countersign.1").split(separator: ".Sh ").filter { !$0.hasPrefix("SYNOPSIS") }
    let lines = description.flatMap { $0.split(separator: "\n") }
    // In a list, or in a section of its own.
    #expect(
      [".It " + words, "." + words].contains { start in lines.contains { $0 == start || $0.hasPrefix(start + " ") } },
      "\(words)")
  }
}
