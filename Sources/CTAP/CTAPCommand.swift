/// The commands of CTAP 2.1 section 6: the first byte of every request.
package enum CTAPCommand: UInt8, CaseIterable, Sendable {
  case makeCredential = 0x01
  case getAssertion = 0x02
  case getInfo = 0x04
  case clientPIN = 0x06
  case reset = 0x07
  case getNextAssertion = 0x08
  case bioEnrollment = 0x09
  case credentialManagement = 0x0a
  case selection = 0x0b
  case largeBlobs = 0x0c
  case config = 0x0d
}

extension CTAPCommand {
  /// The name of the case, for people. It is found once: reflection takes as long as decoding a request.
  package var name: String { CTAPCommand.names[self] ?? "" }

  private static let names = Dictionary(uniqueKeysWithValues: allCases.map { ($0, "\($0)") })

  /// 0x41 was credential management in drafts of CTAP 2.1 (FIDO_2_1_PRE), with the same messages: libfido2 sends it.
  private static let credentialManagementPreview: UInt8 = 0x41

  /// The command that the first byte of a request stands for.
  init?(requestByte byte: UInt8) {
    self.init(
      rawValue: byte == CTAPCommand.credentialManagementPreview ? CTAPCommand.credentialManagement.rawValue : byte)
  }
}
