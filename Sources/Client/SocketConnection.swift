package import CTAPHID
internal import Glibc
package import Platform

/// A connection to a socket of the daemon. Calls block, each up to its deadline.
package final class SocketConnection: FrameExchange {
  private let stream: LocalStream
  private var reader = FrameReader()
  private var input: ArraySlice<UInt8> = []
  /// After a failure an old answer may still arrive, so that answers could no longer be told apart.
  private var isBroken = false

  package init(path: String, until deadline: Deadline) throws(ClientError) {
    do {
      stream = try LocalStream(connectingTo: path, until: deadline)
    } catch {
      throw .unreachable(error)
    }
  }

  package var serverUser: UInt32? {
    // Whom nobody knows is nobody whom one trusts.
    (try? stream.peerUser()) ?? .max
  }

  package func exchange(_ request: Frame, until deadline: Deadline) throws(ClientError) -> Frame {
    guard !isBroken else { throw .disconnected }
    isBroken = true
    do throws(ClientError) {
      let answer = try attempt(request, until: deadline)
      isBroken = false
      if answer.command == .error { throw .refused(CTAPHIDError(rawValue: answer.payload[0])) }
      return answer
    } catch {
      if error == .timedOut { cancel() }
      throw error
    }
  }

  private func attempt(_ request: Frame, until deadline: Deadline) throws(ClientError) -> Frame {
    try translating { () throws(SystemError) in try stream.send(request.encoded(), until: deadline) }
    while true {
      let frame = try receive(until: deadline)
      switch frame.code {
      case FrameCommand.keepalive.rawValue: continue
      case FrameCommand.error.rawValue where frame.payload.count == 1: return frame
      case FrameCommand.error.rawValue: throw .malformed("an ERROR frame without its error byte")
      case request.code: return frame
      default: throw .malformed("command 0x\(String(frame.code, radix: 16)) was not asked for")
      }
    }
  }

  /// Tells the daemon not to sign in vain.
  private func cancel() {
    try? stream.send(Frame(.cancel).encoded(), until: Deadline(milliseconds: 0))
  }

  private func receive(until deadline: Deadline) throws(ClientError) -> Frame {
    while true {
      do {
        if let frame = try reader.next(from: &input) { return frame }
      } catch {
        throw .malformed("a frame of impossible length")
      }
      // Keepalives must not extend the time limit.
      guard deadline.remainingMilliseconds > 0 else { throw .timedOut }
      var bytes: [UInt8] = []
      try translating { () throws(SystemError) in bytes = try stream.receive(upTo: 16_384, until: deadline) }
      guard !bytes.isEmpty else { throw .disconnected }
      input = bytes[...]
    }
  }

  private func translating(_ call: () throws(SystemError) -> Void) throws(ClientError) {
    do {
      try call()
    } catch {
      throw error.code == ETIMEDOUT ? .timedOut : .disconnected
    }
  }
}
