import TestSupport
import Testing

@testable import CTAPHID

private let broadcast = Packet.broadcast
private let nonce: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]

/// A device, the time that a test gives it, and what it has done.
private struct Bench {
  var device: VirtualDevice
  var now: UInt64 = 1_000
  private var outputs: [UInt32: MessageReader] = [:]

  init(_ change: (inout VirtualDevice.Settings) -> Void = { _ in }) {
    var settings = VirtualDevice.Settings()
    settings.version = DeviceVersion(major: 1, minor: 2, build: 3)
    change(&settings)
    device = VirtualDevice(firstChannel: 100, settings: settings)
  }

  /// What a host sees and what the authenticator is asked, in their order.
  enum Seen: Equatable {
    case message(Message)
    case other(DeviceAction)
  }

  mutating func see(_ actions: [DeviceAction]) -> [Seen] {
    actions.flatMap { action -> [Seen] in
      guard case .send(let reports) = action else { return [.other(action)] }
      var messages: [Seen] = []
      var reader: MessageReader?
      for report in reports {
        switch Packet(report: report) {
        case .initialization(let channel, let code, let length, let data):
          reader = MessageReader(channel: channel, code: code, length: length, data: data)
        case .continuation(_, let sequence, let data): _ = reader?.take(sequence: sequence, data: data)
        case nil: Issue.record("no report: \(report)")
        }
        if let message = reader?.message { messages.append(.message(message)) }
      }
      return messages
    }
  }

  mutating func send(_ packet: Packet) -> [Seen] { see(device.receive(packet.encoded(), at: now)) }

  mutating func send(_ message: Message) -> [Seen] {
    message.reports().flatMap { see(device.receive($0, at: now)) }
  }

  mutating func send(_ channel: UInt32, _ command: PacketCommand, _ payload: [UInt8] = []) -> [Seen] {
    send(Message(channel: channel, command, payload))
  }

  /// The first packet only of a message of so many bytes.
  mutating func begin(_ channel: UInt32, _ command: PacketCommand, _ count: Int) -> [Seen] {
    let data = [UInt8](repeating: 5, count: min(count, 57))
    return send(.initialization(channel: channel, command: command.rawValue, length: count, data: data[...]))
  }

  mutating func proceed(_ channel: UInt32, _ sequence: UInt8) -> [Seen] {
    send(.continuation(channel: channel, sequence: sequence, data: [UInt8](repeating: 5, count: 59)[...]))
  }

  mutating func answer(_ frame: Frame, _ channel: UInt32) -> [Seen] {
    see(device.answer(frame, on: channel, at: now))
  }

  mutating func wait(_ nanoseconds: UInt64) -> [Seen] {
    now += nanoseconds
    return see(device.advance(to: now))
  }

  /// A new channel.
  mutating func channel() throws -> UInt32 {
    guard case .message(let reply)? = send(broadcast, .initialize, nonce).last else { throw NoChannel() }
    return try #require(InitializationReply(decoding: reply.payload)).channel
  }

  struct NoChannel: Error {}
}

private func error(_ error: CTAPHIDError, _ channel: UInt32) -> Bench.Seen {
  .message(Message(channel: channel, .error, [error.rawValue]))
}

private func request(_ channel: UInt32, _ command: FrameCommand, _ payload: [UInt8]) -> Bench.Seen {
  .other(.request(channel: channel, Frame(command, payload)))
}

private let second: UInt64 = 1_000_000_000

