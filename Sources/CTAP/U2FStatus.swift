/// A status word: the last two bytes of every reply to CTAP1/U2F, and the error of everything there that can refuse.
package struct U2FStatus: Error, RawRepresentable, Hashable, Sendable {
  package let rawValue: UInt16

  package init(rawValue: UInt16) {
    self.rawValue = rawValue
  }

  package static let noError = U2FStatus(rawValue: 0x9000)
  package static let wrongLength = U2FStatus(rawValue: 0x6700)
  /// The user is to show presence; to `checkOnly` the answer for a key handle that is ours.
  package static let conditionsNotSatisfied = U2FStatus(rawValue: 0x6985)
  package static let commandNotAllowed = U2FStatus(rawValue: 0x6986)
  /// The key handle is not ours, or not of this application.
  package static let wrongData = U2FStatus(rawValue: 0x6a80)
  package static let incorrectParameters = U2FStatus(rawValue: 0x6a86)
  package static let instructionNotSupported = U2FStatus(rawValue: 0x6d00)
  package static let classNotSupported = U2FStatus(rawValue: 0x6e00)
  package static let unknown = U2FStatus(rawValue: 0x6f00)

  /// A reply that consists of a status word alone, as every refusal does.
  package func encoded() -> [UInt8] {
    [UInt8(rawValue >> 8), UInt8(rawValue & 0xff)]
  }
}

extension U2FStatus: CustomStringConvertible {
  /// The name in U2F Raw Message Formats, or in ISO 7816-4.
  package var description: String {
    Self.names[self] ?? "status word 0x" + String(repeating: "0", count: rawValue.leadingZeroBitCount / 4)
      + (rawValue == 0 ? "" : String(rawValue, radix: 16))
  }

  private static let names: [U2FStatus: String] = [
    .noError: "SW_NO_ERROR",
    .wrongLength: "SW_WRONG_LENGTH",
    .conditionsNotSatisfied: "SW_CONDITIONS_NOT_SATISFIED",
    .commandNotAllowed: "SW_COMMAND_NOT_ALLOWED",
    .wrongData: "SW_WRONG_DATA",
    .incorrectParameters: "SW_INCORRECT_P1P2",
    .instructionNotSupported: "SW_INS_NOT_SUPPORTED",
    .classNotSupported: "SW_CLA_NOT_SUPPORTED",
    .unknown: "SW_UNKNOWN",
  ]
}
