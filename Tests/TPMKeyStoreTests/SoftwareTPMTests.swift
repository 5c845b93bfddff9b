import Authenticator
import Glibc
import Platform
import Policy
import TPM
import TestSupport
import Testing
import WebAuthn

@testable import TPMKeyStore

/// swtpm as a child of the daemon.
@Suite struct SoftwareTPMTests {
  private func start(_ folder: Folder, _ records: MemoryRecords, clock: any Timekeeper = SystemTime())
    async throws -> TPMKeyStore
  {
    try await TPMKeyStore.start(
      connection: .software(directory: folder.path), records: records, allowSoftware: true, log: .silent,
      clock: clock
    ).store
  }

  private func makeKey(_ store: TPMKeyStore) async throws -> (key: CredentialKey, publicKey: CredentialPublicKey) {
    try await store.createKey(.es256, binding: binding("one"), caller: caller(1), presence: presence(.register))
  }

  private func sign(_ store: TPMKeyStore, _ key: CredentialKey) async throws -> [UInt8] {
    try await store.sign(
      digest: [UInt8](repeating: 1, count: 32), with: key, caller: caller(1), presence: presence(.authenticate))
  }

  @Test func itKeepsItsStateAndEndsWithTheStore() async throws {
    let folder = try Folder()
    let records = MemoryRecords()
    let store = try await start(folder, records)
    let key = try await makeKey(store).key
    let process = try #require(store.status.softwareProcess)
    #expect(kill(process, 0) == 0)
    var information = stat()
    #expect(stat(folder.path, &information) == 0 && information.st_mode & 0o777 == 0o700)
    guard case .software = store.status.nature else { throw Unexpected() }
    #expect(store.status.connection == "software TPM in \(folder.path)")
    await store.stop()
    #expect(kill(process, 0) == -1)
    let again = try await start(folder, records)
    #expect(try await !sign(again, key).isEmpty)
    await again.stop()
  }

  /// Nobody asks for anything, and yet it is started again.
  @Test func itIsStartedAgainWhenItDies() async throws {
    let folder = try Folder()
    let store = try await start(folder, MemoryRecords())
    let key = try await makeKey(store).key
    for round in 1...3 {
      let process = try #require(store.status.softwareProcess)
      kill(process, SIGKILL)
      try await eventually { store.status.reconnections == round }
      #expect(store.status.softwareProcess != process)
      #expect(try await !sign(store, key).isEmpty)
    }
    await store.stop()
  }

  /// Killed in the midst of requests: each is served or told that the TPM is away.
  @Test func requestsSurviveItsDeath() async throws {
    let folder = try Folder()
    let store = try await start(folder, MemoryRecords())
    let (key, _) = try await makeKey(store)
    for round in 0..<300 {
      if round.isMultiple(of: 100), let process = store.status.softwareProcess { kill(process, SIGKILL) }
      do {
        #expect(try await !sign(store, key).isEmpty)
      } catch KeyStoreError.unavailable {
      }
    }
    try await eventually { try await !sign(store, key).isEmpty }
    await store.stop()
  }

  @Test func oneThatHangsIsReplaced() async throws {
    let folder = try Folder()
    let clock = ManualTime()
    let store = try await start(folder, MemoryRecords(), clock: clock)
    let key = try await makeKey(store).key
    let process = try #require(store.status.softwareProcess)
    kill(process, SIGSTOP)
    let waiting = Task { await expectUnavailable { _ = try await sign(store, key) } }
    // Behind the first, which the TPM has.
    let second = Task { await expectUnavailable { _ = try await sign(store, key) } }
    try await eventually { store.status.queueLength == 1 }
    clock.advance(by: .seconds(21))
    await waiting.value
    await second.value
    try await eventually { store.status.softwareProcess != process }
    try await eventually { try await !sign(store, key).isEmpty }
    await store.stop()
  }

  /// The daemon is killed: its end of the socket closes, and nothing else happens.
  @Test func itEndsWhenTheSocketCloses() throws {
    let folder = try Folder()
    let software = try SoftwareTPM(directory: folder.path)
    let socket = try software.start()
    let process = try #require(software.descriptor)
    // TPM2_GetRandom of one byte is answered: it is up.
    let command: [UInt8] = [0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7B, 0, 1]
    var response = [UInt8](repeating: 0, count: 13)
    #expect(send(socket, command, command.count, Int32(MSG_NOSIGNAL)) == command.count)
    #expect(recv(socket, &response, response.count, Int32(MSG_WAITALL)) == response.count)
    #expect(response.prefix(10) == [0x80, 0x01, 0, 0, 0, 13, 0, 0, 0, 0])
    #expect(waitUntilReadable([process], within: 0) == nil)
    close(socket)
    #expect(waitUntilReadable([process], within: 60_000) == process)
    software.end(within: 0)
  }

  @Test func twoDoNotShareAFolder() async throws {
    let folder = try Folder()
    let store = try await start(folder, MemoryRecords())
    let error = await #expect(throws: KeyStoreError.self) { try await start(folder, MemoryRecords()) }
    #expect(error?.description.contains("another countersignd uses \(folder.path): stop it") == true)
    await store.stop()
  }

