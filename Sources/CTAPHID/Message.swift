/// A whole message of CTAPHID.
package struct Message: Equatable, Sendable {
  /// The longest payload: what an initialization packet and 128 continuation packets hold, 7,609 bytes.
  package static let maximumPayload = Packet.initialRoom + (Int(Packet.lastSequence) + 1) * Packet.continuationRoom

  package let channel: UInt32
  /// Without its 0x80 bit.
  package let code: UInt8
  package let payload: [UInt8]

  /// Makes a message.
  ///
  /// - Parameters:
  ///   - channel: whose it is
  ///   - code: the command, without its 0x80 bit
  ///   - payload: at most ``maximumPayload`` bytes
  package init(channel: UInt32, code: UInt8, payload: [UInt8]) {
    precondition(payload.count <= Message.maximumPayload, "a message has at most 7,609 bytes")
    self.channel = channel
    self.code = code
    self.payload = payload
  }

  package init(channel: UInt32, _ command: PacketCommand, _ payload: [UInt8] = []) {
    self.init(channel: channel, code: command.rawValue, payload: payload)
  }

  /// The reports in the order in which they are sent.
  package func reports() -> [[UInt8]] {
    var rest = payload[...]
    let begin = Packet.initialization(
      channel: channel, command: code, length: payload.count, data: rest.prefix(Packet.initialRoom))
    rest = rest.dropFirst(Packet.initialRoom)
    var reports = [begin.encoded()]
    var sequence: UInt8 = 0
    while !rest.isEmpty {
      let part = rest.prefix(Packet.continuationRoom)
      reports.append(Packet.continuation(channel: channel, sequence: sequence, data: part).encoded())
      rest = rest.dropFirst(Packet.continuationRoom)
      sequence += 1
    }
    return reports
  }
}

/// Puts the packets of one message together. A value state machine without I/O and clock.
///
/// It stores only what has arrived; the length in the first packet is checked before, and reserves nothing.
package struct MessageReader: Sendable {
  /// What a packet did.
  package enum Progress: Equatable, Sendable {
    case whole(Message)
    case more
    /// The packet is not the one that comes next: the message is lost.
    case outOfSequence
  }

  package let channel: UInt32
  private let code: UInt8
  private let length: Int
  private var payload: [UInt8]
  private var sequence: UInt8 = 0

  /// Begins with an initialization packet.
  ///
  /// - Parameters:
  ///   - channel: whose message it is
  ///   - code: the command, without its 0x80 bit
  ///   - length: of the message; nil is returned where it is over ``Message/maximumPayload``
  ///   - data: what the packet holds; what is over the length is padding
  package init?(channel: UInt32, code: UInt8, length: Int, data: ArraySlice<UInt8>) {
    guard length <= Message.maximumPayload else { return nil }
    self.channel = channel
    self.code = code
    self.length = length
    payload = Array(data.prefix(length))
  }

  /// The message, if all of it is there.
  package var message: Message? {
    payload.count == length ? Message(channel: channel, code: code, payload: payload) : nil
  }

  /// Takes a continuation packet of this channel.
  package mutating func take(sequence: UInt8, data: ArraySlice<UInt8>) -> Progress {
    guard sequence == self.sequence, payload.count < length else { return .outOfSequence }
    payload += data.prefix(length - payload.count)
    if let message { return .whole(message) }
    // It cannot pass the last one: the length is bounded.
    self.sequence += 1
    return .more
  }
}
