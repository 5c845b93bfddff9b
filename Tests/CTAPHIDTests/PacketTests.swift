import CTAPHID
import TestSupport
import Testing

/// A payload that tells where each byte belongs.
private func payload(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) } }

/// Lengths around the borders between packets, and every command at one of them.
private let messages: [Message] =
  [0, 1, 56, 57, 58, 57 + 59, 57 + 59 + 1, 1000, 7608, 7609].map {
    Message(channel: 0x0102_0304, .ping, payload($0))
  } + PacketCommand.allCases.map { Message(channel: 0xAABB_CCDD, $0, payload(100)) }

private func packets(_ message: Message) throws -> [Packet] {
  try message.reports().map { try #require(Packet(report: $0)) }
}

/// Feeds packets to a reader.
private func read(_ packets: [Packet]) throws -> MessageReader.Progress {
  var rest = packets[...]
  guard case .initialization(let channel, let code, let length, let data)? = rest.popFirst(),
    var reader = MessageReader(channel: channel, code: code, length: length, data: data)
  else { throw SetUpError() }
  var progress = reader.message.map { MessageReader.Progress.whole($0) } ?? .more
  for packet in rest {
    guard case .continuation(_, let sequence, let data) = packet else { throw SetUpError() }
    progress = reader.take(sequence: sequence, data: data)
  }
  return progress
}

private struct SetUpError: Error {}

@Suite struct PacketTests {
  @Test func layout() throws {
    let begin = Packet.initialization(channel: 0x0102_0304, command: 0x10, length: 0x0506, data: [9, 8])
    #expect(begin.encoded() == [1, 2, 3, 4, 0x90, 5, 6, 9, 8] + [UInt8](repeating: 0, count: 55))
    let next = Packet.continuation(channel: 0xFFFF_FFFE, sequence: 127, data: [7])
    #expect(next.encoded() == [0xFF, 0xFF, 0xFF, 0xFE, 127, 7] + [UInt8](repeating: 0, count: 58))
  }

  @Test func everyBitHasItsPlace() throws {
    var random = SeededGenerator()
    for _ in 0..<500 {
      let report = (0..<64).map { _ in UInt8.random(in: 0 ... .max, using: &random) }
      let packet = try #require(Packet(report: report))
      #expect(packet.encoded() == report, "seed \(random.seed)")
      if case .initialization = packet { #expect(report[4] >= 0x80) } else { #expect(report[4] < 0x80) }
    }
  }

  @Test(arguments: [0, 1, 7, 63, 65, 128]) func otherLengthsAreNoReports(_ count: Int) {
    #expect(Packet(report: [UInt8](repeating: 0x81, count: count)) == nil)
  }
}

@Suite struct MessageTests {
  @Test func theLongestMessage() {
    #expect(Message.maximumPayload == 7609)
    let reports = Message(channel: 1, .cbor, payload(7609)).reports()
    #expect(reports.count == 129)
    #expect(reports.last?[4] == 127)
    #expect(reports.allSatisfy { $0.count == 64 })
  }

  @Test(arguments: messages.indices) func inOnePiece(_ index: Int) throws {
    let message = messages[index]
    #expect(try read(packets(message)) == .whole(message))
  }

  @Test(arguments: messages.indices) func packetByPacket(_ index: Int) throws {
    let message = messages[index]
    let all = try packets(message)
    for count in 1..<max(all.count, 1) {
      #expect(try read(Array(all.prefix(count))) == .more, "\(count) of \(all.count) packets")
    }
  }

  @Test func lengthTooLong() {
    for length in [7610, 8192, 0xFFFF] {
      #expect(MessageReader(channel: 1, code: 1, length: length, data: payload(57)[...]) == nil)
    }
  }

  /// What is over the length is padding, whatever it holds; what comes after the end belongs to nothing.
  @Test(arguments: messages.indices) func lengthTooShort(_ index: Int) throws {
    let message = messages[index]
    guard message.payload.count > 1 else { return }
    let shorter = Message(channel: message.channel, code: message.code, payload: message.payload.dropLast())
    var all = try packets(message)
    guard case .initialization(let channel, let code, let length, let data) = all[0] else { return }
    all[0] = .initialization(channel: channel, command: code, length: length - 1, data: data)
    let needed = shorter.reports().count
    #expect(try read(Array(all.prefix(needed))) == .whole(shorter))
    if all.count > needed { #expect(try read(all) == .outOfSequence) }
  }

  @Test func packetsOutOfSequence() throws {
    let all = try packets(Message(channel: 5, .cbor, payload(400)))
    for wrong: [Packet] in [
      [all[0], all[2]], [all[0], all[1], all[1]], [all[0], all[1], all[3]], [all[0], all[1], all[2], all[1]],
    ] { #expect(try read(wrong) == .outOfSequence) }
  }

  @Test func randomMessages() throws {
    var random = SeededGenerator()
    for _ in 0..<200 {
      let message = Message(
        channel: .random(in: 0 ... .max, using: &random), code: .random(in: 0..<128, using: &random),
        payload: (0..<Int.random(in: 0...7609, using: &random)).map { _ in .random(in: 0 ... .max, using: &random) })
      #expect(try read(packets(message)) == .whole(message), "seed \(random.seed)")
    }
  }
}
