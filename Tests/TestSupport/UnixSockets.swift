import Glibc
package import Platform

/// What only clients in tests do with a socket.
extension UnixSocket {
  /// Bounds every later blocking read and write, which then fail with EAGAIN.
  ///
  /// - Parameters:
  ///   - socket: a blocking socket
  ///   - milliseconds: the limit of one call; 0 is none
  /// - Throws: `SystemError`
  package static func setTimeLimits(_ socket: borrowing Descriptor, milliseconds: Int) throws(SystemError) {
    let raw = socket.raw
    var limit = timeval(tv_sec: milliseconds / 1000, tv_usec: (milliseconds % 1000) * 1000)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      try checked("setsockopt") {
        setsockopt(raw, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
      }
    }
  }

  /// shutdown(2) of the writing side: the peer sees the end, and can still answer.
  package static func finishWriting(_ socket: borrowing Descriptor) throws(SystemError) {
    let raw = socket.raw
    try checked("shutdown") { shutdown(raw, Int32(SHUT_WR)) }
  }
}

extension Descriptor {
  /// send(2) of a socket until every byte is gone. A peer that has closed is EPIPE and never SIGPIPE.
  package borrowing func sendAll(_ bytes: [UInt8]) throws(SystemError) {
    let raw = raw
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = try checked("send") {
        rest.withUnsafeBytes { send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      }
      rest.removeFirst(count)
    }
  }
}