@Suite struct ChannelTests {
  @Test func initOnBroadcast() throws {
    var bench = Bench()
    let reply = InitializationReply(
      nonce: nonce, channel: 100, version: DeviceVersion(major: 1, minor: 2, build: 3), capabilities: [.wink, .cbor])
    #expect(
      bench.send(broadcast, .initialize, nonce) == [
        .message(Message(channel: broadcast, .initialize, reply.encoded()))
      ])
    #expect(try bench.channel() == 101)
    #expect(bench.device.channelCount == 2)
  }

  @Test func numbersAreNeverReserved() throws {
    var table = ChannelTable(limit: 8, first: .max - 1)
    #expect((0..<3).map { _ in table.allocate(keeping: []).channel } == [.max - 1, 1, 2])
    table = ChannelTable(limit: 8, first: 0)
    #expect(table.allocate(keeping: []).channel == 1)
  }

  @Test func onlyInitGoesToBroadcast() {
    var bench = Bench()
    for command in PacketCommand.allCases where command != .initialize {
      #expect(bench.send(broadcast, command, [1]) == [error(.invalidChannel, broadcast)])
    }
  }

  @Test func channelsThatWereNotAllocated() throws {
    var bench = Bench()
    let channel = try bench.channel()
    for stranger: UInt32 in [0, 1, channel + 1, .max - 1] {
      for command in PacketCommand.allCases {
        #expect(bench.send(stranger, command, nonce) == [error(.invalidChannel, stranger)])
      }
      #expect(bench.proceed(stranger, 0) == [], "what belongs to no message is ignored")
    }
  }

  @Test func initOfAnotherLength() throws {
    var bench = Bench()
    let channel = try bench.channel()
    for count in [0, 7, 9, 60, 7609] {
      #expect(bench.begin(broadcast, .initialize, count) == [error(.invalidLength, broadcast)])
      #expect(bench.begin(channel, .initialize, count) == [error(.invalidLength, channel)])
    }
    #expect(bench.device.channelCount == 1)
  }

  @Test func initOnAChannelBeginsItAnew() throws {
    var bench = Bench()
    let channel = try bench.channel()
    let reply = InitializationReply(
      nonce: nonce, channel: channel, version: DeviceVersion(major: 1, minor: 2, build: 3),
      capabilities: [.wink, .cbor])
    let anew: [Bench.Seen] = [
      .other(.forget(channel: channel)), .message(Message(channel: channel, .initialize, reply.encoded())),
    ]
    #expect(bench.send(channel, .initialize, nonce) == anew)
    // In the middle of a message.
    #expect(bench.begin(channel, .ping, 200) == [])
    #expect(bench.proceed(channel, 0) == [])
    #expect(bench.send(channel, .initialize, nonce) == anew)
    #expect(bench.proceed(channel, 1) == [], "the message is gone")
    #expect(bench.send(channel, .ping, [9]) == [.message(Message(channel: channel, .ping, [9]))])
    // While the authenticator works.
    #expect(bench.send(channel, .cbor, [4]) == [request(channel, .cbor, [4])])
    #expect(bench.send(channel, .initialize, nonce) == anew)
    #expect(bench.answer(Frame(.cbor, [0]), channel) == [], "nobody waits for it any more")
    #expect(bench.send(channel, .cbor, [4]) == [request(channel, .cbor, [4])])
  }

  @Test func initOfOthersTouchesNoTransaction() throws {
    var bench = Bench()
    let (busy, other) = (try bench.channel(), try bench.channel())
    #expect(bench.begin(busy, .ping, 100) == [])
    let third = try bench.channel()
    #expect(third != busy && third != other)
    #expect(bench.send(other, .initialize, nonce).count == 2)
    #expect(
      bench.proceed(busy, 0) == [.message(Message(channel: busy, .ping, [UInt8](repeating: 5, count: 100)))])
  }

  @Test func theLeastRecentlyUsedChannelMakesRoom() throws {
    var bench = Bench { $0.channelLimit = 4 }
    let channels = try (0..<4).map { _ in try bench.channel() }
    // In the order of use: 1, 3, 0, 2. Channel 1 is at work and 3 has the lock: both stay.
    #expect(bench.send(channels[1], .cbor, [4]).count == 1)
    _ = bench.answer(Frame(.cbor, [0]), channels[1])
    #expect(bench.send(channels[3], .lock, [10]) == [.message(Message(channel: channels[3], .lock))])
    _ = bench.send(channels[0], .ping)
    _ = bench.send(channels[2], .ping)
    #expect(bench.send(channels[3], .cbor, [4]) == [request(channels[3], .cbor, [4])])
    _ = bench.answer(Frame(.cbor, [0]), channels[3])
    #expect(bench.send(broadcast, .initialize, nonce).first == .other(.forget(channel: channels[1])))
    #expect(bench.send(broadcast, .initialize, nonce).first == .other(.forget(channel: channels[0])))
    #expect(bench.send(channels[0], .ping) == [error(.invalidChannel, channels[0])])
    #expect(bench.device.channelCount == 4)
    for _ in 0..<10 {
      #expect(bench.send(broadcast, .initialize, nonce).first != .other(.forget(channel: channels[3])))
    }
    // The lock is over: nothing keeps it any more.
    bench.now += 11 * second
    let gone = (0..<4).flatMap { _ in bench.send(broadcast, .initialize, nonce) }
    #expect(gone.contains(.other(.forget(channel: channels[3]))))
  }

  @Test func theBusyChannelStays() throws {
    var bench = Bench { $0.channelLimit = 3 }
    let busy = try bench.channel()
    #expect(bench.send(busy, .cbor, [4]).count == 1)
    for _ in 0..<20 { #expect(!bench.send(broadcast, .initialize, nonce).contains(.other(.forget(channel: busy)))) }
    #expect(bench.answer(Frame(.cbor, [0]), busy) == [.message(Message(channel: busy, .cbor, [0]))])
  }

  @Test func whenNobodyHasItOpenNoChannelIsLeft() throws {
    var bench = Bench()
    let channels = try (0..<3).map { _ in try bench.channel() }
    _ = bench.send(channels[0], .lock, [10])
    _ = bench.send(channels[0], .cbor, [4])
    #expect(bench.see(bench.device.reset()) == channels.map { .other(.forget(channel: $0)) })
    #expect(bench.device.deadline == nil && bench.device.channelCount == 0)
    #expect(bench.answer(Frame(.cbor, [0]), channels[0]) == [])
    #expect(bench.send(channels[1], .ping) == [error(.invalidChannel, channels[1])])
    let next = try bench.channel()
    #expect(!channels.contains(next))
    #expect(bench.send(next, .ping) == [.message(Message(channel: next, .ping))], "the lock is gone")
  }
}