  @Test(arguments: ["relative/folder", "", "/tmp/with,comma", "/does/not/exist/anywhere"])
  func foldersThatCannotBeAreRefused(directory: String) {
    let error = #expect(throws: KeyStoreError.self) { try SoftwareTPM(directory: directory) }
    #expect(error?.description.hasPrefix("software TPM") == true)
  }

  /// A link in the folder's place is not followed, nor is what it leads to changed.
  @Test(arguments: ["", "/"]) func aLinkIsNoFolder(ending: String) throws {
    let folder = TemporaryDirectory()
    let target = folder.path + "/target"
    #expect(mkdir(target, 0o755) == 0 && symlink(target, folder.path + "/link") == 0)
    let error = #expect(throws: KeyStoreError.self) { try SoftwareTPM(directory: folder.path + "/link" + ending) }
    #expect(error?.description.contains("Not a directory") == true)
    #expect(mode(of: target) == 0o755)
  }

  @Test func aFolderOfAnotherUserIsRefused() throws {
    let folder = TemporaryDirectory()
    // Another's, whoever runs the test.
    let theirs = geteuid() == 0 ? folder.path + "/theirs" : "/usr"
    if geteuid() == 0 { #expect(mkdir(theirs, 0o755) == 0 && chown(theirs, 65_534, 65_534) == 0) }
    let error = #expect(throws: KeyStoreError.self) { try SoftwareTPM(directory: theirs) }
    #expect(error?.description.contains("belongs to uid") == true)
    #expect(mode(of: theirs) == 0o755)
  }

  @Test func theLogIsNotWrittenThroughALink() throws {
    let folder = TemporaryDirectory()
    let victim = folder.path + "/victim"
    try overwrite(victim, with: [1, 2, 3])
    #expect(mkdir(folder.path + "/tpm", 0o755) == 0 && symlink(victim, folder.path + "/tpm/swtpm.log") == 0)
    let software = try SoftwareTPM(directory: folder.path + "/tpm")
    #expect(mode(of: folder.path + "/tpm") == 0o700)
    let error = #expect(throws: KeyStoreError.self) { close(try software.start()) }
    #expect(error?.description.contains("swtpm.log") == true)
    #expect(contents(of: victim) == [1, 2, 3])
    #expect(software.lastWords == nil)
  }

  private func mode(of path: String) -> UInt32 {
    var information = stat()
    return stat(path, &information) == 0 ? information.st_mode & 0o7777 : 0
  }

  @Test func aMissingProgramIsAClearError() throws {
    let folder = try Folder()
    let software = try SoftwareTPM(directory: folder.path, program: "no-such-swtpm")
    let error = #expect(throws: KeyStoreError.self) { try software.start() }
    #expect(error?.description.contains("not installed") == true)
  }
}

@Suite struct ChildProcessTests {
  /// No blocked or ignored signal, no descriptor but the ones handed over.
  @Test func theChildInheritsNothingElse() throws {
    let stray = open("/dev/null", O_RDONLY)  // without O_CLOEXEC
    defer { close(stray) }
    var everything = sigset_t()
    var before = sigset_t()
    sigfillset(&everything)
    pthread_sigmask(SIG_BLOCK, &everything, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    // 3 is the folder that ls reads.
    #expect(try output(of: "ls", ["/proc/self/fd"]) == "0\n1\n2\n3\n")
    let signals = try output(of: "grep", ["Sig[BI]", "/proc/self/status"]).split(separator: "\n")
    #expect(signals.first == "SigBlk:\t0000000000000000")
    // 32 and 33 are the C library's own.
    #expect(signals.last == "SigIgn:\t0000000180000000" || signals.last == "SigIgn:\t0000000000000000")
  }

  private func output(of program: String, _ arguments: [String]) throws -> String {
    var pair: [Int32] = [-1, -1]
    try checked("pipe") { pipe(&pair) }
    let output = Descriptor(owning: pair[0])
    let input = Descriptor(owning: pair[1])
    let null = try Descriptor(opening: "/dev/null", flags: O_RDWR)
    let child = try ChildProcess(program, arguments: arguments, descriptors: [null.raw, input.raw, null.raw])
    child.end(within: 60_000)
    return String(decoding: try output.read(upTo: 4096), as: UTF8.self)
  }

  @Test func aMissingProgramIsAnError() throws {
    let error = #expect(throws: SystemError.self) {
      try ChildProcess("no-such-program", arguments: [], descriptors: [])
    }
    #expect(error?.code == ENOENT)
  }

  @Test func itIsReapedWithItsValue() throws {
    var child: ChildProcess? = try ChildProcess("sleep", arguments: ["1000"], descriptors: [])
    let identifier = try #require(child?.identifier)
    #expect(child?.waitForEnd(within: 0) == false)
    child = nil
    #expect(kill(identifier, 0) == -1)
  }
}

/// A folder for the time of a test.
private final class Folder {
  let path: String

  init() throws {
    var template = Array("/tmp/countersign-swtpm-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SystemError(call: "mkdtemp", code: errno) }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    for name in ["tpm2-00.permall", "tpm2-00.volatilestate", ".lock", "swtpm.log"] { unlink(path + "/" + name) }
    rmdir(path)
  }
}
