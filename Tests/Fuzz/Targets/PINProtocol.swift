import CBOR
import Crypto
import Secrets

@testable import Authenticator
@testable import CTAP

/// What a platform sends of the PIN protocols: the first byte chooses what the rest is.
func checkPINProtocol(_ input: [UInt8]) throws {
  guard let first = input.first, let side = OwnSide.shared else { return }
  let rest = Array(input.dropFirst())
  let version: PINUVAuthProtocol = first & 1 == 0 ? .two : .one
  switch first >> 1 & 3 {
  case 0: try checkPoint(rest, version, side)
  case 1: try checkDecryption(rest, version, side)
  case 2: try checkCode(rest, version, side)
  default: try checkPINText(rest)
  }
}

/// One key of ours, and a shared secret of each protocol with ourselves as the platform.
private final class OwnSide: Sendable {
  static let shared = try? OwnSide()

  let key: KeyAgreementKey
  let one: PINUVSharedSecret
  let two: PINUVSharedSecret

  init() throws {
    key = try KeyAgreementKey()
    one = try PINUVSharedSecret(.one, own: key, peer: KeyAgreementPoint(of: key))
    two = try PINUVSharedSecret(.two, own: key, peer: KeyAgreementPoint(of: key))
  }

  func withSecret<Result>(
    _ version: PINUVAuthProtocol, _ body: (borrowing PINUVSharedSecret) throws -> Result
  ) rethrows -> Result {
    switch version {
    case .one: try body(one)
    case .two: try body(two)
    }
  }
}

/// Bytes as a COSE_Key, or as two coordinates: a point, if it is one, agrees on one secret from both sides.
private func checkPoint(_ bytes: [UInt8], _ version: PINUVAuthProtocol, _ side: OwnSide) throws {
  var point = KeyAgreementPoint(x: Array(bytes.prefix(32)), y: Array(bytes.dropFirst(32)))
  if let value = try? CanonicalCBOR.decode(bytes) {
    do throws(CTAPStatus) {
      point = try KeyAgreementPoint(value)
    } catch {
      try require(
        [.cborUnexpectedType, .missingParameter, .invalidParameter].contains(error), "\(error) is no status of a point")
    }
    if let point { try require((try? KeyAgreementPoint(point.value)) == point, "a point survives its encoding") }
  }
  guard let point else { return }
  do {
    let secret = try PINUVSharedSecret(version, own: side.key, peer: point)
    let message = secret.authenticate([1])
    try require(secret.verify(message, of: [1]), "a code is right under the secret that made it")
  } catch let status as CTAPStatus {
    try require(status == .invalidParameter, "a point that is none is an invalid parameter")
  }
}

/// Any bytes as a ciphertext: they decrypt to as many blocks as they have, which encrypt to them again.
private func checkDecryption(_ bytes: [UInt8], _ version: PINUVAuthProtocol, _ side: OwnSide) throws {
  let blocks = version == .one ? bytes.count : bytes.count - AESCBC.blockCount
  let isWhole = blocks > 0 && blocks.isMultiple(of: AESCBC.blockCount)
  try side.withSecret(version) { secret in
    do {
      let plaintext = try secret.decrypt(bytes)
      try require(isWhole && plaintext.count == blocks, "only whole blocks decrypt")
      let again = try plaintext.reveal { span in
        try secret.encrypt(span, initializationVector: Array(bytes.prefix(AESCBC.blockCount)))
      }
      try require(again == bytes, "what was decrypted encrypts to the same bytes")
    } catch let status as CTAPStatus {
      try require(status == .invalidParameter && !isWhole, "what is no ciphertext is an invalid parameter")
    }
  }
}

/// Any bytes as a code, whose length the first one is, and its message: only the one code is right.
private func checkCode(_ bytes: [UInt8], _ version: PINUVAuthProtocol, _ side: OwnSide) throws {
  let count = Int(bytes.first ?? 0)
  let code = Array(bytes.dropFirst().prefix(count))
  let message = Array(bytes.dropFirst(1 + count))
  try side.withSecret(version) { secret in
    let right = secret.authenticate(message)
    try require(right.count == version.codeCount, "a code has its protocol's length")
    try require(secret.verify(right, of: message), "the code of a message is right")
    try require(secret.verify(code, of: message) == (code == right), "no other code is right")
    try require(!secret.verify(Array(right.dropLast()), of: message), "no shorter code is right")
  }
  let token = try SecretBytes(count: 32) { bytes in bytes[0] = 1 }
  try require(
    version.verify(code, of: message, key: token) == (code == version.authenticate(message, key: token)),
    "no other code is right under a token")
}

/// Any 64 bytes as a padded PIN, beside what Swift takes for UTF-8.
private func checkPINText(_ bytes: [UInt8]) throws {
  let padded = Array((bytes + [UInt8](repeating: 0, count: PINFormat.paddedCount)).prefix(PINFormat.paddedCount))
  let secret = try SecretBytes(count: padded.count) { span in
    for index in padded.indices { span[index] = padded[index] }
  }
  let end = padded.lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0
  let text = String(validating: padded.prefix(end), as: UTF8.self)
  let isPIN = end <= PINFormat.maximumCount && !padded.prefix(end).contains(0)
  let read = PINText(secret)
  try require((read != nil) == (isPIN && text != nil), "a PIN is UTF-8 of 63 bytes at most without zeros")
  if let read {
    try require(
      read.count == end && read.codePoints == text?.unicodeScalars.count, "a PIN has the code points of its text")
  }
}
