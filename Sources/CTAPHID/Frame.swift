/// The commands of the socket: the CTAPHID command numbers without their 0x80 bit.
package enum FrameCommand: UInt8, CaseIterable, Sendable {
  case ping = 0x01
  case message = 0x03
  case initialize = 0x06
  case wink = 0x08
  case cbor = 0x10
  case cancel = 0x11
  /// To the client only.
  case keepalive = 0x3b
  /// To the client only.
  case error = 0x3f
  /// The operator's socket only: one JSON object each way. CTAPHID leaves 0x40 to 0x7f to vendors.
  case administration = 0x40
  /// The jobs' socket only: an assertion over client data that the daemon composes, with the claims of the caller's grant
  /// inside. (A CTAP2 command of the same number, within ``cbor``, is another matter.)
  case boundAssertion = 0x41
}

/// What a KEEPALIVE frame says (CTAP 2.1 section 11.2.9.1.8).
package enum KeepaliveStatus: UInt8, Sendable {
  case processing = 1
  case userPresenceNeeded = 2
}

/// One frame of the socket, both ways: `u32 big-endian N`, then N bytes: one command byte and N - 1 bytes of payload.
package struct Frame: Equatable, Sendable {
  /// The greatest N.
  package static let maximumLength = 65_536
  /// The longest payload: N without the command byte.
  package static let maximumPayload = maximumLength - 1

  /// The command byte, known or not.
  package let code: UInt8
  package let payload: [UInt8]

  /// The command byte where it is one that the socket knows.
  package var command: FrameCommand? { FrameCommand(rawValue: code) }

  /// Makes a frame.
  ///
  /// - Parameters:
  ///   - command: what the frame says
  ///   - payload: at most ``maximumPayload`` bytes
  package init(_ command: FrameCommand, _ payload: [UInt8] = []) {
    self.init(code: command.rawValue, payload: payload)
  }

  /// A frame of any command byte, as read.
  package init(code: UInt8, payload: [UInt8]) {
    precondition(payload.count <= Frame.maximumPayload, "a frame has at most 65,536 bytes")
    self.code = code
    self.payload = payload
  }

  package static func error(_ error: CTAPHIDError) -> Frame {
    Frame(.error, [error.rawValue])
  }

  package static func keepalive(_ status: KeepaliveStatus) -> Frame {
    Frame(.keepalive, [status.rawValue])
  }

  /// The bytes on the wire.
  package func encoded() -> [UInt8] {
    let length = UInt32(payload.count + 1)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(5 + payload.count)
    for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: length >> UInt32(shift))) }
    bytes.append(code)
    bytes.append(contentsOf: payload)
    return bytes
  }
}
