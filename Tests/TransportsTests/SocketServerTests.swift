import CTAPHID
import Glibc
import Platform
import Policy
import Testing
import Transports

@Suite(.timeLimit(.minutes(2))) struct SocketServerTests {
  @Test func initialize() async throws {
    var settings = ServerSettings()
    settings.version = DeviceVersion(major: 1, minor: 2, build: 3)
    settings.capabilities = [.wink, .cbor]
    try await withServer(settings) { harness in
      var channels: Set<UInt32> = []
      let clients = try (0..<20).map { _ in try harness.client() }
      for client in clients {
        let frame = try #require(try client.call(.initialize, Array(1...8)))
        let reply = try #require(InitializationReply(decoding: frame.payload))
        #expect(frame.command == .initialize)
        #expect(reply.nonce == Array(1...8))
        #expect(reply.version == settings.version && reply.capabilities == settings.capabilities)
        #expect(reply.channel != 0 && reply.channel != .max)
        channels.insert(reply.channel)
      }
      #expect(channels.count == 20)
      for count in [0, 7, 9] {
        #expect(try clients[0].call(.initialize, Array(repeating: 0, count: count)) == .error(.invalidLength))
      }
      #expect(harness.service.happenings.isEmpty, "INIT is no business of the service")
    }
  }

  @Test func everyCommandInOnePieceAndByteByByte() async throws {
    try await withServer { harness in
      let client = try harness.client()
      let cases: [(Frame, Frame?)] = [
        (Frame(.ping, [1, 2, 3]), Frame(.ping, [1, 2, 3])),
        (Frame(.ping), Frame(.ping)),
        (Frame(.message, [0, 5]), Frame(.message, [0, 5])),
        (Frame(.cbor, [0, 4]), Frame(.cbor, [0, 4])),
        (Frame(.cbor), Frame(.cbor)),
        (Frame(.cbor, [4]), .error(.other)),
        (Frame(.wink), Frame(.wink)),
        (Frame(.wink, [1]), .error(.invalidLength)),
        (Frame(.cancel), nil),
        (Frame(.cancel, [1]), .error(.invalidLength)),
        (Frame(.keepalive, [1]), .error(.invalidCommand)),
        (Frame(.error, [1]), .error(.invalidCommand)),
        (Frame(code: 0x00, payload: []), .error(.invalidCommand)),
        (Frame(code: 0x90, payload: [4]), .error(.invalidCommand)),
        (Frame(code: 0xff, payload: [4]), .error(.invalidCommand)),
      ]
      for (request, reply) in cases {
        try client.sendRaw(request.encoded())
        if let reply { #expect(try client.receive() == reply) }
        for byte in request.encoded() { try client.sendRaw([byte]) }
        if let reply { #expect(try client.receive() == reply) }
      }
      #expect(try client.call(.ping, [9]) == Frame(.ping, [9]), "the connection lives on")
      #expect(harness.service.happenings.contains(.started(.wink)))
    }
  }

  @Test func pingAndRequestsOfFullSize() async throws {
    try await withServer { harness in
      let client = try harness.client()
      let payload = (0..<Frame.maximumPayload).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      #expect(try client.call(.ping, payload) == Frame(.ping, payload))
      let request = [0] + payload.dropFirst()
      #expect(try client.call(.cbor, request) == Frame(.cbor, request))
      // 255 * 256 + 255 bytes still fit, one step more is the service's mistake.
      #expect(try client.call(.cbor, [Script.long.rawValue, 0, 255])?.payload.count == Frame.maximumPayload)
      #expect(try client.call(.cbor, [Script.long.rawValue, 1, 0]) == .error(.other))
    }
  }

  @Test func lengthsThatEndTheStream() async throws {
    try await withServer { harness in
      for bytes: [UInt8] in [[0, 0, 0, 0], [0, 1, 0, 1], [0xff, 0xff, 0xff, 0xff], [0, 1, 0, 1, 0x10, 4]] {
        let client = try harness.client()
        try client.sendRaw(Frame(.ping, [1]).encoded() + bytes)
        #expect(try client.receive() == Frame(.ping, [1]))
        #expect(try client.receive() == .error(.invalidLength))
        #expect(try client.receive() == nil)
      }
      await harness.settle()
      #expect(await harness.server.connectionCount == 0)
    }
  }

  @Test func aBrokenStreamCancelsWhatIsInProgress() async throws {
    try await withServer { harness in
      let client = try harness.client()
      try client.send(.cbor, .wait)
      await harness.service.wait(for: .started(.cbor))
      try client.sendRaw([0, 0, 0, 0])
      #expect(try client.receive() == .error(.invalidLength))
      #expect(try client.receive() == nil)
      await harness.service.wait(for: .cancelled)
      await harness.service.wait(for: .closed)
    }
  }

  @Test func manyFramesInOneWrite() async throws {
    try await withServer { harness in
      let client = try harness.client()
      let frames = (0..<1000).map { Frame(.ping, Array(repeating: UInt8(truncatingIfNeeded: $0), count: $0 % 50)) }
      try client.sendRaw(frames.flatMap { $0.encoded() })
      for frame in frames { #expect(try client.receive() == frame) }
    }
  }

  @Test func oneRequestAtATime() async throws {
    try await withServer { harness in
      let client = try harness.client()
      try client.send(.cbor, .wait, [42])
      // In the same stream, before the handler can have begun, and after.
      for command: FrameCommand in [.cbor, .message, .wink, .ping, .initialize] {
        #expect(try client.call(command) == .error(.channelBusy))
      }
      await harness.service.wait(for: .started(.cbor))
      #expect(try client.call(.cbor) == .error(.channelBusy))
      #expect(try harness.client().call(.ping, [1]) == Frame(.ping, [1]), "others are not busy")
      harness.service.releaseAll()
      #expect(try client.receive() == Frame(.cbor, [Script.wait.rawValue, 42]), "the one in progress went on")
      #expect(try client.call(.cbor, [0, 1]) == Frame(.cbor, [0, 1]))
      #expect(harness.service.happenings.filter { $0 == .started(.cbor) }.count == 2)
    }
  }

  @Test func cancelIsUnansweredAndTheRequestAnswers() async throws {
    try await withServer { harness in
      let client = try harness.client()
      try client.send(.cancel)  // nothing to cancel
      try client.send(.cbor, .wait)
      await harness.service.wait(for: .started(.cbor))
      try client.send(.cancel)
      #expect(try client.receive() == Frame(.cbor, [0x2D]))
      try client.send(.cancel)
      #expect(try client.call(.ping) == Frame(.ping))
      // The next request is not cancelled by the last one's CANCEL.
      #expect(try client.call(.cbor, [0, 3]) == Frame(.cbor, [0, 3]))
    }
  }

  @Test func cancelBeforeTheHandlerHasBegun() async throws {
    try await withServer { harness in
      let client = try harness.client()
      try client.sendRaw(Frame(.cbor, [Script.wait.rawValue]).encoded() + Frame(.cancel).encoded())
      #expect(try client.receive() == Frame(.cbor, [0x2D]))
    }
  }

  @Test func keepaliveEveryTenthOfASecond() async throws {
    try await withServer { harness in
      let client = try harness.client()
      try client.send(.cbor, .wait)
      await harness.service.wait(for: .started(.cbor))
      await harness.advance(milliseconds: 99)
      await harness.advance(milliseconds: 1)
      #expect(try client.receive() == .keepalive(.processing))
      await harness.advance(milliseconds: 100)
      #expect(try client.receive() == .keepalive(.processing))
      await harness.advance(milliseconds: 99)
      harness.service.releaseAll()
      #expect(try client.receive() == Frame(.cbor, [Script.wait.rawValue]), "no keepalive before its time")
      await harness.advance(milliseconds: 1000)
      #expect(try client.call(.ping) == Frame(.ping), "nor after the reply")
    }
  }

  @Test func keepalivesAreNotPiledUp() async throws {
    try await withServer { harness in
      let client = try harness.client()
      try client.send(.cbor, .wait)
      await harness.service.wait(for: .started(.cbor))
      await harness.advance(milliseconds: 10_000)
      try client.send(.cancel)
      #expect(try client.receive() == .keepalive(.processing))
      #expect(try client.receive() == Frame(.cbor, [0x2D]))
    }
  }

  @Test func halfClosedClientsGetTheirReply() async throws {
    try await withServer { harness in
      let client = try harness.client()
      try client.send(.cbor, .wait, [5])
      try client.finishWriting()
      await harness.service.wait(for: .started(.cbor))
      await harness.settle()
      #expect(!harness.service.happenings.contains(.cancelled))
      harness.service.releaseAll()
      #expect(try client.receive() == Frame(.cbor, [Script.wait.rawValue, 5]))
      #expect(try client.receive() == nil)
      await harness.service.wait(for: .closed)

      // Without a request, and in the middle of a frame.
      for bytes: [UInt8] in [[], [0, 0], [0, 0, 0, 9, 1, 1]] {
        let client = try harness.client()
        try client.sendRaw(bytes)
        try client.finishWriting()
        #expect(try client.receive() == nil)
      }
    }
  }

  @Test func disconnectCancelsAndClosesTheSessionOnce() async throws {
    try await withServer { harness in
      do {
        let client = try harness.client()
        try client.send(.cbor, .stubborn)
        await harness.service.wait(for: .started(.cbor))
      }
      await harness.service.wait(for: .cancelled)
      await harness.settle()
      #expect(await harness.server.connectionCount == 0)
      #expect(!harness.service.happenings.contains(.closed), "not while the handler works")
      harness.service.releaseAll()
      await harness.service.wait(for: .closed)
      #expect(
        harness.service.happenings == [.opened(user: geteuid()), .started(.cbor), .cancelled, .closed])
    }
  }

  @Test func sessionsAreOpenedByTheFirstRequestAndClosedAtTheEnd() async throws {
    try await withServer { harness in
      do {
        let client = try harness.client()
        #expect(try client.call(.ping) == Frame(.ping))
        #expect(harness.service.happenings.isEmpty)
        for _ in 0..<3 { #expect(try client.call(.message) == Frame(.message)) }
      }
      await harness.service.wait(for: .closed)
      let started = Happening.started(.message)
      #expect(harness.service.happenings == [.opened(user: geteuid()), started, started, started, .closed])
    }
  }
}
