internal import CLinux
internal import Glibc

/// Unix sockets. A path that begins with `@` names the abstract namespace (as in sd_notify(3)): no file, and no
/// permissions either, so for tests only.
package enum UnixSocket {
  /// Bytes: sun_path of unix(7), without its NUL.
  package static let longestPath = 107

  /// What a connection carries.
  package enum Kind: Int32, Sendable {
    /// Bytes (SOCK_STREAM).
    case stream = 0
    /// Packets, which stay whole (SOCK_SEQPACKET).
    case packets = 1
  }

  /// Connects to a listener.
  ///
  /// - Parameters:
  ///   - path: the socket's file
  ///   - kind: as the listener's
  ///   - isBlocking: whether to wait for a place in the listener's queue, and whether the socket blocks then
  /// - Returns: the socket; for a blocking one see ``setTimeLimits(_:milliseconds:)``
  /// - Throws: ``SystemError``: ENOENT and ECONNREFUSED mean that nobody listens there, EAGAIN that its queue is full
  package static func connect(
    to path: String, kind: Kind = .stream, isBlocking: Bool = true
  ) throws(SystemError) -> Descriptor {
    Descriptor(
      owning: try checked("connect \(path)") { unsafe cs_unix_connect(path, kind.rawValue, isBlocking ? 0 : 1) })
  }

  /// Whether somebody listens at `path`, without waiting.
  ///
  /// - Parameter path: the socket's file
  /// - Returns: false if there is no such file or nobody behind it
  /// - Throws: ``SystemError`` where this cannot be known
  package static func isListening(at path: String) throws(SystemError) -> Bool {
    do {
      _ = try connect(to: path, isBlocking: false)
      return true
    } catch {
      switch error.code {
      // Its queue is full, or it is of another kind.
      case EAGAIN, EPROTOTYPE: return true
      case ECONNREFUSED, ENOENT: return false
      default: throw error
      }
    }
  }

  /// Binds and listens. The file never has more permissions than `mode`, and exactly these in the end.
  ///
  /// - Parameters:
  ///   - path: the socket's file, which must not exist
  ///   - kind: what its connections carry
  ///   - mode: its permissions
  ///   - group: whose the file is to be; nil for this process's own
  ///   - backlog: connections that may wait to be accepted
  /// - Returns: a non-blocking listener
  /// - Throws: ``SystemError``; no file is left behind
  package static func listen(
    at path: String, kind: Kind = .stream, mode: UInt32, group: UInt32? = nil, backlog: Int32 = 1024
  ) throws(SystemError) -> Descriptor {
    // Not for this process's own group before it belongs to the one that is meant.
    let first = group == nil ? mode : mode & 0o700
    let socket = Descriptor(owning: try checked("bind \(path)") { unsafe cs_unix_bind(path, kind.rawValue, first) })
    let raw = socket.raw
    do {
      if let group { try checked("chown") { unsafe chown(path, .max, group) } }
      if !path.hasPrefix("@") { try checked("chmod \(path)") { unsafe chmod(path, mode) } }
      try checked("listen \(path)") { Glibc.listen(raw, backlog) }
    } catch {
      if !path.hasPrefix("@") { unsafe _ = unlink(path) }
      throw error
    }
    return socket
  }

  /// Takes the next waiting connection.
  ///
  /// - Parameter listener: a listener, which should be non-blocking
  /// - Returns: a non-blocking socket, or nil if none waits
  /// - Throws: ``SystemError``; EMFILE, ENFILE, ENOBUFS and ENOMEM leave the connection waiting
  package static func accept(_ listener: borrowing Descriptor) throws(SystemError) -> Descriptor? {
    let raw = listener.raw
    while true {
      do {
        return Descriptor(owning: try checked("accept") { cs_accept(raw) })
      } catch {
        switch error.code {
        case EAGAIN: return nil
        case ECONNABORTED: continue
        default: throw error
        }
      }
    }
  }
}

extension Descriptor {
  /// One send(2) without waiting.
  ///
  /// - Parameter bytes: what to send
  /// - Returns: how many bytes went; 0 if the socket is full
  /// - Throws: ``SystemError``: EPIPE or ECONNRESET if the peer has closed
  package borrowing func sendNow(_ bytes: ArraySlice<UInt8>) throws(SystemError) -> Int {
    let raw = raw
    do {
      return try checked("send") {
        unsafe bytes.withUnsafeBytes {
          unsafe Glibc.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
      }
    } catch {
      if error.code == EAGAIN { return 0 }
      throw error
    }
  }

  /// One read(2) into `buffer`.
  ///
  /// - Parameter buffer: takes the bytes from its beginning
  /// - Returns: how many bytes came, 0 at the end; nil if a non-blocking descriptor has none now
  /// - Throws: ``SystemError``
  package borrowing func read(into buffer: inout [UInt8]) throws(SystemError) -> Int? {
    let raw = raw
    do {
      return try checked("read") {
        unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(raw, $0.baseAddress, $0.count) }
      }
    } catch {
      if error.code == EAGAIN { return nil }
      throw error
    }
  }

  /// The next packet of a socket of ``UnixSocket/Kind/packets``, without waiting.
  ///
  /// - Parameter buffer: takes the packet from its beginning, as far as it fits
  /// - Returns: how long the packet was; nil if none is there now
  /// - Throws: ``SystemError``: EPIPE at the end
  package borrowing func receivePacket(into buffer: inout [UInt8]) throws(SystemError) -> Int? {
    let raw = raw
    do {
      return try checked("recv") {
        unsafe buffer.withUnsafeMutableBytes { unsafe cs_receive_packet(raw, $0.baseAddress, $0.count) }
      }
    } catch {
      if error.code == EAGAIN { return nil }
      throw error
    }
  }

  /// fcntl(2): O_NONBLOCK and FD_CLOEXEC, for descriptors that somebody else opened.
  package borrowing func setNonblockingAndCloseOnExec() throws(SystemError) {
    let raw = raw
    let flags = try checked("fcntl") { fcntl(raw, F_GETFL) }
    try checked("fcntl") { fcntl(raw, F_SETFL, flags | O_NONBLOCK) }
    try checked("fcntl") { fcntl(raw, F_SETFD, FD_CLOEXEC) }
  }
}
