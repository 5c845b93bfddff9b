import CTAP
import CTAPHID
import Client
import Commands
import Glibc
import Platform
import TestSupport
import Testing

/// A socket that accepts one connection and does to it what a test says, on a thread of its own.
final class ScriptedServer: Sendable {
  let path: String
  private let finished: EventCounter

  init(_ script: @escaping @Sendable (borrowing Descriptor) -> Void) throws {
    let path = "/tmp/countersign-test-\(getpid())-\(UInt64.random(in: 0 ... .max)).sock"
    let finished = try EventCounter()
    let listener = try UnixSocket.listen(at: path, mode: 0o600).release()
    try startThread(named: "scripted") {
      var ready = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
      poll(&ready, 1, 10_000)
      let connection = Descriptor(owning: Glibc.accept(listener, nil, nil))
      close(listener)
      script(connection)
      finished.signal()
    }
    self.path = path
    self.finished = finished
  }

  deinit {
    unlink(path)
  }

  /// Waits for the end of the script.
  func finish() { finished.wait() }

  /// Reads one frame; nil at the end.
  static func read(_ connection: borrowing Descriptor) -> Frame? {
    var reader = FrameReader()
    while let bytes = try? connection.read(upTo: 1), !bytes.isEmpty {
      var input = bytes[...]
      if let frame = try? reader.next(from: &input) { return frame }
    }
    return nil
  }
}

@Suite struct SocketConnectionTests {
  static func exchange(
    _ request: Frame, milliseconds: UInt32 = 10_000, _ script: @escaping @Sendable (borrowing Descriptor) -> Void
  ) throws -> Result<Frame, ClientError> {
    let server = try ScriptedServer(script)
    let result: Result<Frame, ClientError>
    do throws(ClientError) {
      let deadline = Deadline(milliseconds: milliseconds)
      result = .success(try SocketConnection(path: server.path, until: deadline).exchange(request, until: deadline))
    } catch {
      result = .failure(error)
    }
    server.finish()
    return result
  }

  @Test func exchangesFrames() throws {
    let long = Frame(.ping, [UInt8](repeating: 7, count: Frame.maximumPayload))
    let answer = try Self.exchange(long) { connection in
      guard let request = ScriptedServer.read(connection) else { return }
      try? connection.write(request.encoded())
    }
    #expect(answer == .success(long))
  }

  @Test func passesOverKeepalives() throws {
    let answer = try Self.exchange(Frame(.cbor, [4])) { connection in
      _ = ScriptedServer.read(connection)
      let bytes =
        Frame.keepalive(.processing).encoded() + Frame.keepalive(.userPresenceNeeded).encoded()
        + Frame(.cbor, [0]).encoded()
      for byte in bytes { try? connection.write([byte]) }
    }
    #expect(answer == .success(Frame(.cbor, [0])))
  }

  @Test(arguments: [
    (Frame.error(.channelBusy).encoded(), ClientError.refused(.channelBusy)),
    (Frame(.error).encoded(), .malformed("an ERROR frame without its error byte")),
    (Frame(.ping).encoded(), .malformed("command 0x1 was not asked for")), ([], .disconnected),
    ([0, 0, 0], .disconnected), ([0, 0, 0, 0], .malformed("a frame of impossible length")),
    ([0, 1, 0, 1], .malformed("a frame of impossible length")),
    (Array("HTTP/1.1".utf8), .malformed("a frame of impossible length")),
  ])
  func refusesOtherAnswers(bytes: [UInt8], error: ClientError) throws {
    let answer = try Self.exchange(Frame(.cbor, [4])) { connection in
      _ = ScriptedServer.read(connection)
      try? connection.write(bytes)
    }
    #expect(answer == .failure(error))
  }

  @Test func givesUpAndCancels() throws {
    let cancelled = Lock<Frame?>(nil)
    let seen = SharedFrame(cancelled)
    let answer = try Self.exchange(Frame(.cbor, [4]), milliseconds: 30) { connection in
      _ = ScriptedServer.read(connection)
      // More keepalives do not extend the time limit.
      try? connection.write(Frame.keepalive(.processing).encoded())
      seen.set(ScriptedServer.read(connection))
    }
    #expect(answer == .failure(.timedOut))
    #expect(seen.get() == Frame(.cancel))
  }

