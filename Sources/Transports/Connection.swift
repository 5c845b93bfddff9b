internal import CTAPHID
internal import Platform
internal import Policy

/// The state of one connection; belongs to its ``SocketServer`` and never leaves it.
final class Connection<Session: Sendable> {
  /// The connection's socket, closed when it is let go.
  private final class Socket {
    let descriptor: Descriptor

    init(_ descriptor: consuming Descriptor) {
      self.descriptor = descriptor
    }
  }

  var caller: Caller
  /// What the caller executes, until it has been read.
  var executable: ExecutableFile?
  var channel: Channel
  var watch: EventLoop.Watch?
  var interest: EventLoop.Interest = .read

  var reader = FrameReader()
  /// What was read but must wait until the client has read its replies or the others have had their turn.
  var unprocessed: [UInt8] = []
  /// Whether the next round goes on with it.
  var hasTurn = false

  /// Runs while the rest of a frame can come.
  var frameTimer: LoopTimer?
  /// When it was started.
  var frameTimedFrom: UInt64 = 0
  /// What it was started with, or what was left when it was stopped; nil for a frame that has all its time.
  var frameTimeLeft: UInt64?

  /// Replies that are not sent yet.
  private(set) var output: [UInt8] = []
  /// Whether the socket was full at the last attempt.
  private(set) var isBlocked = false
  var outputTimer: LoopTimer?

  var session: Session?
  var request: Task<Void, Never>?
  var keepaliveTimer: LoopTimer?

  /// The client has said all it will (shutdown(2)); it may still listen.
  var inputEnded = false
  /// Nothing more is taken or begun; closed as soon as the output is sent.
  var isEnding = false
  private var socket: Socket?

  var id: UInt64 { caller.connection }
  var isClosed: Bool { socket == nil }
  /// Frames wait while replies do: a client that does not read makes no work and holds little memory.
  var mustWait: Bool { isBlocked || isEnding }
  /// More is taken from the client only when nothing of it waits.
  var isReading: Bool { !mustWait && !inputEnded && unprocessed.isEmpty }
  /// Nothing is in progress and nothing can come any more.
  var isDone: Bool { inputEnded && request == nil && output.isEmpty && unprocessed.isEmpty }

  init(caller: Caller, channel: Channel, socket: consuming Descriptor) {
    self.caller = caller
    self.channel = channel
    self.socket = Socket(socket)
  }

  func watch(on loop: EventLoop, _ body: @escaping @Sendable (EventLoop.Interest) -> Void) throws(SystemError) {
    guard let socket else { return }
    watch = try loop.watch(socket.descriptor, for: interest, body)
  }

  /// As ``Platform/Descriptor/read(into:)``.
  func read(into buffer: inout [UInt8]) throws(SystemError) -> Int? {
    guard let socket else { return nil }
    return try socket.descriptor.read(into: &buffer)
  }

  func append(_ frame: Frame) {
    output += frame.encoded()
  }

  /// Sends what the socket takes.
  func flush() throws(SystemError) {
    guard let socket else { return }
    var rest = output[...]
    while !rest.isEmpty {
      let count = try socket.descriptor.sendNow(rest)
      if count == 0 { break }
      rest.removeFirst(count)
    }
    output = Array(rest)
    isBlocked = !output.isEmpty
  }

  /// Lets the socket and all memory go.
  func close() {
    socket = nil
    output = []
    unprocessed = []
    isBlocked = false
  }
}
