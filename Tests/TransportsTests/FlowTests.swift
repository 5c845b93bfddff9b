import CTAPHID
import Glibc
import Platform
import Testing
import Transports

/// What the server reads and sends when, and how much of it at a time.
@Suite(.timeLimit(.minutes(2))) struct FlowTests {
  /// Replies of the server to one PING after another while a request is in progress, until `count` have come.
  private func busyReplies(_ client: TestClient, _ count: Int) throws -> Int {
    var busy = 0
    while busy < count {
      let frame = try client.receive()
      if frame == .error(.channelBusy) { busy += 1 } else if frame != .keepalive(.processing) { break }
    }
    return busy
  }

  @Test func nothingIsLostWhereATimerEmptiesTheOutput() async throws {
    try await withServer { harness in
      let client = try harness.client()
      // Frames with and without replies, as many as are read at once: so the output fills up with input left over.
      let (pings, cancels) = (2731, 272)
      let free = [[UInt8]](repeating: Frame(.cancel).encoded(), count: cancels)
      let block = Array((free + [[UInt8]](repeating: Frame(.ping).encoded(), count: pings) + free).joined())
      try client.send(.cbor, .stubborn)
      await harness.service.wait(for: .started(.cbor))
      let sent = try await harness.flood(client, with: block)
      // The client reads just before the timer of the keepalive, which finds room and sends what there is.
      let early = Lock(0)
      harness.loop.after(nanoseconds: 50_000_000) {
        let frames = try? client.receiveNow()
        early.withLock { $0 = frames?.count { $0 == .error(.channelBusy) } ?? 0 }
      }
      await harness.advance(milliseconds: 100)
      let before = early.withLock { $0 }
      #expect(before > 0)
      let due = sent / block.count * pings - before
      #expect(try busyReplies(client, due) == due)
      try client.sendRaw(Array(block.dropFirst(sent % block.count)))
      #expect(try busyReplies(client, pings) == pings)
      harness.service.releaseAll()
      #expect(try client.receive() == Frame(.cbor, [Script.stubborn.rawValue]))
    }
  }

  @Test func framesThatCostNothingWaitForTheOthers() async throws {
    try await withServer { harness in
      let (many, one) = (try harness.client(), try harness.client())
      for client in [many, one] { #expect(try client.call(.ping) == Frame(.ping)) }
      try harness.whileLoopStands {
        try many.sendRaw((0..<500).flatMap { _ in Frame(.cancel).encoded() } + Frame(.message).encoded())
        try one.send(.cbor)
      }
      await harness.service.wait(for: .started(.message))
      let requests: [Happening] = [.started(.cbor), .started(.message)]
      #expect(harness.service.happenings.filter(requests.contains) == requests)
      #expect(try many.receive() == Frame(.message), "what waits needs no further input")
    }
  }

  @Test func aCrowdAtTheDoorWaitsForThoseInside() async throws {
    let service = Lock<ScriptedService?>(nil)
    let early = Lock(0)
    let log = Logger(level: .debug) { _, message in
      let isServed = service.withLock { $0?.happenings.contains(.started(.cbor)) ?? true }
      if message.hasPrefix("connection "), message.contains(": user "), !isServed { early.withLock { $0 += 1 } }
    }
    try await withServer(log: log) { harness in
      let inside = try harness.client()
      #expect(try inside.call(.ping) == Frame(.ping))
      service.withLock { $0 = harness.service }
      var crowd: [TestClient] = []
      try harness.whileLoopStands {
        for _ in 0..<60 { crowd.append(try harness.client()) }
        try inside.send(.cbor)
      }
      #expect(try inside.receive() == Frame(.cbor))
      #expect(early.withLock { $0 } <= 16)
      for client in crowd { #expect(try client.call(.ping) == Frame(.ping)) }
    }
  }

  @Test(arguments: [true, false]) func theTimeOfAFrameStandsWhileTheServerDoesNotRead(isInTime: Bool) async throws {
    try await withServer { harness in
      let client = try harness.client()
      let ping = Frame(.ping, [UInt8](repeating: 1, count: 30_000))
      var pings = 0
      // The last one is more than the socket should hold: it takes no further byte.
      while client.waitingBytes < client.socketBytes * 9 / 10 {
        try client.sendRaw(ping.encoded())
        pings += 1
        await harness.wait { client.waitingBytes == pings * ping.encoded().count }
      }
      try client.sendRaw(Frame(.cbor, [Script.wait.rawValue]).encoded() + [0, 0, 0])
      await harness.service.wait(for: .started(.cbor))
      await harness.settle()
      await harness.advance(milliseconds: 3_000)
      harness.service.releaseAll()
      await harness.settle()
      #expect(client.waitingBytes == pings * ping.encoded().count)
      await harness.advance(milliseconds: 4_000)
      for _ in 0..<pings { #expect(try client.receive() == ping) }
      #expect(try client.receive() == .keepalive(.processing))
      #expect(try client.receive() == Frame(.cbor, [Script.wait.rawValue]))
      await harness.settle()
      await harness.advance(milliseconds: 1_999)
      if isInTime {
        try client.sendRaw([2, 1, 7])
        #expect(try client.receive() == Frame(.ping, [7]))
      } else {
        await harness.advance(milliseconds: 1)
        #expect(try client.receive() == .error(.messageTimeout))
        #expect(try client.receive() == nil)
      }
    }
  }

  @Test func keepalivesAreNotPiledUpForWhoDoesNotRead() async throws {
    try await withServer { harness in
      let client = try harness.client()
      let ping = Frame(.ping).encoded()
      try client.send(.cbor, .wait)
      await harness.service.wait(for: .started(.cbor))
      let sent = try await harness.flood(client, with: ping)
      for _ in 0..<20 { await harness.advance(milliseconds: 100) }
      for _ in 0..<sent / ping.count { #expect(try client.receive() == .error(.channelBusy)) }
      await harness.settle()
      await harness.advance(milliseconds: 100)
      #expect(try client.receive() == .keepalive(.processing), "one for who has read")
    }
  }
}
