import Authenticator
import Glibc
import Platform
import Storage
import TestSupport
import Testing

/// kill -9 at random moments: what was acknowledged is there, what was not is whole or absent.
@Suite struct KillTests {
  /// What must be there.
  private struct Model: Equatable, CustomTestStringConvertible {
    struct Account: Equatable {
      /// nil where it is not discoverable.
      var user: Int?
      var version = 0
    }

    var accounts: [Int: Account] = [:]
    var changes = 0
    var settings: Int?
    var blobs: Int?

    var testDescription: String {
      "\(accounts.keys.sorted()), \(changes) changes, settings \(settings ?? -1), blobs \(blobs ?? -1)"
    }

    mutating func apply(_ words: [String]) throws {
      let numbers = words.dropFirst().compactMap { Int($0) }
      switch (words.first, numbers.count) {
      case ("insert", 2):
        let user = words.last == "d" ? numbers[1] : nil
        if user != nil { for (number, account) in accounts where account.user == user { accounts[number] = nil } }
        accounts[numbers[0]] = Account(user: user)
        changes += 1
      case ("update", 2) where accounts[numbers[0]] == nil, ("remove", 1) where accounts[numbers[0]] == nil: break
      case ("update", 2):
        accounts[numbers[0]]?.version = numbers[1]
        changes += 1
      case ("remove", 1):
        accounts[numbers[0]] = nil
        changes += 1
      case ("settings", 1): settings = numbers[0]
      case ("blobs", 1): blobs = numbers[0]
      case ("reset", 1): self = Model(changes: changes + 1, settings: numbers[0])
      default: throw Unexpected("line: \(words)")
      }
    }
  }

  /// What is there; whole, or it throws.
  private func found(in store: CredentialDatabase) async throws -> Model {
    var model = Model()
    for credential in try await store.allCredentials() {
      guard let number = credential.id.suffix(4).number, let user = credential.userHandle.suffix(4).number,
        let words = credential.userName?.split(separator: " "), let version = words.first.flatMap({ Int($0) }),
        words.count == (version == 0 ? 1 : 1 + version % 60), Set(words).count == 1
      else { throw Unexpected("\(credential)") }
      model.accounts[number] = Model.Account(user: credential.isDiscoverable ? user : nil, version: version)
    }
    model.changes = Int(try await store.changes())
    model.settings = try await store.settings().map { Int($0.generation) }
    if let blobs = try await store.largeBlobs() {
      guard let version = blobs.prefix(2).number, blobs.count == 2 + version * 4 % (256 * 1024 - 1),
        blobs.dropFirst(2).allSatisfy({ $0 == UInt8(version & 0xFF) })
      else { throw Unexpected("\(blobs.count) bytes of large blobs, not whole") }
      model.blobs = version
    }
    return model
  }

  @Test func nothingAcknowledgedIsLost() async throws {
    var random = SeededGenerator()
    print("KillTests.nothingAcknowledgedIsLost: seed \(random.seed)")
    let fixture = Fixture()
    var model = Model()
    var next = 1
    var unfinished: [String: Int] = [:]
    for round in 0..<60 {
      let child = try StorageChildProcess(["\(fixture.directory)", "\(next)", "\(random.next())"])
      let lines = child.kill(
        afterLines: Int.random(in: 0...25, using: &random), pause: Int.random(in: 0...2_000_000, using: &random))
      var pending: [String]?
      for line in lines {
        let words = line.split(separator: " ").map(String.init)
        if words == ["did"], let change = pending {
          try model.apply(change)
          pending = nil
        } else if pending == nil {
          pending = words
          if words.first == "insert" { next += 1 }
        } else {
          throw Unexpected("line: \(line)")
        }
      }
      var possible = [model]
      if let change = pending {
        unfinished[change[0], default: 0] += 1
        try model.apply(change)
        possible.append(model)
      }
      // Opening checks every page and every index.
      let store = try await fixture.unlocked()
      model = try await found(in: store)
      #expect(possible.contains(model), "round \(round)")
      #expect(try await store.count() == model.accounts.count, "round \(round)")
      await store.close()
    }
    #expect(!unfinished.isEmpty, "no child was killed within a change")
    #expect(fixture.log.all.isEmpty)
    print("KillTests: \(next - 1) inserted; of 60 killed within a change: \(unfinished)")
  }
}

extension Collection<UInt8> {
  /// Big endian.
  fileprivate var number: Int? { isEmpty ? nil : reduce(0) { $0 << 8 | Int($1) } }
}

/// The helper program beside the tests.
private struct StorageChildProcess {
  private let process: pid_t
  private let output: Int32

  init(_ arguments: [String]) throws {
    var pipes: [Int32] = [0, 0]
    // Another test's child must not inherit the writing end.
    let kind = Int32(bitPattern: SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &pipes) == 0 else { throw Unexpected("socketpair") }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO)
    let program = try StorageChildProcess.program()
    var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var process = pid_t()
    let status = posix_spawn(&process, program, &actions, nil, &words, environ)
    close(pipes[1])
    guard status == 0 else {
      close(pipes[0])
      throw Unexpected("posix_spawn \(program): \(status)")
    }
    self.process = process
    output = pipes[0]
  }

  /// Kills it a random while after a random line, and gives all lines that it wrote.
  func kill(afterLines count: Int, pause: Int) -> [String] {
    let reader = Descriptor(owning: output)
    var bytes: [UInt8] = []
    while bytes.count(where: { $0 == 0x0A }) < count, let part = try? reader.read(upTo: 64), !part.isEmpty {
      bytes += part
    }
    // Not a wait for anything: the moment of the kill is to be anywhere within a change.
    var moment = timespec(tv_sec: 0, tv_nsec: pause)
    nanosleep(&moment, nil)
    Glibc.kill(process, SIGKILL)
    while let part = try? reader.read(upTo: 1 << 16), !part.isEmpty { bytes += part }
    var status: Int32 = 0
    waitpid(process, &status, 0)
    return bytes.split(separator: 0x0A).map { String(decoding: $0, as: UTF8.self) }
  }

  private static func program() throws -> String {
    var name = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &name, name.count)
    guard count > 0 else { throw Unexpected("readlink") }
    let path = String(decoding: name.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return (path.split(separator: "/").dropLast().map { "/\($0)" }.joined()) + "/StorageChild"
  }
}