@Suite struct TransactionTests {
  @Test(arguments: [0, 1, 57, 58, 7609]) func ping(_ count: Int) throws {
    var bench = Bench()
    let channel = try bench.channel()
    let data = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
    #expect(bench.send(channel, .ping, data) == [.message(Message(channel: channel, .ping, data))])
  }

  @Test(arguments: [(PacketCommand.cbor, FrameCommand.cbor), (.message, .message)])
  func requests(_ command: PacketCommand, _ frame: FrameCommand) throws {
    var bench = Bench()
    let channel = try bench.channel()
    for count in [1, 57, 58, 7609] {
      let data = [UInt8](repeating: 3, count: count)
      #expect(bench.send(channel, command, data) == [request(channel, frame, data)])
      #expect(bench.device.isProcessing)
      #expect(bench.answer(Frame(frame, data), channel) == [.message(Message(channel: channel, command, data))])
      #expect(!bench.device.isProcessing)
    }
  }

  @Test func wink() throws {
    var bench = Bench()
    let channel = try bench.channel()
    #expect(bench.send(channel, .wink) == [request(channel, .wink, [])])
    #expect(bench.answer(Frame(.wink), channel) == [.message(Message(channel: channel, .wink))])
  }

  @Test func lengthsThatCannotBe() throws {
    var bench = Bench()
    let channel = try bench.channel()
    for (command, count): (PacketCommand, Int) in [
      (.cbor, 0), (.message, 0), (.wink, 1), (.lock, 0), (.lock, 2), (.ping, 7610), (.cbor, 7610), (.message, 65_535),
    ] {
      #expect(bench.begin(channel, command, count) == [error(.invalidLength, channel)])
      #expect(bench.proceed(channel, 0) == [], "the message was refused")
      #expect(bench.device.deadline == nil)
    }
  }

  @Test func commandsThatCannotBe() throws {
    var bench = Bench()
    let channel = try bench.channel()
    let known = Set(PacketCommand.allCases.map(\.rawValue))
    for code in (UInt8(0)..<128).filter({ !known.contains($0) }) + [0x3b, 0x3f] {
      let packet = Packet.initialization(channel: channel, command: code, length: 7609, data: [])
      #expect(bench.send(packet) == [error(.invalidCommand, channel)])
    }
  }

  @Test func reportsOfAnotherLengthDoNothing() throws {
    var bench = Bench()
    let channel = try bench.channel()
    #expect(bench.begin(channel, .ping, 100) == [])
    for count in [0, 1, 63, 65] {
      #expect(bench.device.receive([UInt8](repeating: 0xFF, count: count), at: bench.now) == [])
    }
    #expect(bench.proceed(channel, 0).count == 1)
  }

  @Test func oneTransactionAtATime() throws {
    var bench = Bench()
    let (first, second) = (try bench.channel(), try bench.channel())
    // While a message comes in.
    #expect(bench.begin(first, .cbor, 100) == [])
    for command: PacketCommand in [.ping, .cbor, .message, .lock] {
      #expect(bench.send(second, command, [1]) == [error(.channelBusy, second)])
    }
    #expect(bench.proceed(second, 0) == [])
    #expect(bench.proceed(first, 0).count == 1)
    // While the authenticator works: for its own channel too.
    for channel in [first, second] {
      #expect(bench.send(channel, .ping, [1]) == [error(.channelBusy, channel)])
      #expect(bench.begin(channel, .cbor, 100) == [error(.channelBusy, channel)])
      #expect(bench.proceed(channel, 0) == [])
    }
    #expect(bench.answer(Frame(.cbor, [0]), first) == [.message(Message(channel: first, .cbor, [0]))])
    #expect(bench.send(second, .ping, [1]) == [.message(Message(channel: second, .ping, [1]))])
  }