  @Test func takesNoLateAnswerForAnother() throws {
    let server = try ScriptedServer { connection in
      _ = ScriptedServer.read(connection)
      _ = ScriptedServer.read(connection)
      try? connection.write(Frame(.cbor, [0]).encoded())
      while ScriptedServer.read(connection) != nil {}
    }
    let connection = try SocketConnection(path: server.path, until: Deadline(milliseconds: 10_000))
    #expect(throws: ClientError.timedOut) {
      try connection.exchange(Frame(.cbor, [4]), until: Deadline(milliseconds: 1))
    }
    #expect(throws: ClientError.disconnected) {
      try connection.exchange(Frame(.cbor, [4]), until: Deadline(milliseconds: 1000))
    }
  }

  @Test func survivesAPeerThatIsGone() throws {
    let server = try ScriptedServer { _ in }
    let connection = try SocketConnection(path: server.path, until: Deadline(milliseconds: 10_000))
    server.finish()
    // By now the other end is closed; writing to it must not raise SIGPIPE.
    #expect(throws: ClientError.disconnected) {
      try connection.exchange(
        Frame(.ping, [UInt8](repeating: 0, count: 60_000)), until: Deadline(milliseconds: 10_000))
    }
  }

  @Test func namesWhyNobodyIsThere() {
    let deadline = Deadline(milliseconds: 1000)
    #expect(throws: ClientError.unreachable(SystemError(call: "connect", code: ENOENT))) {
      try SocketConnection(path: "/nonexistent/ctap.sock", until: deadline)
    }
    #expect(throws: ClientError.unreachable(SystemError(call: "connect", code: ENAMETOOLONG))) {
      try SocketConnection(path: "/" + String(repeating: "a", count: 107), until: deadline)
    }
  }
}

/// Where a script leaves a frame for its test.
final class SharedFrame: Sendable {
  private let frame: Lock<Frame?>

  init(_ frame: consuming sending Lock<Frame?>) {
    self.frame = frame
  }

  func set(_ value: Frame?) { frame.withLock { $0 = value } }
  func get() -> Frame? { frame.withLock { $0 } }
}

@Suite struct AuthenticatorClientTests {
  @Test func refusesStrangers() {
    final class Stranger: FrameExchange {
      let answer: [UInt8]
      init(_ answer: [UInt8]) { self.answer = answer }
      func exchange(_ request: Frame, until deadline: Deadline) throws(ClientError) -> Frame {
        Frame(code: request.code, payload: answer.isEmpty ? request.payload : answer)
      }
    }
    let reply = InitializationReply(
      nonce: [UInt8](repeating: 0, count: 8), channel: 1, version: DeviceVersion(major: 0, minor: 1, build: 0),
      capabilities: .cbor)
    for answer in [[], [1], reply.encoded()] {
      #expect(throws: ClientError.malformed("the answer to INIT is not one")) {
        try AuthenticatorClient(Stranger(answer), until: Deadline(milliseconds: 1000))
      }
    }
  }

  @Test(arguments: [[], [0], [0, 0xff], [0, 0xa0]] as [[UInt8]])
  func refusesAnswersThatDoNotDecode(payload: [UInt8]) throws {
    final class Garbled: FrameExchange {
      let authenticator = FakeAuthenticator()
      let payload: [UInt8]
      init(_ payload: [UInt8]) { self.payload = payload }
      func exchange(_ request: Frame, until deadline: Deadline) throws(ClientError) -> Frame {
        request.command == .cbor
          ? Frame(.cbor, payload) : try authenticator.exchange(request, until: deadline)
      }
    }
    let client = try AuthenticatorClient(Garbled(payload), until: Deadline(milliseconds: 1000))
    #expect {
      try client.getInfo()
    } throws: {
      if case AuthenticatorClient.Failure.client(.malformed) = $0 { true } else { false }
    }
  }
}
