import CLinux
import CTAPHID
import Glibc
import Platform
import TestSupport
import Testing

@testable import HIDRelay

struct TestFailure: Error {
  let what: String
}

/// A limit that only a failing test meets, milliseconds.
private let patience: Int32 = 20_000

/// What a program on the host does with a device: reports over a packet socket, or what stands for hidraw.
protocol Host {
  func write(_ report: [UInt8]) throws
  /// The next report; waits for it. nil at the end.
  func read() throws -> [UInt8]?
}

extension Host {
  func send(_ message: Message) throws { for report in message.reports() { try write(report) } }

  func send(_ channel: UInt32, _ command: PacketCommand, _ payload: [UInt8] = []) throws {
    try send(Message(channel: channel, command, payload))
  }

  func receive() throws -> Message {
    var reader: MessageReader?
    while true {
      guard let report = try read(), let packet = Packet(report: report) else { throw TestFailure(what: "the end") }
      switch packet {
      case .initialization(let channel, let code, let length, let data):
        reader = MessageReader(channel: channel, code: code, length: length, data: data)
      case .continuation(let channel, let sequence, let data):
        #expect(reader?.channel == channel, "packets of two messages are mixed")
        #expect(reader?.take(sequence: sequence, data: data) != .outOfSequence)
      }
      if let message = reader?.message { return message }
    }
  }

  func call(_ channel: UInt32, _ command: PacketCommand, _ payload: [UInt8] = []) throws -> Message {
    try send(channel, command, payload)
    return try receive()
  }

  /// A channel of our own.
  func open() throws -> UInt32 {
    let nonce = SystemRandom().bytes(8)
    let reply = try call(Packet.broadcast, .initialize, nonce)
    let decoded = try #require(InitializationReply(decoding: reply.payload))
    #expect(decoded.nonce == nonce && reply.channel == Packet.broadcast)
    return decoded.channel
  }
}

/// A connection for reports.
final class PacketHost: Host, @unchecked Sendable {
  let socket: Descriptor

  init(_ path: String) throws {
    socket = try UnixSocket.connect(to: path, kind: .packets)
    try UnixSocket.setTimeLimits(socket, milliseconds: Int(patience))
  }

  func write(_ report: [UInt8]) throws { try socket.sendAll(report) }

  func read() throws -> [UInt8]? {
    let packet = try socket.read(upTo: 128)
    return packet.isEmpty ? nil : packet
  }

  /// Writes until there is no room; how many were written.
  func flood(_ report: [UInt8]) throws -> Int {
    var count = 0
    while try socket.sendNow(report[...]) > 0 { count += 1 }
    return count
  }
}

/// What stands for the kernel behind /dev/uhid, and for the program that has the device open.
final class FakeKernel: Host, @unchecked Sendable {
  private let ours: Descriptor
  private let pending = Lock<[[UInt8]]>([])

  /// - Parameter hand: gets the end that stands for the open /dev/uhid
  /// - Throws: what `hand` throws, or what socketpair(2) says
  init(_ hand: (consuming Descriptor) async throws -> Void) async throws {
    var ends: [Int32] = [0, 0]
    let kind = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    try checked("socketpair") { socketpair(AF_UNIX, kind, 0, &ends) }
    ours = Descriptor(owning: ends[0])
    try UnixSocket.setTimeLimits(ours, milliseconds: Int(patience))
    let theirs = Descriptor(owning: ends[1])
    try theirs.setNonblockingAndCloseOnExec()
    try await hand(theirs)
  }

  func tell(_ event: [UInt8]) throws { try ours.sendAll(event) }

  /// The next event of the device; nil at the end.
  func event() throws -> [UInt8]? {
    let bytes = try ours.read(upTo: 8192)
    return bytes.isEmpty ? nil : bytes
  }

  /// As a program writes to hidraw: with the number 0 before the report.
  func write(_ report: [UInt8]) throws { try tell(outputEvent([0] + report)) }

  func read() throws -> [UInt8]? {
    guard let event = try event() else { return nil }
    guard Array(event.prefix(4)) == native(UInt32(CS_UHID_INPUT2)) else {
      throw TestFailure(what: "an event of type \(event.prefix(4))")
    }
    #expect(Array(event[CS_UHID_INPUT2_SIZE..<CS_UHID_INPUT2_SIZE + 2]) == native(UInt16(64)))
    return Array(event[CS_UHID_INPUT2_DATA...])
  }