  @Test func sequenceErrors() throws {
    var bench = Bench()
    let channel = try bench.channel()
    for wrong: [UInt8] in [[1], [0, 0], [0, 2], [127]] {
      #expect(bench.begin(channel, .ping, 300) == [])
      for sequence in wrong.dropLast() { #expect(bench.proceed(channel, sequence) == []) }
      #expect(bench.proceed(channel, try #require(wrong.last)) == [error(.invalidSequence, channel)])
      #expect(bench.proceed(channel, 0) == [], "the message is gone")
    }
    // Another message before the end of this one.
    #expect(bench.begin(channel, .ping, 300) == [])
    #expect(bench.send(channel, .ping, [1]) == [error(.invalidSequence, channel)])
    #expect(bench.send(channel, .ping, [1]) == [.message(Message(channel: channel, .ping, [1]))])
  }

  @Test func spuriousContinuationsAreIgnored() throws {
    var bench = Bench()
    let channel = try bench.channel()
    for sequence: UInt8 in [0, 1, 127] { #expect(bench.proceed(channel, sequence) == []) }
    #expect(bench.proceed(broadcast, 0) == [])
  }

  @Test func aMessageThatStops() throws {
    var bench = Bench()
    let (channel, other) = (try bench.channel(), try bench.channel())
    #expect(bench.begin(channel, .ping, 300) == [])
    #expect(bench.wait(499_999_999) == [])
    // Each packet gives the next one its time.
    #expect(bench.proceed(channel, 0) == [])
    #expect(bench.wait(499_999_999) == [])
    #expect(bench.device.deadline == bench.now + 1)
    #expect(bench.wait(1) == [error(.messageTimeout, channel)])
    #expect(bench.device.deadline == nil)
    #expect(bench.proceed(channel, 1) == [])
    // Whoever comes after it does not wait for a timer.
    #expect(bench.begin(channel, .ping, 300) == [])
    bench.now += 500_000_000
    #expect(
      bench.send(other, .ping, [1]) == [error(.messageTimeout, channel), .message(Message(channel: other, .ping, [1]))])
  }
}

@Suite struct CancelTests {
  @Test func itReachesTheRequestInProgress() throws {
    var bench = Bench()
    let (channel, other) = (try bench.channel(), try bench.channel())
    #expect(bench.send(channel, .cbor, [1]).count == 1)
    #expect(bench.send(other, .cancel) == [], "it is not theirs")
    #expect(bench.send(channel, .cancel) == [.other(.cancel(channel: channel))])
    #expect(bench.send(channel, .cancel) == [], "once is enough")
    _ = bench.answer(.keepalive(.processing), channel)
    #expect(bench.send(channel, .cancel) == [])
    #expect(bench.answer(Frame(.cbor, [0x2D]), channel) == [.message(Message(channel: channel, .cbor, [0x2D]))])
  }

  @Test func itIsNeverAnswered() throws {
    var bench = Bench()
    let channel = try bench.channel()
    #expect(bench.send(channel, .cancel) == [])
    #expect(bench.send(channel, .cancel, [1, 2]) == [])
    #expect(bench.begin(channel, .ping, 100) == [])
    #expect(bench.send(channel, .cancel) == [])
    #expect(bench.proceed(channel, 0).count == 1, "the message that is not whole yet goes on")
  }
}

@Suite struct LockTests {
  @Test func othersAreBusy() throws {
    var bench = Bench()
    let (holder, other) = (try bench.channel(), try bench.channel())
    #expect(bench.send(holder, .lock, [10]) == [.message(Message(channel: holder, .lock))])
    #expect(bench.send(other, .ping) == [error(.channelBusy, other)])
    #expect(bench.send(other, .lock, [0]) == [error(.channelBusy, other)], "the lock is not theirs to end")
    #expect(bench.send(holder, .ping) == [.message(Message(channel: holder, .ping))])
    bench.now += 10 * second - 1
    #expect(bench.send(other, .ping) == [error(.channelBusy, other)])
    // Said again, it begins again.
    #expect(bench.send(holder, .lock, [1]) == [.message(Message(channel: holder, .lock))])
    bench.now += second - 1
    #expect(bench.send(other, .ping) == [error(.channelBusy, other)])
    bench.now += 1
    #expect(bench.send(other, .ping) == [.message(Message(channel: other, .ping))])
  }

