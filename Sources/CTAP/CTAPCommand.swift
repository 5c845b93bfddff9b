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
