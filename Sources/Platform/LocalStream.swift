internal import Glibc

/// The client's end of a stream socket of this machine. Every call has a time limit, after which it throws
/// `ETIMEDOUT`.
package struct LocalStream: ~Copyable, Sendable {
  /// The longest path that fits into `sockaddr_un` with its terminator.
  package static let maximumPathLength = 107

  private let descriptor: Descriptor

  /// Connects to the listener at `path` (connect(2)).
  ///
  /// - Parameters:
  ///   - path: 1 to ``maximumPathLength`` bytes
  ///   - deadline: also bounds the wait for a place in a full backlog
  /// - Throws: ``SystemError``; `ENAMETOOLONG` for a path that does not fit
  package init(connectingTo path: String, until deadline: Deadline) throws(SystemError) {
    let bytes = [UInt8](path.utf8)
    guard (1...LocalStream.maximumPathLength).contains(bytes.count), !bytes.contains(0) else {
      throw SystemError(call: "connect", code: ENAMETOOLONG)
    }
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = Descriptor(owning: try checked("socket") { socket(AF_UNIX, type, 0) })
    try LocalStream.connect(descriptor.raw, to: bytes, within: max(deadline.remainingMilliseconds, 1))
    self.descriptor = descriptor
  }

  /// Who listens there, as the kernel says (SO_PEERCRED): who called listen(2).
  ///
  /// - Returns: the effective user
  /// - Throws: ``SystemError``
  package borrowing func peerUser() throws(SystemError) -> UInt32 { try PeerCredentials(of: descriptor).user }

  private static func connect(
    _ descriptor: Int32, to path: [UInt8], within milliseconds: Int32
  ) throws(SystemError) {
    // Of a blocking socket connect(2) waits for a place in the backlog as long as SO_SNDTIMEO says; a non-blocking
    // one gives up at once with EAGAIN and cannot be polled for it.
    var limit = timeval(tv_sec: Int(milliseconds) / 1000, tv_usec: Int(milliseconds) % 1000 * 1000)
    try checked("setsockopt") {
      unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path) }
    do {
      try checked("connect") {
        unsafe withUnsafePointer(to: &address) { pointer in
          unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            unsafe Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
          }
        }
      }
    } catch {
      throw error.code == EAGAIN ? SystemError(call: "connect", code: ETIMEDOUT) : error
    }
  }

  /// Sends every byte.
  ///
  /// - Parameters:
  ///   - bytes: what to send
  ///   - deadline: for all of it
  /// - Throws: ``SystemError``; `EPIPE` where the other end is gone, never the signal
  package borrowing func send(_ bytes: [UInt8], until deadline: Deadline) throws(SystemError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let raw = descriptor.raw
      let sent = unsafe rest.withUnsafeBytes {
        unsafe Glibc.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
      }
      if sent >= 0 {
        rest.removeFirst(sent)
      } else if errno == EAGAIN {
        try wait(for: Int16(POLLOUT), until: deadline)
      } else if errno != EINTR {
        throw SystemError(call: "send", code: errno)
      }
    }
  }

  /// What has arrived, at most `count` bytes; waits for the first. Empty once the other end has closed.
  ///
  /// - Parameters:
  ///   - count: at least 1
  ///   - deadline: for the first byte
  /// - Returns: 1 to `count` bytes, or none at the end
  /// - Throws: ``SystemError``
  package borrowing func receive(upTo count: Int, until deadline: Deadline) throws(SystemError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    while true {
      let raw = descriptor.raw
      let received = unsafe bytes.withUnsafeMutableBytes {
        unsafe recv(raw, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
      }
      if received >= 0 {
        bytes.removeLast(count - received)
        return bytes
      } else if errno == EAGAIN {
        try wait(for: Int16(POLLIN), until: deadline)
      } else if errno != EINTR {
        throw SystemError(call: "recv", code: errno)
      }
    }
  }

  private borrowing func wait(for events: Int16, until deadline: Deadline) throws(SystemError) {
    let raw = descriptor.raw
    let ready = try checked("poll") {
      var descriptors = pollfd(fd: raw, events: events, revents: 0)
      return unsafe poll(&descriptors, 1, deadline.remainingMilliseconds)
    }
    if ready == 0 { throw SystemError(call: "poll", code: ETIMEDOUT) }
  }
}