  @Test func zeroEndsIt() throws {
    var bench = Bench()
    let (holder, other) = (try bench.channel(), try bench.channel())
    _ = bench.send(holder, .lock, [10])
    #expect(bench.send(holder, .lock, [0]) == [.message(Message(channel: holder, .lock))])
    #expect(bench.send(other, .ping) == [.message(Message(channel: other, .ping))])
  }

  @Test func tenSecondsAtMost() throws {
    var bench = Bench()
    let (holder, other) = (try bench.channel(), try bench.channel())
    for seconds: UInt8 in [11, 255] {
      #expect(bench.send(holder, .lock, [seconds]) == [error(.invalidParameter, holder)])
    }
    #expect(bench.send(other, .ping) == [.message(Message(channel: other, .ping))])
  }
}

@Suite struct AnswerTests {
  @Test func keepalives() throws {
    var bench = Bench()
    let channel = try bench.channel()
    _ = bench.send(channel, .cbor, [1])
    for status: KeepaliveStatus in [.processing, .userPresenceNeeded] {
      #expect(
        bench.answer(.keepalive(status), channel) == [
          .message(Message(channel: channel, .keepalive, [status.rawValue]))
        ])
    }
    _ = bench.answer(Frame(.cbor, [0]), channel)
    #expect(bench.answer(.keepalive(.processing), channel) == [])
    // Clients of U2F may know none.
    _ = bench.send(channel, .message, [1])
    #expect(bench.answer(.keepalive(.processing), channel) == [])
    #expect(bench.answer(Frame(.message, [0x90, 0]), channel).count == 1)
  }

  @Test func errorsOfTheDaemon() throws {
    var bench = Bench()
    let channel = try bench.channel()
    for code: CTAPHIDError in [.channelBusy, .invalidCommand, .other, CTAPHIDError(rawValue: 0x99)] {
      _ = bench.send(channel, .cbor, [1])
      #expect(bench.answer(.error(code), channel) == [error(code, channel)])
      #expect(!bench.device.isProcessing)
    }
  }

  @Test func answersThatDoNotFit() throws {
    var bench = Bench()
    let channel = try bench.channel()
    _ = bench.send(channel, .cbor, [1])
    let long = Frame(.cbor, [UInt8](repeating: 0, count: 7610))
    #expect(
      bench.answer(long, channel) == [
        .other(.report(.answerTooLong(7610))), .other(.forget(channel: channel)), error(.other, channel),
      ])
    for frame in [Frame(.ping), Frame(.message, [1]), Frame(.keepalive), Frame(.error, [1, 2]), Frame(.cancel)] {
      _ = bench.send(channel, .cbor, [1])
      #expect(
        bench.answer(frame, channel) == [
          .other(.report(.malformedAnswer(code: frame.code))), .other(.forget(channel: channel)),
          error(.other, channel),
        ])
    }
  }

  @Test func answersToNobody() throws {
    var bench = Bench()
    let (channel, other) = (try bench.channel(), try bench.channel())
    #expect(bench.answer(Frame(.cbor, [0]), channel) == [])
    _ = bench.send(channel, .cbor, [1])
    #expect(bench.answer(Frame(.cbor, [0]), other) == [])
    #expect(bench.device.isProcessing)
  }

  @Test func aDaemonThatIsGone() throws {
    var bench = Bench()
    let (channel, other) = (try bench.channel(), try bench.channel())
    #expect(bench.see(bench.device.lose(channel)) == [])
    _ = bench.send(channel, .cbor, [1])
    #expect(bench.see(bench.device.lose(other)) == [])
    #expect(bench.see(bench.device.lose(channel)) == [error(.other, channel)])
    #expect(bench.send(other, .cbor, [1]) == [request(other, .cbor, [1])])
  }

  @Test func aDaemonThatIsSilent() throws {
    var bench = Bench()
    let channel = try bench.channel()
    _ = bench.send(channel, .cbor, [1])
    #expect(bench.wait(30 * second - 1) == [])
    _ = bench.answer(.keepalive(.processing), channel)
    #expect(bench.wait(30 * second - 1) == [])
    #expect(
      bench.wait(1) == [.other(.report(.silence)), .other(.forget(channel: channel)), error(.other, channel)])
    #expect(bench.send(channel, .ping) == [.message(Message(channel: channel, .ping))])
  }
}
