import Glibc
import Testing

/// Signing without asking must not compile. Each snippet is compiled as a module of this package (so that what is
/// `package` is visible, as it is to the rooms of the house) against the modules of the running test.
@Suite(.serialized)
struct PresenceMisuseTests {
  @Test func theWayItIsMeantCompiles() throws {
    try expect(
      """
      func use(_ judge: some Judge, _ store: some KeyStore, _ key: CredentialKey, _ caller: Caller) async throws {
        var ledger = Ledger()
        let moment = Moment(monotonicNanoseconds: 0, unixMilliseconds: 0)
        let verdict = try judge.judge(caller, .authenticate, .relyingParty("example.com"))
        let presence = try ledger.admit(verdict, at: moment)
        _ = try await store.sign(digest: [], with: key, caller: caller, presence: presence)
      }
      """, failsWith: nil)
  }

  @Test func nobodyElseMakesOne() throws {
    try expect(
      """
      func use() -> Presence {
        Presence(operation: .authenticate, scope: .all, rule: "mine", terms: Terms())
      }
      """, failsWith: "initializer is inaccessible due to 'internal' protection level")
  }

  @Test func anExtensionMakesNoneEither() throws {
    try expect(
      """
      extension Presence {
        init(mine: Bool) {
          self.operation = .authenticate
          self.scope = .all
          self.rule = "mine"
          self.terms = Terms()
        }
      }
      """, failsWith: "may not be initialized directly")
  }

  @Test func aJudgeOfOnesOwnCannotSayYes() throws {
    try expect(
      """
      struct Yes: Judge {
        func recognises(_ caller: Caller) -> Bool { true }
        func recognises(_ caller: Caller, _ operation: Operation) -> Bool { true }
        func verifies(_ caller: Caller) -> Bool { true }
        func bindsClaims(_ caller: Caller) -> Bool { false }
        var offersEnterpriseAttestation: Bool { false }
        func explain(_ inquiry: Inquiry, at moment: Moment) -> Explanation { fatalError() }
        func doubts(of grant: Grant, from start: Int64, until end: Int64) -> [String] { [] }
        var ruleNames: Set<String> { [] }
        func foresee(_ inquiry: Inquiry) throws(Refusal) -> Prospect { throw Refusal(reason: "") }
        func judge(_ inquiry: Inquiry) throws(Refusal) -> Verdict {
          Verdict(presence: anything(), holder: anything(), grant: nil)
        }
      }
      func anything<Value: ~Copyable>() -> Value { fatalError() }
      """, failsWith: "initializer is inaccessible due to 'internal' protection level")
  }

  @Test func aVerdictIsNoPresence() throws {
    try expect(
      """
      func use(_ judge: some Judge, _ store: some KeyStore, _ key: CredentialKey, _ caller: Caller) async throws {
        let verdict = try judge.judge(caller, .authenticate, .relyingParty("example.com"))
        _ = try await store.sign(digest: [], with: key, caller: caller, presence: verdict.presence)
      }
      """, failsWith: "'presence' is inaccessible due to 'internal' protection level")
  }

  @Test func aVerdictCountsOnce() throws {
    try expect(
      """
      func use(_ judge: some Judge, _ caller: Caller, _ moment: Moment) throws {
        var ledger = Ledger()
        let verdict = try judge.judge(caller, .authenticate, .relyingParty("example.com"))
        _ = try ledger.admit(verdict, at: moment)
        _ = try ledger.admit(verdict, at: moment)
      }
      """, failsWith: "'verdict' consumed more than once")
  }

  @Test func itCannotBeCopied() throws {
    try expect(
      """
      func use(_ presence: borrowing Presence) -> Presence { copy presence }
      """, failsWith: "'copy' cannot be applied to noncopyable types")
  }

  @Test func itCannotBeUsedTwice() throws {
    try expect(
      """
      func use(_ store: some KeyStore, _ key: CredentialKey, _ caller: Caller, _ presence: consuming Presence)
        async throws
      {
        _ = try await store.sign(digest: [1], with: key, caller: caller, presence: presence)
        _ = try await store.sign(digest: [2], with: key, caller: caller, presence: presence)
      }
      """, failsWith: "'presence' consumed more than once")
  }

