import CTAPHID
import Glibc
import TestSupport
import Testing

@testable import Platform
@testable import Transports

@Suite(.timeLimit(.minutes(1))) struct ListenerTests {
  private func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  private func failure(_ path: String) -> ListenerError? {
    do {
      _ = try Listener(path: path, mode: 0o600)
      return nil
    } catch {
      return error
    }
  }

  @Test func ownSocket() throws {
    let folder = TemporaryDirectory()
    let path = folder.path("s")
    do {
      let listener = try Listener(path: path, mode: 0o660)
      var status = stat()
      #expect(lstat(path, &status) == 0)
      #expect(status.st_mode & 0o7777 == 0o660)
      #expect(try UnixSocket.isListening(at: path))
      #expect(failure(path) == .inUse(path: path), "a live one is not stolen")
      #expect(exists(path))
      _ = listener
    }
    #expect(!exists(path))
  }

  /// The operator's, where it stands in a folder of its own.
  @Test func aLinkGoesWithItsSocket() throws {
    let folder = TemporaryDirectory()
    let (path, link) = (folder.path("s"), folder.path("l"))
    do {
      let listener = try Listener(path: path, mode: 0o600, link: link)
      #expect(target(ofLink: link) == path)
      #expect(try UnixSocket.isListening(at: link))
      _ = listener
    }
    #expect(!exists(path) && target(ofLink: link) == nil)
    do {
      let listener = try Listener(path: path, mode: 0o600, link: link)
      // Another daemon's.
      try replaceWithLink(at: link, to: folder.path("other"))
      _ = listener
    }
    #expect(target(ofLink: link) == folder.path("other"))
    #expect(throws: ListenerError.self) { _ = try Listener(path: path, mode: 0o600, link: folder.path("none/l")) }
    #expect(!exists(path))
  }

  @Test func staleSocketsAreReplaced() throws {
    let folder = TemporaryDirectory()
    let path = folder.path("s")
    do { _ = try UnixSocket.listen(at: path, mode: 0o600) }
    #expect(exists(path))
    let listener = try Listener(path: path, mode: 0o600)
    #expect(try UnixSocket.isListening(at: path))
    _ = listener
  }

  @Test func onlyOurOwnFileIsRemoved() throws {
    let folder = TemporaryDirectory()
    let path = folder.path("s")
    do {
      let listener = try Listener(path: path, mode: 0o600)
      unlink(path)
      _ = try UnixSocket.listen(at: path, mode: 0o600)
      _ = listener
    }
    #expect(exists(path))
  }

  @Test func otherFilesStay() throws {
    let folder = TemporaryDirectory()
    let path = folder.path("file")
    do { _ = try Descriptor(opening: path, flags: O_CREAT | O_WRONLY) }
    symlink(path, folder.path("link"))
    #expect(failure(path) == .notASocket(path: path))
    #expect(failure(folder.path("link")) == .notASocket(path: folder.path("link")))
    #expect(exists(path) && exists(folder.path("link")))
  }

  @Test func messages() {
    let folder = TemporaryDirectory()
    let path = folder.path("none/s")
    #expect(failure(path) == .folderMissing(path: path, folder: folder.path("none")))
    #expect("\(ListenerError.folderMissing(path: "/a/b", folder: "/a"))".contains("/a does not exist"))
    let long = folder.path(String(repeating: "x", count: 120))
    #expect(failure(long) == .tooLong(path: long))
  }

  @Test func abstractName() throws {
    let path = "@countersign-\(UInt64.random(in: 0 ... .max))"
    let listener = try Listener(path: path, mode: 0o600)
    #expect(failure(path) == .inUse(path: path))
    _ = listener
  }

  @Test func passedDescriptors() throws {
    let folder = TemporaryDirectory()
    let path = folder.path("s")
    do {
      let listener = try Listener(name: "ctap", passed: UnixSocket.listen(at: path, mode: 0o600))
      #expect(listener.name == "ctap")
    }
    #expect(exists(path), "the file is systemd's")
    let wrong: [() throws -> Int32] = [
      { try Descriptor(opening: "/dev/null", flags: O_RDONLY).release() },
      { socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0) },
      { socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0) },
      {
        let made = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        listen(made, 1)
        return made
      },
    ]
    for make in wrong {
      let raw = try make()
      #expect(throws: ListenerError.notListening(name: "x")) {
        _ = try Listener(name: "x", passed: Descriptor(owning: raw))
      }
    }
  }

  @Test func servesOnSeveralListeners() async throws {
    let folder = TemporaryDirectory()
    let path = folder.path("s2")
    try await withServer { harness in
      try await harness.server.listen(on: Listener(name: "x", passed: UnixSocket.listen(at: path, mode: 0o600)))
      #expect(try TestClient(path).call(.ping, [1]) == Frame(.ping, [1]))
      #expect(try harness.client().call(.ping, [2]) == Frame(.ping, [2]))
    }
  }

  @Test func failingAcceptRests() async throws {
    // A socket that always has something to accept, and accept(2) always fails: as with EMFILE.
    let folder = TemporaryDirectory()
    let complaints = Lock(0)
    let log = Logger(level: .debug) { _, text in
      if text.contains("cannot accept") { complaints.withLock { $0 += 1 } }
    }
    let harness = try await Harness(path: folder.path("s"), log: log)
    let other = try UnixSocket.listen(at: folder.path("s2"), mode: 0o600)
    let client = try UnixSocket.connect(to: folder.path("s2"))
    guard let broken = try UnixSocket.accept(other) else { throw SystemError(call: "accept", code: EAGAIN) }
    try client.sendAll([1])
    try await harness.server.listen(on: Listener(unchecked: broken))
    await harness.settle()
    await harness.settle()
    #expect(complaints.withLock { $0 } == 1)
    await harness.advance(milliseconds: 99)
    #expect(complaints.withLock { $0 } == 1)
    await harness.advance(milliseconds: 1)
    #expect(complaints.withLock { $0 } == 2)
    await harness.server.stop(within: 0)
    harness.loop.stop()
  }
}

