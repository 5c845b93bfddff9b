import AuditLog
import Glibc
import Platform
import Policy
import TestSupport
import Testing

@testable import Configuration

private func caller(user: UInt32, groups: [UInt32] = [], unit: String? = nil) -> Caller {
  Caller(connection: 1, user: user, group: 9999, process: nil, supplementaryGroups: groups, unit: unit)
}

private func allows(
  _ book: RuleBook, _ caller: Caller, _ operation: Policy.Operation, _ party: String?
) -> Bool {
  do throws(Refusal) {
    _ = try book.judge(caller, operation, party.map(Scope.relyingParty) ?? .all)
    return true
  } catch {
    return false
  }
}

struct LoadingTests {
  @Test func theExampleOfTheDesignMeansWhatItSays() throws {
    let folder = TemporaryDirectory()
    let path = try folder.write(
      """
      {
        tpm: { tcti: "device:/dev/tpmrm0", allowSoftware: false },
        rules: [
          {
            name: "deploy",
            callers: [{ user: "gitlab-runner" }, { group: "ci", unit: "actions.runner.service" }],  // any of
            relyingParties: ["deploy.example.com", "*.internal.example"],
            operations: ["register", "authenticate"],
            userVerification: false,            // may these callers count as verified?
          },
        ],
      }
      """)
    let loaded = try loader.load(path)
    #expect(loaded.files == [path] && loaded.notices.isEmpty)
    #expect(loaded.settings.tpm == .tcti("device:/dev/tpmrm0") && !loaded.settings.allowSoftwareTPM)
    let book = loaded.settings.rules
    #expect(allows(book, caller(user: 997), .register, "deploy.example.com"))
    #expect(
      allows(book, caller(user: 5, groups: [500], unit: "actions.runner.service"), .authenticate, "a.internal.example"))
    #expect(!allows(book, caller(user: 5, groups: [500]), .authenticate, "a.internal.example"))
    #expect(!allows(book, caller(user: 997), .register, "internal.example"))
    #expect(!allows(book, caller(user: 997), .reset, nil))
  }

  @Test func jobsAndOperatorHaveASocketEach() throws {
    let folder = TemporaryDirectory()
    let error = #expect(throws: ConfigurationError.self) {
      try loader.load(folder.write("{ socket: '/run/a', adminSocket: '/run/a', rules: [] }"))
    }
    #expect(error?.description.contains("socket and adminSocket are both \"/run/a\"") == true)
    // Whichever of them an option says.
    var settings = Settings()
    settings.socket = settings.adminSocket
    #expect(throws: ConfigurationError.self) { try settings.check("f") }
  }

  @Test func aServiceIsAUnit() throws {
    let folder = TemporaryDirectory()
    let book = try loader.load(
      folder.write(withRule(callers: "[{ service: 'countersign-hid' }, { service: 'job@7', user: 'root' }]"))
    ).settings.rules
    #expect(allows(book, caller(user: 5, unit: "countersign-hid.service"), .authenticate, "a.example"))
    #expect(allows(book, caller(user: 0, unit: "job@7.service"), .authenticate, "a.example"))
    for unit in ["countersign-hid", "countersign-hid.scope", "a-countersign-hid.service", "job@7.service", nil] {
      #expect(!allows(book, caller(user: 5, unit: unit), .authenticate, "a.example"))
    }
  }

  /// The example that is installed names root, whom every machine has.
  @Test func theInstalledExampleIsRight() throws {
    let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    let text = try Descriptor(opening: root + "/systemd/countersign.json", flags: O_RDONLY).read(upTo: 100_000)
    let folder = TemporaryDirectory()
    let loaded = try ConfigurationLoader().load(folder.write(text))
    #expect(allows(loaded.settings.rules, caller(user: 0), .register, "localhost"))
    // What it shows in comments is right too: the defaults, and the keys that there are.
    let shown = String(decoding: text, as: UTF8.self)
      .replacing("// socket", with: "socket").replacing("// adminSocket", with: "adminSocket")
      .replacing("// stateDirectory", with: "stateDirectory").replacing("// auditLog", with: "auditLog")
      .replacing("// limits", with: "limits").replacing("// log", with: "log")
    let defaults = try ConfigurationLoader().load(folder.write(shown))
    #expect(defaults.settings == loaded.settings)
    let software = shown.replacing("// softwareDirectory", with: "softwareDirectory")
      .replacing("tcti: \"device", with: "// tcti: \"device").replacing(
        "allowSoftware: false", with: "allowSoftware: true")
    let other = try ConfigurationLoader().load(folder.write(software))
    #expect(other.settings.tpm == .software(directory: "/var/lib/countersign/swtpm") && other.settings.allowSoftwareTPM)
  }

  @Test func everyKeyIsTaken() throws {
    let folder = TemporaryDirectory()
    let settings = try loader.load(
      folder.write(
        """
        { tpm: { tcti: 'swtpm:path=/x', allowSoftware: true, resourceManager: true,
                 pins: { handles: '0x81000100-0x8100010F', count: 2, writesPerDay: 0, burst: 3 } }, socket: '/a', adminSocket: '/b', adminGroup: 6, stateDirectory: '/c',
          auditLog: '/d', limits: { connections: 7, credentials: 0x10, waitSeconds: 9 },
          log: { level: 'debug' },
          audit: { rotateAfter: '100MB', keep: 5, signAfterRecords: 10, signAfterSeconds: 20, journal: false },
          rules: [{ name: 'r', callers: [{ user: 5 }, { group: '6' }, { user: '0' }], relyingParties: ['*'],
                    operations: ['manage'], userVerification: true }] }
        """)
    ).settings
    var expected = Settings()
    expected.resourceManager = true
    expected.pins.handles = 0x8100_0100...0x8100_010F
    (expected.pins.count, expected.pins.writesPerDay, expected.pins.burst) = (2, 0, 3)
    expected.tpm = .tcti("swtpm:path=/x")
    expected.allowSoftwareTPM = true
    expected.audit.rotateAfter = 100_000_000
    expected.audit.keep = 5
    expected.audit.signAfterRecords = 10
    expected.audit.signAfterSeconds = 20
    expected.audit.copiesToJournal = false
    expected.socket = "/a"
    expected.adminSocket = "/b"
    expected.adminGroup = 6
    expected.stateDirectory = "/c"
    expected.auditLog = "/d"
    expected.maximumConnections = 7
    expected.maximumCredentials = 16
    expected.maximumWait = 9
    expected.logLevel = .debug
    expected.rules = try RuleBook([
      Rule(
        name: "r", callers: [CallerPattern(user: 5), CallerPattern(group: 6), CallerPattern(user: 0)],
        relyingParties: [.any], operations: [.manage], userVerification: true)
    ])
    #expect(settings == expected)
  }

  @Test func everyKeyOfARuleIsTaken() throws {
    let folder = TemporaryDirectory()
    let id = String(repeating: "0123456789abcdef", count: 4)
    let file = try folder.write(
      """
      { rules: [{ name: "r", operations: ["register", "authenticate"], relyingParties: ["a.example"],
        callers: [{ user: 5, group: 6, unit: "a.service", slice: "ci.slice", container: "\(id)", executable: "/bin/a",
          executableSHA256: "\(id.uppercased())", socket: "ctap-a", grant: true }, { container: "*" }],
        accounts: [{ userHandle: "AQI" }, { userName: "a" }, { userName: "b-*" }], userVerification: true,
        signatureCounter: "zero", attestation: "none", rate: { perMinute: 6, burst: 2 }, maxRegistrations: 3,
        hours: ["Mon 08:00-18:00 UTC", "Sat 08:00-18:00 local"], requireGrant: true,
        requireClaims: { repository: "org/*", ref: ["a", "b"] }, bindClaims: true,
      }, { name: "s", operations: ["authenticate"], relyingParties: ["b.example"], callers: [{ user: 5 }],
        rate: { perMinute: 6 }, hours: "08:00-18:00 UTC" }] }
      """)
    var terms = Terms()
    terms.userVerification = true
    terms.signatureCounter = .zero
    terms.attestation = [.none]
    terms.rate = Rate(perMinute: 6, burst: 2)
    terms.maximumRegistrations = 3
    terms.hours = [try Hours("Mon 08:00-18:00 UTC"), try Hours("Sat 08:00-18:00 local")]
    terms.requiresGrant = true
    terms.requiredClaims = ["repository": [ClaimPattern("org/*")], "ref": [ClaimPattern("a"), ClaimPattern("b")]]
    terms.bindsClaims = true
    var others = Terms()
    others.rate = Rate(perMinute: 6, burst: 6)
    others.hours = [try Hours("08:00-18:00 UTC")]
    let expected = try RuleBook([
      Rule(
        name: "r",
        callers: [
          CallerPattern(
            user: 5, group: 6, unit: "a.service", slice: "ci.slice", container: .id(id), executable: "/bin/a",
            executableDigest: Array(repeating: [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef], count: 4).flatMap(
              \.self), socket: "ctap-a", byGrant: true),
          CallerPattern(container: .any),
        ],
        relyingParties: [.exact("a.example")], operations: [.register, .authenticate],
        accounts: [.userHandle([1, 2]), .userName("a"), .userNamePrefix("b-")], terms: terms),
      Rule(
        name: "s", callers: [CallerPattern(user: 5)], relyingParties: [.exact("b.example")],
        operations: [.authenticate], terms: others),
    ])
    #expect(try loader.load(file).settings.rules == expected)
  }

  @Test func laterFilesAppendRulesAndReplaceTheRest() throws {
    let folder = TemporaryDirectory()
    func rule(_ name: String) -> String {
      withRule(name: "'\(name)'", parties: "['\(name).example']").dropLast(2) + ","
    }
    let main = try folder.write(rule("a") + " socket: '/a', limits: { connections: 5, credentials: 5 } }")
    let ten = try folder.write(rule("c") + " socket: '/c' }", to: "conf.d/10-c.json")
    let nine = try folder.write(rule("d") + " limits: { connections: 9 } }", to: "conf.d/9-d.json")
    try folder.write("not read", to: "conf.d/.hidden.json")
    try folder.write("not read", to: "conf.d/10-c.json.bak")
    let loaded = try loader.load(main)
    #expect(loaded.files == [main, ten, nine])
    #expect(loaded.settings.rules.rules.map(\.name) == ["a", "c", "d"])
    #expect(loaded.settings.socket == "/c")
    #expect(loaded.settings.maximumConnections == 9 && loaded.settings.maximumCredentials == 5)
  }

  @Test func withoutRulesNothingIsAllowedAndThatIsSaid() throws {
    let folder = TemporaryDirectory()
    for text in ["{}", "{ rules: [] }", "\u{feff}{}", "// only this\n{}"] {
      let loaded = try loader.load(folder.write(text))
      #expect(loaded.settings.rules == .empty)
      #expect(loaded.notices.count == 1 && loaded.notices[0].contains("every request will be refused"))
    }
  }

  @Test func aMissingFileIsAnErrorUnlessTheOptionsGiveEverything() throws {
    let folder = TemporaryDirectory()
    #expect(
      try complaint(in: folder)
        == "F/countersign.json: there is no such file: write one with at least one rule (the package brings an "
        + "example), or name another with --config; for a trial beside it, without root or a TPM, see the example of "
        + "countersignd --help")
    let loaded = try loader.load(folder.path + "/countersign.json", mayBeMissing: true)
    #expect(loaded.settings == Settings() && loaded.files.isEmpty)
    #expect(loaded.notices.count == 2 && loaded.notices[0].contains("there is no such file"))
  }

  @Test func theMachinesUsersAndGroupsAreFound() throws {
    #expect(try Accounts.user(named: "root") == 0)
    #expect(try Accounts.group(named: "root") == 0)
    for name in ["", "no-such-account", "root\0", "root\0x", "0", "root ", String(repeating: "x", count: 100_000)] {
      #expect(try Accounts.user(named: name) == nil)
      #expect(try Accounts.group(named: name) == nil)
    }
  }
}

