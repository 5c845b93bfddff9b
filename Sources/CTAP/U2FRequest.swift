/// What an authentication of U2F is about: its first parameter.
package enum U2FControl: UInt8, CaseIterable, Sendable {
  case enforceUserPresence = 0x03
  case checkOnly = 0x07
  case dontEnforceUserPresence = 0x08
}

/// A request of CTAP1/U2F (U2F Raw Message Formats 1.2), which travels as an APDU of ISO 7816-4.
package enum U2FRequest: Equatable, Sendable {
  /// Both are 32 bytes: the hash of the client data, and of the AppID.
  case register(challenge: [UInt8], application: [UInt8])
  /// As in `register`; key handles have at most 255 bytes.
  case authenticate(control: U2FControl, challenge: [UInt8], application: [UInt8], keyHandle: [UInt8])
  case version

  /// Bytes of a challenge and of an application parameter.
  package static let hashCount = 32
}

extension U2FRequest {
  private enum Instruction: UInt8 {
    case register = 0x01
    case authenticate = 0x02
    case version = 0x03
  }

  /// CLA, INS, P1, P2.
  private static let headerCount = 4

  /// Decodes any bytes: short and extended APDUs, with and without Le, which is not heeded, since replies are never
  /// cut. P2 is ignored, and P1 where the standard gives it no meaning: platforms write there what they like.
  ///
  /// - Throws: the status word to answer with
  package static func decode(_ apdu: [UInt8]) throws(U2FStatus) -> U2FRequest {
    guard apdu.count >= headerCount else { throw .wrongLength }
    guard apdu[0] == 0 else { throw .classNotSupported }
    guard let instruction = Instruction(rawValue: apdu[1]) else { throw .instructionNotSupported }
    let data = try data(of: apdu)
    switch instruction {
    case .register:
      guard data.count == 2 * hashCount else { throw .wrongLength }
      return .register(
        challenge: Array(data.prefix(hashCount)), application: Array(data.dropFirst(hashCount)))
    case .authenticate:
      let rest = data.dropFirst(2 * hashCount)
      guard let count = rest.first, rest.count == 1 + Int(count) else { throw .wrongLength }
      guard let control = U2FControl(rawValue: apdu[2]) else { throw .incorrectParameters }
      return .authenticate(
        control: control, challenge: Array(data.prefix(hashCount)),
        application: Array(data.dropFirst(hashCount).prefix(hashCount)), keyHandle: Array(rest.dropFirst()))
    case .version:
      guard data.isEmpty else { throw .wrongLength }
      return .version
    }
  }

  /// The command data field. What is left over must be an Le of the APDU's own form.
  private static func data(of apdu: [UInt8]) throws(U2FStatus) -> ArraySlice<UInt8> {
    let body = apdu.dropFirst(headerCount)
    // Nothing, or Le alone.
    guard let first = body.first, body.count > 1 else { return [] }
    let count: Int
    let rest: ArraySlice<UInt8>
    let expectedLengthCount: Int
    if first != 0 {
      (count, rest, expectedLengthCount) = (Int(first), body.dropFirst(), 1)
    } else {
      // A zero byte and two more: Le alone if they are the last ones, else Lc. Platforms send an Lc of zero, too.
      guard body.count >= 3 else { throw .wrongLength }
      rest = body.dropFirst(3)
      if rest.isEmpty { return [] }
      (count, expectedLengthCount) = (Int(body[body.startIndex + 1]) << 8 | Int(body[body.startIndex + 2]), 2)
    }
    guard rest.count == count || rest.count == count + expectedLengthCount else { throw .wrongLength }
    return rest.prefix(count)
  }

  /// An extended APDU that takes as many bytes for an answer as there are.
  package func encoded() -> [UInt8] {
    let instruction: Instruction
    var p1: UInt8 = 0
    var data: [UInt8] = []
    switch self {
    case .register(let challenge, let application):
      instruction = .register
      data = Self.checked(challenge) + Self.checked(application)
    case .authenticate(let control, let challenge, let application, let keyHandle):
      precondition(keyHandle.count <= UInt8.max, "the length of a key handle is one byte")
      instruction = .authenticate
      p1 = control.rawValue
      data = Self.checked(challenge) + Self.checked(application) + [UInt8(keyHandle.count)] + keyHandle
    case .version:
      instruction = .version
    }
    let expectedLength: [UInt8] = [0, 0]
    let length: [UInt8] = data.isEmpty ? [0] : [0, UInt8(data.count >> 8), UInt8(data.count & 0xff)]
    return [0, instruction.rawValue, p1, 0] + length + data + expectedLength
  }

  private static func checked(_ hash: [UInt8]) -> [UInt8] {
    precondition(hash.count == hashCount, "a hash has 32 bytes")
    return hash
  }
}