@Suite(.timeLimit(.minutes(1))) struct StopTests {
  @Test func requestsInProgressAreAnswered() async throws {
    let folder = TemporaryDirectory()
    let harness = try await Harness(path: folder.path("s"))
    let idle = try harness.client()
    #expect(try idle.call(.cbor) == Frame(.cbor))
    let busy = try harness.client()
    try busy.send(.cbor, .wait, [1])
    await harness.service.wait(for: .started(.cbor), times: 2)
    let stop = Task { await harness.server.stop(within: 1_000_000_000) }
    #expect(try idle.receive() == nil)
    #expect(access(harness.path, F_OK) != 0)
    #expect(throws: SystemError.self) { _ = try harness.client() }
    // It is still one at a time.
    #expect(try busy.call(.ping) == .error(.channelBusy))
    harness.service.releaseAll()
    #expect(try busy.receive() == Frame(.cbor, [Script.wait.rawValue, 1]))
    #expect(try busy.receive() == nil)
    await stop.value
    #expect(harness.service.happenings.filter { $0 == .closed }.count == 2)
    await harness.server.stop(within: 0)
    harness.loop.stop()
  }

  @Test func slowRequestsAreCancelledAtTheLimit() async throws {
    let folder = TemporaryDirectory()
    let harness = try await Harness(path: folder.path("s"))
    let client = try harness.client()
    try client.send(.cbor, .wait)
    await harness.service.wait(for: .started(.cbor))
    let stop = Task { await harness.server.stop(within: 2_000_000_000) }
    await harness.settle()
    while access(harness.path, F_OK) == 0 { await harness.settle() }
    await harness.advance(milliseconds: 1_999)
    #expect(try client.receive() == .keepalive(.processing))
    #expect(!harness.service.happenings.contains(.cancelled))
    await harness.advance(milliseconds: 1)
    #expect(try client.receive() == Frame(.cbor, [0x2D]))
    #expect(try client.receive() == nil)
    await stop.value
    harness.loop.stop()
  }

  @Test func aServiceThatNeverAnswersIsLeftAlone() async throws {
    let folder = TemporaryDirectory()
    let harness = try await Harness(path: folder.path("s"))
    let client = try harness.client()
    try client.send(.cbor, .stubborn)
    await harness.service.wait(for: .started(.cbor))
    let stop = Task { await harness.server.stop(within: 0) }
    while access(harness.path, F_OK) == 0 { await harness.settle() }
    await harness.advance(milliseconds: 1)
    await harness.service.wait(for: .cancelled)
    await harness.advance(milliseconds: 1_000)
    await stop.value
    #expect(await harness.server.connectionCount == 0)
    harness.service.releaseAll()
    await harness.service.wait(for: .closed)
    await harness.settle()
    harness.loop.stop()
  }

  /// A task that does not end keeps a stop for a second at most, also where all had been closed before.
  @Test func aStopAfterAnAbortHasALimit() async throws {
    let folder = TemporaryDirectory()
    let warnings = Lock<[String]>([])
    let harness = try await Harness(
      path: folder.path("s"),
      log: Logger(level: .warning) { _, line in warnings.withLock { $0.append(line) } })
    let client = try harness.client()
    try client.send(.cbor, .stubborn)
    await harness.service.wait(for: .started(.cbor))
    await harness.server.abort()
    await harness.service.wait(for: .cancelled)
    let hasStopped = Lock(false)
    let stop = Task {
      await harness.server.stop(within: 10_000_000_000)
      hasStopped.withLock { $0 = true }
    }
    await harness.advance(milliseconds: 999)
    #expect(!hasStopped.withLock { $0 })
    await harness.advance(milliseconds: 1)
    await harness.wait { hasStopped.withLock { $0 } || Task.isCancelled }
    #expect(hasStopped.withLock { $0 } && warnings.withLock { $0 } == ["1 request did not end in time"])
    harness.service.releaseAll()
    await stop.value
    await harness.service.wait(for: .closed)
    await harness.settle()
    harness.loop.stop()
  }
}
