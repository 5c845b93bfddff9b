import CTAPHID
import Glibc
import Platform
import TestSupport
import Testing
import Transports

/// Clients that stall, crowd, never read, or send anything at all.
@Suite(.timeLimit(.minutes(2))) struct HostileClientTests {
  @Test(arguments: [[0], [0, 0, 0, 9], [0, 0, 0, 9, 1], [0, 0, 0, 9, 1, 2, 3]] as [[UInt8]])
  func stalledInMidFrame(_ part: [UInt8]) async throws {
    try await withServer { harness in
      let client = try harness.client()
      let silent = try harness.client()
      // The reply to PING says that the server has seen all of it.
      try client.sendRaw(Frame(.ping).encoded() + part)
      #expect(try client.receive() == Frame(.ping))
      await harness.advance(milliseconds: 4_999)
      #expect(await harness.server.connectionCount == 2)
      await harness.advance(milliseconds: 1)
      #expect(try client.receive() == .error(.messageTimeout))
      #expect(try client.receive() == nil)
      #expect(await harness.server.connectionCount == 1)
      await harness.advance(milliseconds: 3_600_000)
      #expect(try silent.call(.ping) == Frame(.ping), "between frames a client may be silent")
    }
  }

  @Test func drippingDoesNotHelp() async throws {
    try await withServer { harness in
      let client = try harness.client()
      try client.sendRaw(Frame(.ping).encoded() + [0, 0, 1, 0, 1])
      #expect(try client.receive() == Frame(.ping))
      for _ in 0..<4 {
        await harness.advance(milliseconds: 1_200)
        try client.sendRaw([0])
        await harness.settle()
      }
      await harness.advance(milliseconds: 200)
      #expect(try client.receive() == .error(.messageTimeout))
      #expect(try client.receive() == nil)
    }
  }

  @Test func eachFrameHasItsOwnTime() async throws {
    try await withServer { harness in
      let client = try harness.client()
      let frame = Frame(.ping, [1, 2, 3]).encoded()
      try client.sendRaw(frame + frame.prefix(4))
      #expect(try client.receive() == Frame(.ping, [1, 2, 3]))
      for _ in 0..<5 {
        await harness.advance(milliseconds: 3_000)
        try client.sendRaw(Array(frame.dropFirst(4) + frame.prefix(4)))
        #expect(try client.receive() == Frame(.ping, [1, 2, 3]))
      }
    }
  }

  @Test func aReaderThatNeverReads() async throws {
    try await withServer { harness in
      let client = try harness.client()
      let ping = Frame(.ping, [UInt8](repeating: 3, count: 30_000)).encoded()
      var sent = 0
      // The server stops reading once its replies are not taken; then this socket fills up and stays full.
      var idle = 0
      while idle < 3 {
        let count = try client.sendNow(Array(ping.dropFirst(sent % ping.count)))
        sent += count
        await harness.settle()
        idle = count == 0 ? idle + 1 : 0
      }
      #expect(sent < 4_000_000, "bounded by the buffers of the kernel and one of ours")
      #expect(try harness.client().call(.ping, [1]) == Frame(.ping, [1]), "others are served")
      await harness.advance(milliseconds: 4_999)
      #expect(await harness.server.connectionCount > 0)
      await harness.advance(milliseconds: 1)
      await harness.settle()
      #expect(await harness.server.connectionCount == 0)
    }
  }

  @Test func nothingIsBegunForAReaderThatDoesNotRead() async throws {
    try await withServer { harness in
      let client = try harness.client()
      let request = Frame(.cbor, [Script.long.rawValue, 0, 255]).encoded()
      // Far more replies than the socket holds; each request is sent when the last one has been answered.
      for number in 1...40 {
        try client.sendRaw(request)
        await harness.settle()
        await harness.settle()
        #expect(harness.service.happenings.count <= number + 1)
      }
      let begun = harness.service.happenings.filter { $0 == .started(.cbor) }.count
      #expect(begun < 20)
      // Once it reads, everything that it asked for comes.
      for _ in 0..<40 { #expect(try client.receive()?.payload.count ?? 0 > 0) }
      #expect(try client.call(.ping) == Frame(.ping))
    }
  }

  @Test func threeHundredAtOnce() async throws {
    try await withServer { harness in
      let clients = try (0..<300).map { number in
        let client = try harness.client()
        switch number % 3 {
        case 0: break  // silent
        case 1: try client.sendRaw([0, 0, 0])  // slow
        default: try client.send(.cbor, .wait)  // waiting for its answer
        }
        return client
      }
      await harness.service.wait(for: .started(.cbor), times: 100)
      let fast = try harness.client()
      for number in 0..<200 {
        let payload = [0, UInt8(number)]
        #expect(try fast.call(.cbor, payload) == Frame(.cbor, payload))
      }
      #expect(await harness.server.connectionCount == 301)
      harness.service.releaseAll()
      for (number, client) in clients.enumerated() where number % 3 == 2 {
        #expect(try client.receive() == Frame(.cbor, [Script.wait.rawValue]))
      }
      for (number, client) in clients.enumerated() where number % 3 == 0 {
        #expect(try client.call(.ping) == Frame(.ping))
      }
    }
  }

  @Test func theLimitOfConnections() async throws {
    var settings = ServerSettings()
    settings.connectionLimit = 3
    settings.connectionsPerUser = 0
    try await withServer(settings) { harness in
      var clients = try (0..<3).map { _ in try harness.client() }
      for client in clients { #expect(try client.call(.ping) == Frame(.ping)) }
      let fourth = try harness.client()
      #expect(try fourth.receive() == .error(.channelBusy))
      #expect(try fourth.receive() == nil)
      clients.removeLast()
      await harness.settle()
      #expect(try harness.client().call(.ping) == Frame(.ping), "there is room again")
    }
  }

  @Test func theShareOfOneUser() async throws {
    var settings = ServerSettings()
    settings.connectionsPerUser = 2
    try await withServer(settings) { harness in
      var clients = try (0..<2).map { _ in try harness.client() }
      for client in clients { #expect(try client.call(.ping) == Frame(.ping)) }
      #expect(try harness.client().receive() == .error(.channelBusy))
      clients.removeLast()
      await harness.settle()
      #expect(try harness.client().call(.ping) == Frame(.ping))
    }
  }

  /// What it has begun goes on without it.
  @Test func whoHasGoneCountsUntilItsRequestHasEnded() async throws {
    var settings = ServerSettings()
    settings.connectionsPerUser = 1
    try await withServer(settings) { harness in
      var client: TestClient? = try harness.client()
      try client?.send(.cbor, .stubborn)
      await harness.service.wait(for: .started(.cbor))
      client = nil
      await harness.service.wait(for: .cancelled)
      await harness.settle()
      #expect(await harness.server.connectionCount == 0)
      #expect(try harness.client().receive() == .error(.channelBusy))
      harness.service.releaseAll()
      await harness.service.wait(for: .closed)
      await harness.settle()
      #expect(try harness.client().call(.ping) == Frame(.ping))
    }
  }

  @Test func garbage() async throws {
    let seed = UInt64.random(in: 0 ... .max)
    var random = SeededGenerator(seed: seed)
    try await withServer { harness in
      for _ in 0..<300 {
        let client = try harness.client()
        var bytes: [UInt8] = (0..<Int.random(in: 1...300, using: &random)).map { _ in
          .random(in: 0 ... .max, using: &random)
        }
        // Often enough a frame that is one.
        if Bool.random(using: &random) {
          bytes = Frame(code: .random(in: 0...0x40, using: &random), payload: [0] + bytes).encoded() + bytes
        }
        do {
          try client.sendRaw(bytes)
          if Bool.random(using: &random) { try client.finishWriting() }
        } catch let error as SystemError {
          #expect(error.code == EPIPE, "seed \(seed)")
        }
      }
      #expect(try harness.client().call(.cbor, [0, 1]) == Frame(.cbor, [0, 1]), "seed \(seed)")
      await harness.settle()
    }
  }

  @Test func nothingLeaks() async throws {
    // Other tests run meanwhile, so the sign of a leak is one in every connection.
    func descriptors() -> Int {
      guard let folder = opendir("/proc/self/fd") else { return 0 }
      defer { closedir(folder) }
      var count = 0
      while readdir(folder) != nil { count += 1 }
      return count
    }
    try await withServer { harness in
      let before = descriptors()
      for number in 0..<3000 {
        let client = try harness.client()
        switch number % 6 {
        case 0: #expect(try client.call(.cbor, [0]) == Frame(.cbor, [0]))
        case 1: try client.sendRaw([0, 0, 0, 0])
        case 2: try client.send(.cbor, .wait)
        case 3: try client.sendRaw([0, 0])
        case 4: try client.finishWriting()
        default: break
        }
        if number % 50 == 0 { await harness.settle() }
      }
      await harness.settle()
      await harness.settle()
      #expect(await harness.server.connectionCount == 0)
      #expect(descriptors() < before + 1500)
    }
  }
}
