/// The error byte of an ERROR frame, by the names of CTAP 2.1 section 11.2.9.1.6.
package struct CTAPHIDError: Error, RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  package let rawValue: UInt8

  package init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  package static let invalidCommand = CTAPHIDError(rawValue: 0x01)
  package static let invalidParameter = CTAPHIDError(rawValue: 0x02)
  package static let invalidLength = CTAPHIDError(rawValue: 0x03)
  package static let invalidSequence = CTAPHIDError(rawValue: 0x04)
  package static let messageTimeout = CTAPHIDError(rawValue: 0x05)
  package static let channelBusy = CTAPHIDError(rawValue: 0x06)
  package static let lockRequired = CTAPHIDError(rawValue: 0x0A)
  package static let invalidChannel = CTAPHIDError(rawValue: 0x0B)
  package static let other = CTAPHIDError(rawValue: 0x7F)

  /// The standard's own name, e.g. `ERR_CHANNEL_BUSY`.
  package var description: String {
    switch self {
    case .invalidCommand: "ERR_INVALID_CMD"
    case .invalidParameter: "ERR_INVALID_PAR"
    case .invalidLength: "ERR_INVALID_LEN"
    case .invalidSequence: "ERR_INVALID_SEQ"
    case .messageTimeout: "ERR_MSG_TIMEOUT"
    case .channelBusy: "ERR_CHANNEL_BUSY"
    case .lockRequired: "ERR_LOCK_REQUIRED"
    case .invalidChannel: "ERR_INVALID_CHANNEL"
    case .other: "ERR_OTHER"
    default: "ERR_0x" + String(rawValue, radix: 16)
    }
  }
}
