import Glibc
import Platform
import TestSupport
import Testing

/// What `make fuzz` began with and what it has found, through the same functions.
@Suite struct FuzzReplayTests {
  struct Input: Sendable, CustomTestStringConvertible {
    let target: FuzzTarget
    let path: String

    var testDescription: String { path.split(separator: "/").suffix(3).joined(separator: "/") }
  }

  private static let home = #filePath.split(separator: "/").dropLast(2).reduce("") { "\($0)/\($1)" }

  private static let inputs = ["Corpus", "Crashes"].flatMap { folder in
    FuzzTarget.all.flatMap { target in
      names(in: "\(home)/\(folder)/\(target.name)").sorted().map { name in
        Input(target: target, path: "\(home)/\(folder)/\(target.name)/\(name)")
      }
    }
  }

  @Test(arguments: inputs) func holds(_ input: Input) throws {
    try input.target.check(try #require(contents(of: input.path)))
  }

  @Test func everyTargetHasSeedsAndEveryFolderATarget() {
    let targets = Set(FuzzTarget.all.map(\.name))
    #expect(Set(names(in: Self.home + "/Corpus")) == targets)
    #expect(targets.isSuperset(of: names(in: Self.home + "/Crashes").filter { !$0.hasPrefix(".") }))
    for target in targets { #expect(!names(in: "\(Self.home)/Corpus/\(target)").isEmpty) }
  }
}
