import CTAP
import Crypto
import TestSupport
import Testing
import WebAuthn

@Suite("Responses of U2F")
struct U2FResponseTests {
  static let registration = U2FRegistration(
    x: [UInt8](0..<32), y: [UInt8](32..<64), keyHandle: [0xaa, 0xbb], certificate: [0x30, 0x03, 0x02, 0x01, 0x01],
    signature: [0x30, 0x02, 0x05, 0x00])
  static let registrationHex =
    "0504" + ([UInt8](0..<64)).hex + "02aabb" + "3003020101" + "30020500"

  static let authentication = U2FAuthentication(
    userPresence: 1, counter: 0x0102_0304, signature: [0x30, 0x02, 0x05, 0x00])
  static let authenticationHex = "0101020304" + "30020500"

  static let register = U2FRequestTests.requests[0].0
  static let authenticate = U2FRequestTests.requests[1].0

  static let replies: [(U2FRequest, U2FResponse, String)] = [
    (register, .registration(registration), registrationHex + "9000"),
    (authenticate, .authentication(authentication), authenticationHex + "9000"),
    (.version, .version, "5532465f56329000"),
  ]

  @Test(arguments: replies)
  func isDecodedAndEncoded(_ request: U2FRequest, _ response: U2FResponse, _ hex: String) throws {
    #expect(response.encoded().hex == hex)
    #expect(try U2FResponse.decode([UInt8](hex: hex), to: request) == response)
  }

  @Test("Every truncation, and a byte more", arguments: replies)
  func everyTruncation(_ request: U2FRequest, _ response: U2FResponse, _ hex: String) {
    let data = [UInt8](hex: hex).dropLast(2)
    for count in 0..<data.count {
      #expect(throws: U2FReplyError.malformed, "\(count)") {
        try U2FResponse.decode(data.prefix(count) + [0x90, 0x00], to: request)
      }
    }
    #expect(throws: U2FReplyError.malformed) { try U2FResponse.decode(data + [0x00, 0x90, 0x00], to: request) }
  }

  @Test("Every status word but SW_NO_ERROR is a refusal, with or without something before it")
  func refusals() {
    for word in UInt16.min...UInt16.max where word != 0x9000 {
      let status = U2FStatus(rawValue: word)
      #expect(throws: U2FReplyError.refused(status)) { try U2FResponse.decode(status.encoded(), to: .version) }
    }
    #expect(throws: U2FReplyError.refused(.wrongData)) {
      try U2FResponse.decode([1, 2, 3, 0x6a, 0x80], to: Self.register)
    }
    #expect(throws: U2FReplyError.malformed) { try U2FResponse.decode([], to: .version) }
    #expect(throws: U2FReplyError.malformed) { try U2FResponse.decode([0x90], to: .version) }
  }

  @Test("Status words of the standard")
  func statusWords() {
    let table: [(UInt16, U2FStatus, String)] = [
      (0x9000, .noError, "SW_NO_ERROR"), (0x6985, .conditionsNotSatisfied, "SW_CONDITIONS_NOT_SATISFIED"),
      (0x6a80, .wrongData, "SW_WRONG_DATA"), (0x6700, .wrongLength, "SW_WRONG_LENGTH"),
      (0x6e00, .classNotSupported, "SW_CLA_NOT_SUPPORTED"), (0x6d00, .instructionNotSupported, "SW_INS_NOT_SUPPORTED"),
      (0x6a86, .incorrectParameters, "SW_INCORRECT_P1P2"), (0x6986, .commandNotAllowed, "SW_COMMAND_NOT_ALLOWED"),
      (0x6f00, .unknown, "SW_UNKNOWN"), (0x0123, U2FStatus(rawValue: 0x0123), "status word 0x0123"),
      (0, U2FStatus(rawValue: 0), "status word 0x0000"),
    ]
    for (word, status, name) in table {
      #expect(status.rawValue == word)
      #expect(status.encoded() == [UInt8(word >> 8), UInt8(word & 0xff)])
      #expect(status.description == name)
    }
  }

  @Test("What is not a point, a certificate or a signature")
  func malformed() throws {
    let good = [UInt8](hex: Self.registrationHex)
    for (index, byte) in [(0, 0x04), (1, 0x02), (66, 0x03), (69, 0x31), (70, 0x80), (74, 0x02), (75, 0x03)] {
      var data = good
      data[index] = UInt8(byte)
      #expect(throws: U2FReplyError.malformed, "\(index)") { try U2FRegistration.decode(data) }
    }
    let handles = [0, 255]
    for count in handles {
      let registration = U2FRegistration(
        x: Self.registration.x, y: Self.registration.y, keyHandle: [UInt8](repeating: 1, count: count),
        certificate: [0x30, 0x81, 0x80] + [UInt8](repeating: 0, count: 128), signature: Self.registration.signature)
      #expect(try U2FRegistration.decode(registration.encoded()) == registration)
    }
  }

  @Test("What a key signs, checked by the verifier, and by python-fido2's order of the bytes")
  func messages() throws {
    let key = TestKey()
    guard case .es256(let x, let y) = key.publicKey else { return }
    let (challenge, application) = (U2FRequestTests.challenge, U2FRequestTests.application)
    let message = U2FRegistration.message(
      challenge: challenge, application: application, keyHandle: [9, 9], x: x, y: y)
    #expect(message == [0] + application + challenge + [9, 9] + [0x04] + x + y)
    #expect(SignatureVerifier.isValidES256(x: x, y: y, signature: key.sign(message), message: message))
    let authentication = U2FAuthentication.message(
      challenge: challenge, application: application, userPresence: 1, counter: 0xfffe_fdfc)
    #expect(authentication == application + [1, 0xff, 0xfe, 0xfd, 0xfc] + challenge)
  }
}
