import CTAPHID
import Glibc
import Platform
import Policy
import TestSupport
import Testing

@testable import Transports

/// What a ``ScriptedService`` does with a request: the first byte of its payload.
enum Script: UInt8 {
  /// Answers with the payload.
  case echo = 0
  /// Waits until it is released or cancelled, and then answers with the payload or [0x2D].
  case wait = 1
  /// Waits until it is released, whatever else happens.
  case stubborn = 2
  /// Answers with as many bytes as the next two bytes of the payload say, times 256, plus 255.
  case long = 3
  case fail = 4
}

enum Happening: Equatable, Sendable {
  case opened(user: UInt32)
  case started(FrameCommand)
  case cancelled
  case closed
}

/// A service that does as each request says and writes down what happens.
final class ScriptedService: FrameService {
  private struct State {
    var happenings: [Happening] = []
    var watchers: [(goal: ([Happening]) -> Bool, CheckedContinuation<Void, Never>)] = []
    var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
    var released: Set<Int> = []
    var next = 0
    var offLoop = 0
  }

  private let state = Lock(State())
  private let loop: EventLoop

  init(loop: EventLoop) {
    self.loop = loop
  }

  var happenings: [Happening] { state.withLock { $0.happenings } }
  /// Calls that did not begin on the loop.
  var offLoop: Int { state.withLock { $0.offLoop } }

  func open(_ caller: Caller) async -> UInt64 {
    note(.opened(user: caller.user))
    return caller.connection
  }

  func answer(_ command: FrameCommand, _ payload: [UInt8], in session: UInt64) async -> FrameReply {
    let script = payload.first.flatMap(Script.init(rawValue:)) ?? .echo
    if script != .wait && script != .stubborn { note(.started(command)) }
    switch script {
    case .echo: return .data(payload)
    case .wait: return await pause(command, cancellable: true) ? .data(payload) : .data([0x2D])
    case .stubborn: return await pause(command, cancellable: false) ? .data(payload) : .data([0x2D])
    case .long: return .data([UInt8](repeating: 7, count: (Int(payload[1]) << 8 | Int(payload[2])) * 256 + 255))
    case .fail: return .error(.other)
    }
  }

  func close(_ session: UInt64) async { note(.closed) }

  private func noteThread() {
    if !loop.isCurrent { state.withLock { $0.offLoop += 1 } }
  }

  private func note(_ happening: Happening) {
    noteThread()
    let ready = state.withLock { state in
      state.happenings.append(happening)
      let ready = state.watchers.filter { $0.goal(state.happenings) }.map(\.1)
      state.watchers.removeAll { $0.goal(state.happenings) }
      return ready
    }
    for continuation in ready { continuation.resume() }
  }

  /// Says that it has started when it can be released.
  private func pause(_ command: FrameCommand, cancellable: Bool) async -> Bool {
    let number = state.withLock { state in
      state.next += 1
      return state.next
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isReleased = state.withLock { state in
          if state.released.contains(number) { return true }
          state.waiting[number] = continuation
          return false
        }
        note(.started(command))
        if isReleased { continuation.resume() }
      }
      noteThread()
    } onCancel: {
      note(.cancelled)
      if cancellable { release(number) }
    }
    return !(cancellable && Task.isCancelled)
  }

  private func release(_ number: Int) {
    let continuation = state.withLock { state in
      state.released.insert(number)
      return state.waiting.removeValue(forKey: number)
    }
    continuation?.resume()
  }

  /// Lets every waiting request go on.
  func releaseAll() {
    for number in state.withLock({ Array($0.waiting.keys) }) { release(number) }
  }

  /// Returns once `goal` holds for all that has happened.
  func wait(until goal: @escaping @Sendable ([Happening]) -> Bool) async {
    await withCheckedContinuation { continuation in
      let isThere = state.withLock { state in
        if goal(state.happenings) { return true }
        state.watchers.append((goal, continuation))
        return false
      }
      if isThere { continuation.resume() }
    }
  }

  func wait(for happening: Happening, times: Int = 1) async {
    await wait { $0.filter { $0 == happening }.count >= times }
  }
}

/// A client of the socket, blocking with a limit that only a failing test meets.
final class TestClient: @unchecked Sendable {
  private let socket: Descriptor
  private var reader = FrameReader()
  private var rest: ArraySlice<UInt8> = []

  init(_ path: String) throws {
    socket = try UnixSocket.connect(to: path)
    try UnixSocket.setTimeLimits(socket, milliseconds: 300_000)
  }

  func send(_ command: FrameCommand, _ payload: [UInt8] = []) throws {
    try sendRaw(Frame(command, payload).encoded())
  }