  var waitingBytes: Int {
    var count: Int32 = 0
    return ioctl(ours.raw, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
  }
}

/// One connection of the relay at the daemon's end, played by a test.
final class DaemonEnd: @unchecked Sendable {
  private let socket: Descriptor
  private var reader = FrameReader()
  private var rest: ArraySlice<UInt8> = []

  init(_ socket: consuming Descriptor) throws {
    self.socket = socket
    let raw = self.socket.raw
    try checked("fcntl") { fcntl(raw, F_SETFL, 0) }
    try UnixSocket.setTimeLimits(self.socket, milliseconds: Int(patience))
  }

  func send(_ frame: Frame) throws { try socket.sendAll(frame.encoded()) }
  func sendRaw(_ bytes: [UInt8]) throws { try socket.sendAll(bytes) }

  /// The next frame; nil at the end.
  func receive() throws -> Frame? {
    while true {
      if let frame = try reader.next(from: &rest) { return frame }
      rest = try socket.read(upTo: 65_536)[...]
      if rest.isEmpty { return nil }
    }
  }
}

/// What a relay has said.
final class Notes: Sendable {
  private let told = Lock<[RelayEvent]>([])
  private let logged = Lock<[String]>([])

  var events: [RelayEvent] { told.withLock { $0 } }
  var log: [String] { logged.withLock { $0 } }

  func tell(_ event: RelayEvent) { told.withLock { $0.append(event) } }
  func log(_ line: String) { logged.withLock { $0.append(line) } }
}

/// A relay with a clock that only tests move, and a daemon that they play.
final class Harness: Sendable {
  private final class DaemonListener: Sendable {
    let descriptor: Descriptor

    init(_ path: String) throws { descriptor = try UnixSocket.listen(at: path, mode: 0o600) }
  }

  let folder = TemporaryDirectory()
  let time = ManualTime()
  let notes = Notes()
  let loop: EventLoop
  let relay: Relay
  private let daemon = Lock<DaemonListener?>(nil)

  init(_ change: (inout RelaySettings) -> Void = { _ in }) async throws {
    loop = try EventLoop(name: "test loop", time: time)
    var settings = RelaySettings(daemon: folder.path("ctap.sock"))
    change(&settings)
    let notes = notes
    relay = Relay(
      loop: loop, settings: settings, log: Logger(level: .warning) { notes.log($1) }, tell: { notes.tell($0) })
    try startDaemon()
    try await relay.listen(on: Listener(.packets, path: folder.path("reports.sock"), mode: 0o600))
  }

  func startDaemon() throws {
    let listener = try DaemonListener(folder.path("ctap.sock"))
    daemon.withLock { $0 = listener }
  }

  func stopDaemon() {
    daemon.withLock { $0 = nil }
    unlink(folder.path("ctap.sock"))
  }

  /// The next connection of the relay.
  func accept() throws -> DaemonEnd {
    let listener = daemon.withLock { $0 }
    guard let listener, waitUntilReadable([listener.descriptor.raw], within: patience) != nil,
      let socket = try UnixSocket.accept(listener.descriptor)
    else { throw TestFailure(what: "no connection to the daemon") }
    return try DaemonEnd(socket)
  }

  func host() throws -> PacketHost { try PacketHost(folder.path("reports.sock")) }

  /// A host whose request the daemon has before it.
  func ask(_ request: [UInt8]) throws -> (PacketHost, channel: UInt32, DaemonEnd) {
    let host = try host()
    let channel = try host.open()
    try host.send(channel, .cbor, request)
    let daemon = try accept()
    #expect(try daemon.receive() == Frame(.cbor, request))
    return (host, channel, daemon)
  }

  /// Returns when the loop has dealt with all that had been sent to it before the call.
  func settle() async { for _ in 0..<3 { _ = await relay.portCount } }

  func wait(until goal: () async -> Bool) async { while await !goal() { await settle() } }

  func advance(milliseconds: Int64) async {
    await settle()
    time.advance(by: .milliseconds(milliseconds))
    loop.wake()
    await settle()
  }
}

/// Runs `body` with a relay, which is stopped afterwards.
func withRelay(
  _ change: (inout RelaySettings) -> Void = { _ in }, _ body: (Harness) async throws -> Void
) async throws {
  let harness = try await Harness(change)
  do {
    try await body(harness)
  } catch {
    await harness.relay.stop(within: 0)
    harness.loop.stop()
    throw error
  }
  await harness.relay.stop(within: 0)
  #expect(harness.loop.watchCount == 0, "every watch has ended")
  harness.loop.stop()
}
