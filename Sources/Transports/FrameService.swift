package import CTAPHID
package import Platform
package import Policy

/// What answers the requests of a socket. The transport knows nothing of what they mean.
///
/// All three run on the server's event loop, which they leave only for actors with an executor of their own, so nothing
/// in them may block. For one connection they never overlap:
/// `open` before the first request (a client that asks nothing costs nothing), then one `answer` at a time, then
/// `close`, once, if `open` has been called.
package protocol FrameService: Sendable {
  associatedtype Session: Sendable

  /// A connection makes its first request.
  func open(_ caller: Caller) async -> Session

  /// Answers one of the commands that ``ServerSettings/served`` names. Cancellation of the task is CANCEL, the end of the connection or that of the server:
  /// the reply to a cancelled request is due all the same, and soon.
  func answer(_ command: FrameCommand, _ payload: [UInt8], in session: Session) async -> FrameReply

  /// The connection has ended.
  func close(_ session: Session) async
}

/// Finds out the digests of callers' executables for rules that ask for them.
package protocol ExecutableReader: Sendable {
  /// Whether some rule asks for one.
  var isWanted: Bool { get }

  /// SHA-256 of a file; nil where it cannot be had. Never on the event loop.
  func digest(of file: ExecutableFile) async -> [UInt8]?
}

/// A caller's executable, open for reading.
package final class ExecutableFile: Sendable {
  package let descriptor: Descriptor

  package init(_ descriptor: consuming Descriptor) {
    self.descriptor = descriptor
  }
}

/// The answer to one request: the payload of a frame of the same command, or an ERROR.
package enum FrameReply: Equatable, Sendable {
  case data([UInt8])
  case error(CTAPHIDError)
}

/// What a ``SocketServer`` says of the device, and how much it bears.
package struct ServerSettings: Sendable {
  /// In the answer to INIT.
  package var version = DeviceVersion(major: 0, minor: 1, build: 0)
  /// In the answer to INIT.
  package var capabilities: Capabilities = [.wink, .cbor, .noMessage]
  /// The requests that go to the service.
  package var served: Set<FrameCommand> = [.wink, .message, .cbor]
  /// Connections at one time; one more gets ERROR busy and is closed.
  package var connectionLimit = 1024
  /// Connections of one user at one time, lest one take all. 0 is no limit but ``connectionLimit``.
  package var connectionsPerUser = 512
  /// The grant whose callers come in here; nil where they come without.
  package var grant: Grant?
  /// How long a frame may take from its first byte to its last, and a client to read what it was sent once its
  /// socket is full.
  package var stallNanoseconds: UInt64 = 5_000_000_000
  /// From the start of processing to the first KEEPALIVE, and from one to the next.
  package var keepaliveNanoseconds: UInt64 = 100_000_000
  /// How long the listeners rest when the process or the system has no descriptor left.
  package var acceptPauseNanoseconds: UInt64 = 100_000_000
  /// How long a cancelled request may still take when the server stops.
  package var cancelledNanoseconds: UInt64 = 1_000_000_000

  package init() {}
}