struct UntrustworthyFiles {
  @Test(arguments: [0o646, 0o664, 0o666] as [mode_t])
  func othersCannotWriteToIt(_ mode: mode_t) throws {
    let folder = TemporaryDirectory()
    chmod(try folder.write(withRule()), mode)
    #expect(
      try complaint(in: folder)
        == "F/countersign.json: can be changed by its group or by everyone: forbid it: chmod go-w 'F/countersign.json'")
  }

  @Test(.enabled(if: geteuid() == 0, "only root can give files away"))
  func noFileOfAStranger() throws {
    let folder = TemporaryDirectory()
    chown(try folder.write(withRule()), 12345, 0)
    #expect(
      try complaint(in: folder)
        == "F/countersign.json: belongs to uid 12345, who could change who may sign: make it root's: "
        + "chown root 'F/countersign.json'")
  }

  @Test func theSameHoldsForMoreFilesAndTheirFolder() throws {
    let folder = TemporaryDirectory()
    try folder.write(withRule())
    let more = try folder.write("{}", to: "conf.d/a.json")
    #expect(try complaint(in: folder) == nil)
    chmod(more, 0o666)
    #expect(try complaint(in: folder)?.hasPrefix("F/conf.d/a.json: can be changed") == true)
    chmod(more, 0o644)
    chmod(folder.path + "/conf.d", 0o777)
    #expect(try complaint(in: folder)?.hasPrefix("F/conf.d: can be changed") == true)
  }

  @Test func onlyRegularFiles() throws {
    let folder = TemporaryDirectory()
    mkfifo(folder.path + "/countersign.json", 0o600)
    #expect(
      try complaint(in: folder) == "F/countersign.json: not a regular file: put the configuration into a file")
    unlink(folder.path + "/countersign.json")
    mkdir(folder.path + "/countersign.json", 0o700)
    #expect(try complaint(in: folder)?.contains("not a regular file") == true)
  }

  @Test func aFolderOfFilesThatIsNone() throws {
    let folder = TemporaryDirectory()
    try folder.write(withRule())
    try folder.write("{}", to: "conf.d")
    #expect(try complaint(in: folder)?.hasPrefix("F/conf.d: cannot be read: ") == true)
  }

  @Test func sizeIsBounded() throws {
    let folder = TemporaryDirectory()
    try folder.write("{}" + String(repeating: " ", count: (1 << 20) - 2))
    #expect(try complaint(in: folder) == nil)
    try folder.write("{}" + String(repeating: " ", count: (1 << 20) - 1))
    #expect(try complaint(in: folder)?.hasPrefix("F/countersign.json: larger than 1048576 bytes: ") == true)
  }

  @Test func linksLeadToTheFileThatCounts() throws {
    let folder = TemporaryDirectory()
    let file = try folder.write(withRule(), to: "real.json")
    symlink(file, folder.path + "/countersign.json")
    #expect(try complaint(in: folder) == nil)
    chmod(file, 0o666)
    #expect(try complaint(in: folder)?.contains("can be changed") == true)
  }

  /// Neither the path as it is written nor the file's own shows the folder between them.
  @Test(arguments: ["open/hop.json", "door/hop.json"]) func everyLinkOfAChainCounts(_ hop: String) throws {
    let folder = TemporaryDirectory()
    mkdir(folder.path + "/open", 0o755)
    symlink("./open", folder.path + "/door")
    symlink("../real.json", folder.path + "/open/hop.json")
    symlink(hop, folder.path + "/countersign.json")
    try folder.write(withRule(), to: "real.json")
    #expect(try complaint(in: folder) == nil)
    chmod(folder.path + "/open", 0o777)
    #expect(
      try complaint(in: folder)
        == "F/countersign.json: its folder F/open/ can be changed by its group or by everyone, who could put another "
        + "file there: forbid it: chmod go-w 'F/open/'")
  }
}
