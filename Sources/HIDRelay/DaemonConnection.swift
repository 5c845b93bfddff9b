internal import CTAPHID
internal import Platform

/// What keeps the state of one channel at the daemon: a connection of its own to the daemon's socket.
final class DaemonConnection {
  /// What was read.
  enum Reading {
    case frames([Frame])
    /// The daemon has closed the connection, or it cannot be trusted any more.
    case end(String)
  }

  let descriptor: Descriptor
  var watch: EventLoop.Watch?
  /// Whether the request in progress is getInfo.
  private(set) var isAskedForInfo = false
  private var reader = FrameReader()
  private var output: ArraySlice<UInt8> = []

  /// Connects, without waiting.
  ///
  /// - Parameter path: the daemon's socket
  /// - Throws: `SystemError`
  init(to path: String) throws(SystemError) {
    descriptor = try UnixSocket.connect(to: path, isBlocking: false)
  }

  /// What the connection is to be watched for.
  var interest: EventLoop.Interest { output.isEmpty ? .read : [.read, .write] }

  /// Sends a request, as far as the socket takes it; the rest when it is writable.
  func request(_ frame: Frame) throws(SystemError) {
    isAskedForInfo = DeviceInfo.isAsked(by: frame)
    try send(frame)
  }

  func send(_ frame: Frame) throws(SystemError) {
    output += frame.encoded()
    try flush()
  }

  func flush() throws(SystemError) {
    while !output.isEmpty {
      let count = try descriptor.sendNow(output)
      if count == 0 { break }
      output.removeFirst(count)
    }
  }

  /// Reads what has come.
  func read(into buffer: inout [UInt8]) -> Reading {
    do {
      guard let count = try descriptor.read(into: &buffer) else { return .frames([]) }
      if count == 0 { return .end("the daemon has closed the connection") }
      var input = buffer[..<count]
      var frames: [Frame] = []
      while let frame = try reader.next(from: &input) { frames.append(frame) }
      return .frames(frames)
    } catch let error as SystemError {
      return .end("\(error)")
    } catch {
      return .end("the daemon sent a frame of impossible length")
    }
  }
}
