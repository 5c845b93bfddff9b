import Glibc
@testable import Platform
import TestSupport
import Testing

/// The connection that waits.
private func accepted(_ listener: borrowing Descriptor) throws -> Descriptor {
  guard let socket = try UnixSocket.accept(listener) else { throw SystemError(call: "accept", code: EAGAIN) }
  return socket
}

@Suite struct UnixSocketTests {
  @Test func connectsAndTalks() throws {
    let folder = TemporaryDirectory()
    let path = folder.path("s")
    let listener = try UnixSocket.listen(at: path, mode: 0o640)
    var status = stat()
    #expect(lstat(path, &status) == 0)
    #expect(status.st_mode & 0o7777 == 0o640)
    #expect(throws: SystemError(call: "accept", code: EAGAIN)) { _ = try accepted(listener) }

    let client = try UnixSocket.connect(to: path)
    let server = try accepted(listener)
    var buffer = [UInt8](repeating: 0, count: 8)
    #expect(try server.read(into: &buffer) == nil)
    try client.sendAll([1, 2, 3])
    #expect(try server.read(into: &buffer) == 3)
    #expect(buffer.prefix(3) == [1, 2, 3])
    try UnixSocket.finishWriting(client)
    #expect(try server.read(into: &buffer) == 0)
    #expect(try server.sendNow([9]) == 1)
    #expect(try client.read(upTo: 4) == [9])
  }

  @Test func permissionsDoNotDependOnTheMaskInTheEnd() throws {
    let folder = TemporaryDirectory()
    for mode: UInt32 in [0o600, 0o660, 0o666, 0o777] {
      let path = folder.path("\(mode)")
      _ = try UnixSocket.listen(at: path, mode: mode)
      var status = stat()
      #expect(lstat(path, &status) == 0)
      #expect(status.st_mode & 0o7777 == mode)
    }
  }

  @Test func abstractNames() throws {
    let path = "@countersign-test-\(UInt64.random(in: 0 ... .max))"
    let listener = try UnixSocket.listen(at: path, mode: 0o600)
    #expect(try UnixSocket.isListening(at: path))
    _ = listener
  }

  @Test func nobodyThere() throws {
    let folder = TemporaryDirectory()
    let path = folder.path("s")
    #expect(throws: SystemError(call: "connect \(path)", code: ENOENT)) { _ = try UnixSocket.connect(to: path) }
    #expect(try !UnixSocket.isListening(at: path))
    do { _ = try UnixSocket.listen(at: path, mode: 0o600) }
    #expect(throws: SystemError(call: "connect \(path)", code: ECONNREFUSED)) { _ = try UnixSocket.connect(to: path) }
    #expect(try !UnixSocket.isListening(at: path))
  }

  @Test func impossiblePaths() {
    for (path, code) in [("", EINVAL), ("@", EINVAL), ("/" + String(repeating: "x", count: 107), ENAMETOOLONG)] {
      #expect(throws: SystemError(call: "connect \(path)", code: code)) { _ = try UnixSocket.connect(to: path) }
      #expect(throws: SystemError(call: "bind \(path)", code: code)) {
        _ = try UnixSocket.listen(at: path, mode: 0o600)
      }
    }
  }

  @Test func aClosedPeerIsAnErrorAndNoSignal() throws {
    let folder = TemporaryDirectory()
    let listener = try UnixSocket.listen(at: folder.path("s"), mode: 0o600)
    let client = try UnixSocket.connect(to: folder.path("s"))
    do { _ = try UnixSocket.accept(listener) }
    #expect(throws: SystemError(call: "send", code: EPIPE)) { try client.sendAll([1]) }
    #expect(throws: SystemError(call: "send", code: EPIPE)) { try client.sendNow([1]) }
  }

  @Test func timeLimits() throws {
    let folder = TemporaryDirectory()
    let listener = try UnixSocket.listen(at: folder.path("s"), mode: 0o600)
    let client = try UnixSocket.connect(to: folder.path("s"))
    try UnixSocket.setTimeLimits(client, milliseconds: 1)
    #expect(throws: SystemError(call: "read", code: EAGAIN)) { try client.read(upTo: 1) }
    _ = listener
  }

  @Test func aFullSocketTakesNothing() throws {
    let folder = TemporaryDirectory()
    let listener = try UnixSocket.listen(at: folder.path("s"), mode: 0o600)
    let client = try UnixSocket.connect(to: folder.path("s"))
    let server = try accepted(listener)
    let bytes = [UInt8](repeating: 1, count: 65_536)
    var sent = 0
    while true {
      let count = try server.sendNow(bytes[...])
      if count == 0 { break }
      sent += count
    }
    #expect(sent > 0)
    _ = client
  }
}