  @Test func itCannotBeUsedInALoop() throws {
    try expect(
      """
      func use(_ store: some KeyStore, _ key: CredentialKey, _ caller: Caller, _ presence: consuming Presence)
        async throws
      {
        for digest: UInt8 in 0..<9 {
          _ = try await store.sign(digest: [digest], with: key, caller: caller, presence: presence)
        }
      }
      """, failsWith: "'presence' consumed in a loop")
  }

  @Test func nothingIsSignedWithoutOne() throws {
    try expect(
      """
      func use(_ store: some KeyStore, _ key: CredentialKey, _ caller: Caller) async throws {
        _ = try await store.sign(digest: [], with: key, caller: caller)
      }
      """, failsWith: "missing argument for parameter 'presence'")
  }

  // `message`: what every error must say; nil if the snippet must compile.
  private func expect(
    _ snippet: String, failsWith message: String?, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let compiled = try Compiler().compile("internal import Authenticator\ninternal import Policy\n" + snippet)
    let errors = compiled.output.split(separator: "\n").filter { $0.contains(": error: ") }
    if let message {
      #expect(!compiled.succeeded, sourceLocation: sourceLocation)
      #expect(
        !errors.isEmpty && errors.allSatisfy { $0.contains(message) }, "\(compiled.output)",
        sourceLocation: sourceLocation)
    } else {
      #expect(compiled.succeeded, "\(compiled.output)", sourceLocation: sourceLocation)
    }
  }
}

/// The compiler of the running toolchain, with the modules that this test was built with.
private struct Compiler {
  let products: String
  let package: String

  init(file: String = #filePath) throws {
    // The test bundle and the modules are in one folder. Some runners load the bundle, some are it.
    let program = try #require(realpath("/proc/self/exe", nil))
    defer { free(program) }
    let candidates = CommandLine.arguments + [String(cString: program)]
    products = try #require(
      candidates.lazy.filter { $0.contains("/") && $0.contains(".xctest") }
        .map { path in
          let bundle = path.split(separator: "/", omittingEmptySubsequences: false).prefix { !$0.hasSuffix(".xctest") }
          return bundle.joined(separator: "/")
        }
        .first { access($0 + "/Modules/Policy.swiftmodule", R_OK) == 0 },
      "no modules beside the test bundle: \(candidates)")
    // SwiftPM names a package after its folder: this file is ROOT/Tests/PolicyTests/….
    var folder = try #require(file.split(separator: "/").dropLast(3).last).lowercased()
    if folder.hasSuffix(".git") { folder.removeLast(4) }
    // What no C identifier may have becomes an underscore; neither may it begin with a digit.
    let mangled = folder.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" }
    package = String(mangled.first?.isNumber == true ? ["_"] + mangled.dropFirst() : mangled)
  }

  func compile(_ source: String) throws -> (succeeded: Bool, output: String) {
    var template = Array("/tmp/countersign-snippet-XXXXXX".utf8CString)
    let folder = String(cString: try #require(mkdtemp(&template)))
    defer {
      unlink(folder + "/snippet.swift")
      rmdir(folder)
    }
    let file = try #require(fopen(folder + "/snippet.swift", "w"))
    fputs(source, file)
    fclose(file)
    // Uses of noncopyable values are checked after type checking, so up to SIL.
    let command = """
      exec 2>&1; maps=; for map in '\(products)'/*.build/module.modulemap; do maps="$maps -Xcc -fmodule-map-file=$map"; done
      exec swiftc -emit-sil -o /dev/null -parse-as-library -swift-version 6 -package-name '\(package)' \
      -enable-upcoming-feature InternalImportsByDefault -enable-upcoming-feature MemberImportVisibility \
      -enable-upcoming-feature NonisolatedNonsendingByDefault -module-name Snippet \
      -I '\(products)/Modules' $maps '\(folder)/snippet.swift'
      """
    let pipe = try #require(popen(command, "r"))
    var output: [UInt8] = []
    var byte = fgetc(pipe)
    while byte != EOF {
      output.append(UInt8(byte))
      byte = fgetc(pipe)
    }
    return (pclose(pipe) == 0, String(decoding: output, as: UTF8.self))
  }
}
