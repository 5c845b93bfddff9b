/// The commands of CTAPHID packets, without their 0x80 bit (CTAP 2.1 section 11.2.9): those of the socket, and LOCK.
package enum PacketCommand: UInt8, CaseIterable, Sendable {
  case ping = 0x01
  case message = 0x03
  case lock = 0x04
  case initialize = 0x06
  case wink = 0x08
  case cbor = 0x10
  case cancel = 0x11
  /// To the client only.
  case keepalive = 0x3b
  /// To the client only.
  case error = 0x3f
}

/// One report of the device, either way (CTAP 2.1 section 11.2.4).
package enum Packet: Equatable, Sendable {
  /// Bytes of a report.
  package static let count = 64
  /// Bytes of a message that its initialization packet holds.
  package static let initialRoom = count - 7
  /// Bytes of a message that a continuation packet holds.
  package static let continuationRoom = count - 5
  /// The greatest sequence number.
  package static let lastSequence: UInt8 = 0x7f
  /// To which an INIT goes that asks for a channel.
  package static let broadcast: UInt32 = 0xffff_ffff

  /// The begin of a message of `length` bytes. `command` is without its 0x80 bit; `data` has ``initialRoom`` bytes.
  case initialization(channel: UInt32, command: UInt8, length: Int, data: ArraySlice<UInt8>)
  /// What follows. `data` has ``continuationRoom`` bytes.
  case continuation(channel: UInt32, sequence: UInt8, data: ArraySlice<UInt8>)

  /// Reads a report; nil unless it has exactly ``count`` bytes.
  package init?(report: [UInt8]) {
    guard report.count == Self.count else { return nil }
    let channel = report[0..<4].reduce(0) { $0 << 8 | UInt32($1) }
    if report[4] & 0x80 == 0 {
      self = .continuation(channel: channel, sequence: report[4], data: report[5...])
    } else {
      let length = Int(report[5]) << 8 | Int(report[6])
      self = .initialization(channel: channel, command: report[4] & 0x7f, length: length, data: report[7...])
    }
  }

  package var channel: UInt32 {
    switch self {
    case .initialization(let channel, _, _, _), .continuation(let channel, _, _): channel
    }
  }

  /// The report; what the data does not fill is zero.
  package func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.count)
    for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: channel >> UInt32(shift))) }
    switch self {
    case .initialization(_, let command, let length, let data):
      bytes += [command | 0x80, UInt8(truncatingIfNeeded: length >> 8), UInt8(truncatingIfNeeded: length)]
      bytes += data
    case .continuation(_, let sequence, let data):
      bytes.append(sequence)
      bytes += data
    }
    bytes.append(contentsOf: repeatElement(0, count: Self.count - bytes.count))
    return bytes
  }
}
