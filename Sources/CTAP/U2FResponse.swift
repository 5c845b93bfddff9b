internal import Crypto

/// What a U2F authenticator answers to a request that it has carried out: on the wire its data, then SW_NO_ERROR.
package enum U2FResponse: Equatable, Sendable {
  case registration(U2FRegistration)
  case authentication(U2FAuthentication)
  case version

  private static let version2 = Array("U2F_V2".utf8)
  private static let statusCount = 2

  package func encoded() -> [UInt8] {
    let data: [UInt8] =
      switch self {
      case .registration(let registration): registration.encoded()
      case .authentication(let authentication): authentication.encoded()
      case .version: Self.version2
      }
    return data + U2FStatus.noError.encoded()
  }

  /// Decodes any bytes.
  ///
  /// - Parameters:
  ///   - reply: data and a status word
  ///   - request: what has been asked
  /// - Returns: the response
  /// - Throws: ``U2FReplyError/refused(_:)`` for every status word but SW_NO_ERROR, whatever stands before it
  package static func decode(_ reply: [UInt8], to request: U2FRequest) throws(U2FReplyError) -> U2FResponse {
    guard reply.count >= statusCount else { throw .malformed }
    let status = U2FStatus(rawValue: reply.suffix(statusCount).reduce(0) { $0 << 8 | UInt16($1) })
    guard status == .noError else { throw .refused(status) }
    let data = Array(reply.dropLast(statusCount))
    switch request {
    case .register: return .registration(try U2FRegistration.decode(data))
    case .authenticate: return .authentication(try U2FAuthentication.decode(data))
    case .version:
      guard data == version2 else { throw .malformed }
      return .version
    }
  }
}

/// Why a reply is not a response.
package enum U2FReplyError: Error, Equatable, Sendable {
  /// The authenticator has answered with this status word.
  case refused(U2FStatus)
  /// The reply is not what the standard demands.
  case malformed
}

/// What U2F_REGISTER returns.
package struct U2FRegistration: Equatable, Sendable {
  /// The coordinates of the new key, 32 bytes each.
  package let x: [UInt8]
  package let y: [UInt8]
  /// At most 255 bytes.
  package let keyHandle: [UInt8]
  /// X.509, in DER.
  package let certificate: [UInt8]
  /// The certificate's key signs ``message(challenge:application:keyHandle:x:y:)``; a DER ECDSA-Sig-Value.
  package let signature: [UInt8]

  package init(x: [UInt8], y: [UInt8], keyHandle: [UInt8], certificate: [UInt8], signature: [UInt8]) {
    precondition(x.count == Self.coordinateCount && y.count == Self.coordinateCount, "coordinates have 32 bytes")
    precondition(keyHandle.count <= UInt8.max, "the length of a key handle is one byte")
    self.x = x
    self.y = y
    self.keyHandle = keyHandle
    self.certificate = certificate
    self.signature = signature
  }

  private static let reserved: UInt8 = 0x05
  private static let uncompressed: UInt8 = 0x04
  private static let coordinateCount = 32

  package func encoded() -> [UInt8] {
    [Self.reserved, Self.uncompressed] + x + y + [UInt8(keyHandle.count)] + keyHandle + certificate + signature
  }

  /// Decodes any bytes. Of certificate and signature only where they end is found out.
  package static func decode(_ data: [UInt8]) throws(U2FReplyError) -> U2FRegistration {
    let point = data.dropFirst(2)
    let rest = point.dropFirst(2 * coordinateCount)
    guard data.starts(with: [reserved, uncompressed]), let count = rest.first else { throw .malformed }
    let afterHandle = rest.dropFirst(1 + Int(count))
    guard rest.count > Int(count), let certificate = DER.first(of: afterHandle),
      certificate.tag == DER.Tag.sequence.rawValue, isSignature(certificate.rest)
    else { throw .malformed }
    return U2FRegistration(
      x: Array(point.prefix(coordinateCount)), y: Array(point.dropFirst(coordinateCount).prefix(coordinateCount)),
      keyHandle: Array(rest.dropFirst().prefix(Int(count))),
      certificate: Array(afterHandle.prefix(afterHandle.count - certificate.rest.count)),
      signature: Array(certificate.rest))
  }

  /// What is signed at a registration.
  package static func message(
    challenge: [UInt8], application: [UInt8], keyHandle: [UInt8], x: [UInt8], y: [UInt8]
  ) -> [UInt8] {
    [0] + application + challenge + keyHandle + [uncompressed] + x + y
  }
}

/// What U2F_AUTHENTICATE returns.
package struct U2FAuthentication: Equatable, Sendable {
  /// Bit 0: whether the user was present.
  package let userPresence: UInt8
  package let counter: UInt32
  /// The key signs ``message(challenge:application:userPresence:counter:)``; a DER ECDSA-Sig-Value.
  package let signature: [UInt8]

  package init(userPresence: UInt8, counter: UInt32, signature: [UInt8]) {
    self.userPresence = userPresence
    self.counter = counter
    self.signature = signature
  }

  private static let headCount = 5

  package func encoded() -> [UInt8] {
    Self.head(userPresence, counter) + signature
  }

  /// Decodes any bytes. Of the signature only where it ends is found out.
  package static func decode(_ data: [UInt8]) throws(U2FReplyError) -> U2FAuthentication {
    let signature = data.dropFirst(headCount)
    guard let userPresence = data.first, isSignature(signature) else { throw .malformed }
    return U2FAuthentication(
      userPresence: userPresence, counter: data[1..<headCount].reduce(0) { $0 << 8 | UInt32($1) },
      signature: Array(signature))
  }

  /// What is signed at an authentication.
  package static func message(
    challenge: [UInt8], application: [UInt8], userPresence: UInt8, counter: UInt32
  ) -> [UInt8] {
    application + head(userPresence, counter) + challenge
  }

  private static func head(_ userPresence: UInt8, _ counter: UInt32) -> [UInt8] {
    [userPresence] + stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: counter >> UInt32($0)) }
  }
}

/// Whether this is one sequence and nothing else.
private func isSignature(_ bytes: ArraySlice<UInt8>) -> Bool {
  guard let element = DER.first(of: bytes) else { return false }
  return element.tag == DER.Tag.sequence.rawValue && element.rest.isEmpty
}
