import Glibc
import Platform
import TestSupport
import Testing

@testable import Benchmarking

struct TPMFramingTests {
  /// TPM2_GetRandom of 8 bytes (TPM 2.0 Library, part 3, section 16.1).
  static let command: [UInt8] = [0x80, 0x01, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8]

  @Test func aHeadIsRead() {
    let head = TPMHead(Array(TPMFramingTests.command.prefix(TPMHead.count)))
    #expect(head?.size == 12)
    #expect(head?.code == 0x17b)
  }

  @Test(
    arguments: [
      [],
      [0x80, 0x01, 0, 0, 0, 12, 0, 0, 1],
      // Less than a head, and more than any command.
      [0x80, 0x01, 0, 0, 0, 9, 0, 0, 1, 0x7b],
      [0x80, 0x01, 0, 0, 0x20, 1, 0, 0, 1, 0x7b],
      [0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0x7b],
    ] as [[UInt8]])
  func whatIsNoHeadIsRefused(_ bytes: [UInt8]) {
    #expect(TPMHead(bytes) == nil)
  }

  @Test func aProfileTellsCommandsApart() {
    let profile = LatencyProfile(name: "", explanation: "", otherwise: 2, milliseconds: [TPMCommandCode.sign: 36.5])
    #expect(profile.nanoseconds(of: TPMCommandCode.sign) == 36_500_000)
    #expect(profile.nanoseconds(of: TPMCommandCode.load) == 2_000_000)
    #expect(LatencyProfile.none.nanoseconds(of: TPMCommandCode.sign) == 0)
  }
}

@Suite(.serialized) struct LatencyRelayTests {
  /// Answers every command with itself.
  private final class Echo: Sendable {
    let path: String
    private let listener: Descriptor

    init(_ folder: String) throws {
      path = folder + "/tpm.sock"
      listener = try UnixSocket.listen(at: path, mode: 0o600)
      try startThread(named: "echo") { [self] in
        while waitUntilReadable([listener.raw], within: 20_000) != nil {
          guard let client = try? UnixSocket.accept(listener) else { return }
          let flags = fcntl(client.raw, F_GETFL)
          _ = fcntl(client.raw, F_SETFL, flags & ~O_NONBLOCK)
          while let bytes = try? client.read(upTo: 64), !bytes.isEmpty { try? client.write(bytes) }
        }
      }
    }
  }

  private func read(_ count: Int, from client: borrowing Descriptor) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let part = try client.read(upTo: count - bytes.count)
      if part.isEmpty { break }
      bytes += part
    }
    return bytes
  }

  @Test func itAddsWhatTheProfileSaysForEachCommand() throws {
    let folder = TemporaryDirectory()
    let echo = try Echo(folder.path)
    let relay = try LatencyRelay(path: folder.path + "/relay.sock", target: echo.path)
    relay.imitate(LatencyProfile(name: "", explanation: "", otherwise: 0, milliseconds: [0x17b: 30]))
    let other: [UInt8] = [0x80, 0x01, 0, 0, 0, 10, 0, 0, 1, 0x44]
    let client = try UnixSocket.connect(to: folder.path + "/relay.sock")
    let clock = SystemTime()
    let begin = clock.monotonicNanoseconds
    for _ in 0..<3 {
      try client.write(TPMFramingTests.command)
      #expect(try read(12, from: client) == TPMFramingTests.command)
    }
    let slow = clock.monotonicNanoseconds - begin
    #expect(slow >= 90_000_000)
    try client.write(other)
    #expect(try read(10, from: client) == other)
    let passed = relay.take()
    #expect(passed.commands == [0x17b: 3, 0x144: 1])
    #expect(passed.total == 4)
    // The TPM's own time has nothing of what was added.
    #expect(passed.nanoseconds > 0 && passed.nanoseconds < slow)
    #expect(relay.take() == LatencyRelay.Passed())
  }

  @Test func aCommandInPartsStaysWhole() throws {
    let folder = TemporaryDirectory()
    let echo = try Echo(folder.path)
    let relay = try LatencyRelay(path: folder.path + "/relay.sock", target: echo.path)
    let client = try UnixSocket.connect(to: folder.path + "/relay.sock")
    for byte in TPMFramingTests.command { try client.write([byte]) }
    #expect(try read(12, from: client) == TPMFramingTests.command)
    #expect(relay.take().total == 1)
  }

  @Test func whatIsNoCommandEndsItsConnectionOnly() throws {
    let folder = TemporaryDirectory()
    let echo = try Echo(folder.path)
    let relay = try LatencyRelay(path: folder.path + "/relay.sock", target: echo.path)
    let stranger = try UnixSocket.connect(to: folder.path + "/relay.sock")
    try stranger.write([0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0x7b])
    #expect(try read(1, from: stranger).isEmpty)
    let client = try UnixSocket.connect(to: folder.path + "/relay.sock")
    try client.write(TPMFramingTests.command)
    #expect(try read(12, from: client) == TPMFramingTests.command)
    #expect(relay.take().commands == [0x17b: 1])
  }
}
