import Authenticator
import Glibc
import Platform
import Storage
import TestSupport
import Testing

/// kill -9 at random moments: what was acknowledged is there, what was not is whole or absent.
@Suite struct KillTests {
  private struct Announced {
    let number: Int
    let user: Int
    let isDiscoverable: Bool
  }

  /// The credentials that must be there, by number.
  private struct Model: Equatable {
    var numbers: [Int: Int?] = [:]

    mutating func apply(_ change: Announced) {
      if change.isDiscoverable {
        for (number, user) in numbers where user == change.user { numbers[number] = nil }
      }
      numbers[change.number] = .some(change.isDiscoverable ? change.user : nil)
    }
  }

  @Test func nothingAcknowledgedIsLost() async throws {
    var random = SeededGenerator()
    print("KillTests.nothingAcknowledgedIsLost: seed \(random.seed)")
    let fixture = Fixture()
    var model = Model()
    var next = 1
    var unfinished = 0
    for round in 0..<40 {
      let lines = try runAndKill(
        first: next, seed: random.next(), after: Int.random(in: 0...25, using: &random),
        pause: Int.random(in: 0...2_000_000, using: &random))
      var pending: Announced?
      for line in lines {
        let words = line.split(separator: " ").map(String.init)
        guard words.count >= 2, let number = Int(words[1]) else { throw Unexpected("line: \(line)") }
        if words[0] == "try", words.count == 4, let user = Int(words[2]) {
          pending = Announced(number: number, user: user, isDiscoverable: words[3] == "d")
          next = number + 1
        } else if words[0] == "did", let change = pending, change.number == number {
          model.apply(change)
          pending = nil
        } else {
          throw Unexpected("line: \(line)")
        }
      }
      var possible = [model]
      if let change = pending {
        unfinished += 1
        var changed = model
        changed.apply(change)
        possible.append(changed)
      }
      // Opening checks every page and every index.
      let store = try await fixture.unlocked()
      var found = Model()
      for number in 1..<max(next, 2) {
        let digits = withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) }
        if let credential = try await store.credential(id: digits + digits, relyingPartyID: "example.com") {
          let user = Int(credential.userHandle.last ?? 0)
          found.numbers[number] = .some(credential.isDiscoverable ? user : nil)
        }
      }
      #expect(possible.contains(found), "round \(round)")
      #expect(try await store.count() == found.numbers.count, "round \(round)")
      await store.close()
      model = found
    }
    #expect(unfinished > 0, "no child was killed within a change")
    #expect(fixture.log.all.isEmpty)
    print("KillTests: \(next - 1) announced, \(unfinished) of 40 killed within a change")

    func runAndKill(first: Int, seed: UInt64, after: Int, pause: Int) throws -> [String] {
      try StorageChildProcess(["\(fixture.directory)", "\(first)", "\(seed)"]).kill(afterLines: after, pause: pause)
    }
  }
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