  func send(_ command: FrameCommand, _ script: Script, _ payload: [UInt8] = []) throws {
    try send(command, [script.rawValue] + payload)
  }

  func sendRaw(_ bytes: [UInt8]) throws { try socket.sendAll(bytes) }

  /// Sends what the socket takes now.
  func sendNow(_ bytes: [UInt8]) throws -> Int { try socket.sendNow(bytes[...]) }

  func finishWriting() throws { try UnixSocket.finishWriting(socket) }

  /// The next frame; nil at the end.
  func receive() throws -> Frame? {
    while true {
      if let frame = try reader.next(from: &rest) { return frame }
      do {
        rest = try socket.read(upTo: 65_536)[...]
      } catch {
        if error.code == ECONNRESET { return nil }
        throw error
      }
      if rest.isEmpty { return nil }
    }
  }

  /// The frames that have arrived, without waiting for more.
  func receiveNow() throws -> [Frame] {
    var frames: [Frame] = []
    while true {
      while let frame = try reader.next(from: &rest) { frames.append(frame) }
      guard waitingBytes > 0 else { return frames }
      rest = try socket.read(upTo: 65_536)[...]
    }
  }

  /// How much has arrived and is not received yet.
  var waitingBytes: Int {
    var count: Int32 = 0
    return ioctl(socket.raw, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
  }

  /// What the kernel lets one direction of the connection hold.
  var socketBytes: Int {
    var count: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    return getsockopt(socket.raw, SOL_SOCKET, SO_SNDBUF, &count, &length) == 0 ? Int(count) : 0
  }

  func call(_ command: FrameCommand, _ payload: [UInt8] = []) throws -> Frame? {
    try send(command, payload)
    return try receive()
  }
}

/// A server on a path of its own.
final class Harness: Sendable {
  let time = ManualTime()
  let loop: EventLoop
  let service: ScriptedService
  let server: SocketServer<ScriptedService>
  let path: String

  init(path: String, settings: ServerSettings = ServerSettings(), log: Logger = .silent) async throws {
    self.path = path
    loop = try EventLoop(name: "test loop", time: time)
    service = ScriptedService(loop: loop)
    server = SocketServer(loop: loop, service: service, settings: settings, log: log)
    try await server.listen(on: Listener(path: path, mode: 0o600))
  }

  func client() throws -> TestClient { try TestClient(path) }

  /// Returns when the loop has dealt with all that had been sent to it before the call: a job that is enqueued by
  /// the end of another runs in a later round, whose events come first.
  func settle() async {
    for _ in 0..<3 { _ = await server.connectionCount }
  }

  /// Returns once `goal` holds, letting the loop work meanwhile.
  func wait(until goal: () -> Bool) async {
    while !goal() { await settle() }
  }

  /// Runs `body` while the loop stands still: then all that it sends is there at once.
  func whileLoopStands(_ body: () throws -> Void) throws {
    let (stands, goesOn) = (try EventCounter(), try EventCounter())
    loop.after(nanoseconds: 0) {
      stands.signal()
      goesOn.wait()
    }
    stands.wait()
    defer { goesOn.signal() }
    try body()
  }

  /// Sends the same bytes again and again until the server does not read any more.
  ///
  /// - Returns: how many bytes were sent
  func flood(_ client: TestClient, with block: [UInt8]) async throws -> Int {
    let blocks = (0..<10).flatMap { _ in block }
    var sent = 0
    var idle = 0
    // What fits into the socket waits for its turn meanwhile.
    while idle < 100 {
      let count = try client.sendNow(Array(blocks.dropFirst(sent % block.count)))
      sent += count
      idle = count == 0 ? idle + 1 : 0
      await settle()
    }
    return sent
  }

  /// Moves the clock and waits until the timers that became due have run. What the server does at the moment it
  /// finishes at the old time: a reply can be read before the timers of what came with its request are set.
  func advance(milliseconds: UInt64) async {
    await settle()
    time.advance(by: .milliseconds(milliseconds))
    loop.wake()
    await settle()
  }
}

/// Runs `body` with a server, which is stopped afterwards.
func withServer(
  _ settings: ServerSettings = ServerSettings(), log: Logger = .silent, _ body: (Harness) async throws -> Void
) async throws {
  let folder = TemporaryDirectory()
  let harness = try await Harness(path: folder.path("ctap.sock"), settings: settings, log: log)
  do {
    try await body(harness)
  } catch {
    harness.service.releaseAll()
    await harness.server.stop(within: 0)
    harness.loop.stop()
    throw error
  }
  harness.service.releaseAll()
  await harness.server.stop(within: .max)
  #expect(harness.loop.watchCount == 0, "every watch has ended")
  harness.loop.stop()
  #expect(harness.service.offLoop == 0, "handlers never leave the loop by themselves")
}
