import CTAPHID
import Glibc
import Platform
import TestSupport
import Testing

@testable import HIDRelay

@Suite(.timeLimit(.minutes(1))) struct RelayTests {
  @Test func aRequestAndItsAnswer() async throws {
    try await withRelay { harness in
      let host = try harness.host()
      let channel = try host.open()
      #expect(try host.call(channel, .ping, [1, 2]) == Message(channel: channel, .ping, [1, 2]))
      #expect(await harness.relay.connectionCount == 0, "the daemon is asked only what it must answer")
      let long = [UInt8](repeating: 9, count: 7609)
      try host.send(channel, .cbor, long)
      let daemon = try harness.accept()
      #expect(try daemon.receive() == Frame(.cbor, long))
      try daemon.send(.keepalive(.processing))
      #expect(try host.receive() == Message(channel: channel, .keepalive, [1]))
      try daemon.send(Frame(.cbor, long))
      #expect(try host.receive() == Message(channel: channel, .cbor, long))
      // The connection stays: it is where the channel's state is.
      try host.send(channel, .message, [3])
      #expect(try daemon.receive() == Frame(.message, [3]))
      try daemon.send(Frame(.message, [0x90, 0]))
      #expect(try host.receive() == Message(channel: channel, .message, [0x90, 0]))
      #expect(harness.notes.log == [])
    }
  }

  @Test func infoOfAPortIsTheDaemons() async throws {
    try await withRelay { harness in
      let (host, channel, daemon) = try harness.ask([4])
      // {5: 7609}
      try daemon.send(Frame(.cbor, [0, 0xA1, 5, 0x19, 0x1D, 0xB9]))
      #expect(try host.receive() == Message(channel: channel, .cbor, [0, 0xA1, 5, 0x19, 0x1D, 0xB9]))
    }
  }

  @Test func eachChannelIsAConnection() async throws {
    try await withRelay { harness in
      let host = try harness.host()
      let channels = [try host.open(), try host.open()]
      var daemons: [DaemonEnd] = []
      for channel in channels {
        try host.send(channel, .cbor, [4])
        daemons.append(try harness.accept())
        #expect(try daemons.last?.receive() == Frame(.cbor, [4]))
        try daemons.last?.send(Frame(.cbor, [0]))
        #expect(try host.receive() == Message(channel: channel, .cbor, [0]))
      }
      try host.send(channels[0], .cbor, [5])
      #expect(try daemons[0].receive() == Frame(.cbor, [5]))
      #expect(try host.call(channels[1], .ping) == Message(channel: channels[1], .error, [0x06]))
    }
  }

  @Test func cancellation() async throws {
    try await withRelay { harness in
      let (host, channel, daemon) = try harness.ask([1])
      try host.send(channel, .cancel)
      #expect(try daemon.receive() == Frame(.cancel))
      try daemon.send(Frame(.cbor, [0x2D]))
      #expect(try host.receive() == Message(channel: channel, .cbor, [0x2D]))
    }
  }

  @Test func initEndsTheConnection() async throws {
    try await withRelay { harness in
      let (host, channel, daemon) = try harness.ask([1])
      #expect(try host.call(channel, .initialize, [1, 2, 3, 4, 5, 6, 7, 8]).payload.count == 17)
      #expect(try daemon.receive() == nil, "to the daemon that is the cancellation")
      try host.send(channel, .cbor, [4])
      #expect(try harness.accept().receive() == Frame(.cbor, [4]))
    }
  }

  @Test func channelsThatMakeRoomEndTheirConnection() async throws {
    try await withRelay { harness in
      let host = try harness.host()
      let first = try host.open()
      try host.send(first, .cbor, [1])
      let daemon = try harness.accept()
      _ = try daemon.receive()
      try daemon.send(Frame(.cbor, [0]))
      _ = try host.receive()
      for _ in 0..<63 { _ = try host.open() }
      #expect(await harness.relay.connectionCount == 1)
      _ = try host.open()
      #expect(try daemon.receive() == nil)
      #expect(await harness.relay.connectionCount == 0)
      #expect(try host.call(first, .ping) == Message(channel: first, .error, [0x0B]))
    }
  }

  @Test func portsShareNothing() async throws {
    try await withRelay { harness in
      let (one, other) = (try harness.host(), try harness.host())
      let (channel, second) = (try one.open(), try other.open())
      #expect(try one.call(second, .ping) == Message(channel: second, .error, [0x0B]), "it is not theirs")
      // Both at once.
      try one.send(channel, .cbor, [1])
      let daemon = try harness.accept()
      try other.send(second, .cbor, [2])
      let otherDaemon = try harness.accept()
      #expect(try daemon.receive() == Frame(.cbor, [1]))
      #expect(try otherDaemon.receive() == Frame(.cbor, [2]))
      try otherDaemon.send(Frame(.cbor, [0, 2]))
      #expect(try other.receive() == Message(channel: second, .cbor, [0, 2]))
      try daemon.send(Frame(.cbor, [0, 1]))
      #expect(try one.receive() == Message(channel: channel, .cbor, [0, 1]))
    }
  }

  @Test func aPortThatLeavesTakesItsConnectionsAlong() async throws {
    try await withRelay { harness in
      let daemon: DaemonEnd
      do {
        let host = try harness.host()
        try host.send(try host.open(), .cbor, [1])
        daemon = try harness.accept()
        #expect(try daemon.receive() == Frame(.cbor, [1]))
      }
      #expect(try daemon.receive() == nil)
      await harness.wait { await harness.relay.portCount == 0 }
    }
  }

  @Test func packetsOfAnotherSizeDoNoHarm() async throws {
    try await withRelay { harness in
      let host = try harness.host()
      let channel = try host.open()
      for count in [0, 1, 63, 65, 100, 4096] {
        _ = try host.socket.sendNow([UInt8](repeating: 0x80, count: count)[...])
      }
      #expect(try host.call(channel, .ping, [1]) == Message(channel: channel, .ping, [1]))
    }
  }

  @Test func onlySoManyPorts() async throws {
    try await withRelay {
      $0.portLimit = 2
    } _: { harness in
      let first = try harness.host()
      let second = try harness.host()
      _ = (try first.open(), try second.open())
      #expect(try harness.host().read() == nil)
      #expect(harness.notes.log == ["connection for reports refused: 2 are there: close some"])
      _ = try first.open()
    }
  }

  @Test func aHostThatDoesNotRead() async throws {
    try await withRelay { harness in
      let (deaf, other) = (try harness.host(), try harness.host())
      let channel = try deaf.open()
      let ping = Message(channel: channel, .ping, [7]).reports()[0]
      // The relay stops reading once it cannot send, so that there is no room any more in the end.
      var sent = 0
      var idle = 0
      while idle < 20 {
        let count = try deaf.flood(ping)
        sent += count
        idle = count == 0 ? idle + 1 : 0
        await harness.settle()
      }
      #expect(sent > 0)
      let another = try other.open()
      #expect(try other.call(another, .ping, [1]) == Message(channel: another, .ping, [1]))
      // What it could not take before is there when it reads.
      for _ in 0..<sent { #expect(try deaf.receive() == Message(channel: channel, .ping, [7])) }
    }
  }
}

@Suite(.timeLimit(.minutes(1))) struct DaemonAwayTests {
  @Test func requestsFailAndLaterOnesDoNot() async throws {
    try await withRelay { harness in
      let host = try harness.host()
      let channel = try host.open()
      harness.stopDaemon()
      #expect(try host.call(channel, .cbor, [4]) == Message(channel: channel, .error, [0x7F]))
      #expect(harness.notes.log.count == 1)
      #expect(harness.notes.log.first?.hasPrefix("request not relayed: connect ") ?? false)
      #expect(harness.notes.log.first?.contains("start countersignd") ?? false)
      #expect(try host.call(channel, .ping) == Message(channel: channel, .ping), "the device stays")
      // Clients must not be able to fill the log.
      for _ in 0..<5 { #expect(try host.call(channel, .cbor, [4]).payload == [0x7F]) }
      #expect(harness.notes.log.count == 1)
      try harness.startDaemon()
      try host.send(channel, .cbor, [4])
      #expect(try harness.accept().receive() == Frame(.cbor, [4]))
    }
  }

  @Test func inTheMiddleOfARequest() async throws {
    try await withRelay { harness in
      let host = try harness.host()
      let channel = try host.open()
      try host.send(channel, .cbor, [4])
      do { _ = try harness.accept().receive() }
      #expect(try host.receive() == Message(channel: channel, .error, [0x7F]))
      #expect(harness.notes.log.first?.hasPrefix("request not answered: ") ?? false)
      #expect(await harness.relay.connectionCount == 0)
      try host.send(channel, .cbor, [4])
      #expect(try harness.accept().receive() == Frame(.cbor, [4]))
    }
  }

  @Test func betweenRequests() async throws {
    try await withRelay { harness in
      let host = try harness.host()
      let channel = try host.open()
      do {
        try host.send(channel, .cbor, [4])
        let daemon = try harness.accept()
        _ = try daemon.receive()
        try daemon.send(Frame(.cbor, [0]))
        _ = try host.receive()
      }
      try host.send(channel, .cbor, [4])
      let daemon = try harness.accept()
      #expect(try daemon.receive() == Frame(.cbor, [4]), "it was started anew, and nobody noticed")
      #expect(harness.notes.log == [])
    }
  }

  @Test func refusalsArePassedOn() async throws {
    try await withRelay { harness in
      let host = try harness.host()
      let channel = try host.open()
      // A daemon that has no room says so and closes, sometimes before the request reaches it.
      for _ in 0..<200 {
        try host.send(channel, .cbor, [4])
        do { try harness.accept().send(.error(.channelBusy)) }
        #expect(try host.receive() == Message(channel: channel, .error, [0x06]))
      }
    }
  }

  @Test func nonsense() async throws {
    let cases: [(bytes: [UInt8], complaint: String)] = [
      ([0, 0, 0, 0], "request not answered: the daemon sent a frame of impossible length"),
      (Frame(.cbor, [UInt8](repeating: 0, count: 7610)).encoded(), "answer not relayed: it has 7610 bytes"),
      (Frame(.ping).encoded(), "answer not relayed: command 0x1 was not asked for"),
    ]
    for (bytes, complaint) in cases {
      try await withRelay { harness in
        let (host, channel, daemon) = try harness.ask([4])
        try daemon.sendRaw(bytes)
        #expect(try host.receive() == Message(channel: channel, .error, [0x7F]))
        #expect(harness.notes.log.first?.hasPrefix(complaint) ?? false)
        #expect(await harness.relay.connectionCount == 0)
      }
    }
  }

  @Test func silence() async throws {
    try await withRelay { harness in
      let (host, channel, daemon) = try harness.ask([4])
      await harness.advance(milliseconds: 29_999)
      #expect(try host.call(channel, .ping) == Message(channel: channel, .error, [0x06]))
      await harness.advance(milliseconds: 1)
      #expect(try host.receive() == Message(channel: channel, .error, [0x7F]))
      #expect(try daemon.receive() == nil)
    }
  }
}

@Suite(.timeLimit(.minutes(1))) struct TimeTests {
  @Test func aMessageThatStops() async throws {
    try await withRelay { harness in
      let host = try harness.host()
      let channel = try host.open()
      try host.write(Message(channel: channel, .ping, [UInt8](repeating: 1, count: 100)).reports()[0])
      await harness.advance(milliseconds: 499)
      await harness.advance(milliseconds: 1)
      #expect(try host.receive() == Message(channel: channel, .error, [0x05]))
    }
  }

  @Test func stopWaitsForTheRequestInProgress() async throws {
    let harness = try await Harness()
    let host = try harness.host()
    let (channel, other) = (try host.open(), try harness.host())
    try host.send(channel, .cbor, [4])
    let daemon = try harness.accept()
    _ = try daemon.receive()
    let second = try other.open()
    let stop = Task { await harness.relay.stop(within: .max / 2) }
    await harness.wait { access(harness.folder.path("reports.sock"), F_OK) != 0 }
    #expect(try other.call(second, .cbor, [4]) == Message(channel: second, .error, [0x7F]), "no new ones are taken")
    try daemon.send(Frame(.cbor, [0]))
    #expect(try host.receive() == Message(channel: channel, .cbor, [0]))
    #expect(try host.read() == nil)
    await stop.value
    harness.loop.stop()
  }

  @Test func stopDoesNotWaitForEver() async throws {
    let harness = try await Harness()
    let host = try harness.host()
    try host.send(try host.open(), .cbor, [4])
    let daemon = try harness.accept()
    _ = try daemon.receive()
    let stop = Task { await harness.relay.stop(within: 1_000_000_000) }
    await harness.wait { access(harness.folder.path("reports.sock"), F_OK) != 0 }
    await harness.advance(milliseconds: 1_000)
    await stop.value
    #expect(try daemon.receive() == nil)
    harness.loop.stop()
  }
}