@Suite struct PeerCredentialsTests {
  @Test func ourselves() throws {
    let folder = TemporaryDirectory()
    let listener = try UnixSocket.listen(at: folder.path("s"), mode: 0o600)
    let client = try UnixSocket.connect(to: folder.path("s"))
    let server = try accepted(listener)
    let peer = try PeerCredentials(of: server)
    #expect(peer.user == geteuid())
    #expect(peer.group == getegid())
    #expect(peer.process == getpid())
    var groups = [gid_t](repeating: 0, count: 65_536)
    let count = getgroups(65_536, &groups)
    #expect(peer.supplementaryGroups(of: server) == groups.prefix(Int(count)).filter { $0 != getegid() })
    let file = try Descriptor(opening: "/proc/self/cgroup", flags: O_RDONLY).read(upTo: 65_536)
    let group = ControlGroup(file: file)
    let here = try Descriptor(opening: "/proc/self/exe", flags: O_RDONLY)
    for hasPeerHandle in [true, false] {
      var process = peer.process(of: server, opensExecutable: true, hasPeerHandle: hasPeerHandle)
      #expect(process.unit == group.unit && process.slice == group.slice && process.container == group.container)
      #expect(process.executable.map { canonical($0) } == canonical("/proc/self/exe"))
      let file = process.executableFile.take()
      #expect(try file?.fileSize() == here.fileSize())
    }
    let isOpen = peer.process(of: server).executableFile != nil
    #expect(!isOpen)
    _ = client
  }

  /// Another process has the number by the time that it is looked up: the user does not fit.
  @Test func aNumberThatIsAnothersByNow() throws {
    let folder = TemporaryDirectory()
    let listener = try UnixSocket.listen(at: folder.path("s"), mode: 0o600)
    let client = try UnixSocket.connect(to: folder.path("s"))
    let server = try accepted(listener)
    // Process 1 runs as root.
    let stranger = PeerCredentials(user: 12_345, group: 0, process: 1)
    let process = stranger.process(of: server, opensExecutable: false, hasPeerHandle: false)
    #expect(process.unit == nil && process.executable == nil)
    _ = client
  }

  @Test func noSocket() throws {
    let file = try Descriptor(opening: "/dev/null", flags: O_RDONLY)
    #expect(throws: SystemError(call: "SO_PEERCRED", code: ENOTSOCK)) { _ = try PeerCredentials(of: file) }
  }
}

private func canonical(_ path: String) -> String? {
  guard let found = realpath(path, nil) else { return nil }
  defer { free(found) }
  return String(cString: found)
}

@Suite struct PacketSocketTests {
  /// Both ends of a connection.
  private final class Pair {
    let client: Descriptor
    let server: Descriptor

    init(in folder: TemporaryDirectory) throws {
      let path = folder.path("s")
      let listener = try UnixSocket.listen(at: path, kind: .packets, mode: 0o600)
      client = try UnixSocket.connect(to: path, kind: .packets)
      server = try accepted(listener)
    }
  }

  @Test func packetsStayWhole() throws {
    let pair = try Pair(in: TemporaryDirectory())
    var buffer = [UInt8](repeating: 0, count: 4)
    #expect(try pair.server.receivePacket(into: &buffer) == nil)
    for packet: [UInt8] in [[1, 2, 3], [], [4], [1, 2, 3, 4, 5, 6], []] { _ = try pair.client.sendNow(packet[...]) }
    #expect(try pair.server.receivePacket(into: &buffer) == 3)
    #expect(buffer.prefix(3) == [1, 2, 3])
    #expect(try pair.server.receivePacket(into: &buffer) == 0, "an empty packet is no end")
    #expect(try pair.server.receivePacket(into: &buffer) == 1)
    #expect(try pair.server.receivePacket(into: &buffer) == 6, "longer than the buffer")
    #expect(try pair.server.receivePacket(into: &buffer) == 0)
    #expect(try pair.server.receivePacket(into: &buffer) == nil)
  }

  @Test func theEnd() throws {
    let folder = TemporaryDirectory()
    var buffer = [UInt8](repeating: 0, count: 4)
    let pair = try Pair(in: folder)
    _ = try pair.client.sendNow([7])
    try UnixSocket.finishWriting(pair.client)
    #expect(try pair.server.receivePacket(into: &buffer) == 1)
    #expect(throws: SystemError(call: "recv", code: EPIPE)) { try pair.server.receivePacket(into: &buffer) }
  }

  @Test func kindsDoNotMix() throws {
    let folder = TemporaryDirectory()
    let path = folder.path("s")
    let listener = try UnixSocket.listen(at: path, kind: .packets, mode: 0o600)
    #expect(throws: SystemError(call: "connect \(path)", code: EPROTOTYPE)) { _ = try UnixSocket.connect(to: path) }
    #expect(try UnixSocket.isListening(at: path), "somebody is there")
    _ = listener
  }
}
