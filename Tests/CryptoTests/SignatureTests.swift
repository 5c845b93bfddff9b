import Crypto
import TestSupport
import Testing

/// DER, with any lengths and contents that a test wants to be wrong.
private func integer(_ content: [UInt8]) -> [UInt8] { [0x02, UInt8(content.count)] + content }

private func sequence(_ content: [UInt8]) -> [UInt8] {
  content.count < 0x80 ? [0x30, UInt8(content.count)] + content : [0x30, 0x81, UInt8(content.count)] + content
}

/// The minimal encoding of a number without leading zeros.
private func positive(_ magnitude: [UInt8]) -> [UInt8] {
  integer((magnitude.first ?? 0) >= 0x80 ? [0] + magnitude : magnitude)
}

@Suite struct SignatureTests {
  let message = Array("sample".utf8)

  private func accepts256(_ signature: [UInt8]) -> Bool {
    SignatureVerifier.isValidES256(
      x: Vectors.p256.x, y: Vectors.p256.y, signature: signature, message: message)
  }

  @Test func es256OfRFC6979() {
    let (r, s) = (positive(Vectors.p256.r), positive(Vectors.p256.s))
    #expect(accepts256(sequence(r + s)))
    #expect(!accepts256(sequence(s + r)))
    #expect(
      !SignatureVerifier.isValidES256(
        x: Vectors.p256.x, y: Vectors.p256.y, signature: sequence(r + s), message: message + [0]))
  }

  @Test func es384OfRFC6979() {
    let key = Vectors.p384
    let signature = sequence(positive(key.r) + positive(key.s))
    #expect(SignatureVerifier.isValidES384(x: key.x, y: key.y, signature: signature, message: message))
    for bit in stride(from: 0, to: signature.count * 8, by: 3) {
      #expect(
        !SignatureVerifier.isValidES384(
          x: key.x, y: key.y, signature: flipping(bit, of: signature), message: message))
    }
    #expect(!SignatureVerifier.isValidES256(x: key.x, y: key.y, signature: signature, message: message))
  }

  @Test func refusesEveryOtherEncoding() {
    let (r, s) = (positive(Vectors.p256.r), positive(Vectors.p256.s))
    let body = r + s
    let count = UInt8(body.count)
    let wrong: [(String, [UInt8])] = [
      ("empty", []),
      ("r and s without DER", Vectors.p256.r + Vectors.p256.s),
      ("length in long form", [0x30, 0x81, count] + body),
      ("length with leading zero", [0x30, 0x82, 0, count] + body),
      ("indefinite length", [0x30, 0x80] + body + [0, 0]),
      ("trailing byte", sequence(body) + [0]),
      ("trailing byte inside", sequence(body + [0])),
      ("third integer", sequence(body + integer([1]))),
      ("set instead of sequence", [0x31, count] + body),
      ("octet string instead of integer", sequence([0x04] + r.dropFirst() + s)),
      ("r with two leading zeros", sequence(integer([0, 0] + Vectors.p256.r) + s)),
      ("r negative", sequence(integer(Vectors.p256.r) + s)),
      ("r empty", sequence(integer([]) + s)),
      ("s missing", sequence(r)),
      ("length of 2^64", [0x30, 0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0] + body),
    ]
    for (name, signature) in wrong { #expect(!accepts256(signature), "\(name)") }
  }

  @Test func refusesNumbersOutOfRange() {
    let order = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
    let edge: [[UInt8]] = [
      [0], [1], order, Array(order.dropLast()) + [0x50], Array(order.dropLast()) + [0x52],
      [UInt8](repeating: 0xFF, count: 32), [1] + [UInt8](repeating: 0, count: 32),
    ]
    for r in edge {
      #expect(!accepts256(sequence(positive(r) + positive(Vectors.p256.s))))
      #expect(!accepts256(sequence(positive(Vectors.p256.r) + positive(r))))
      for s in edge { #expect(!accepts256(sequence(positive(r) + positive(s)))) }
    }
  }

  @Test func refusesEveryBitFlipAndPrefix() {
    let signature = sequence(positive(Vectors.p256.r) + positive(Vectors.p256.s))
    for bit in 0..<signature.count * 8 { #expect(!accepts256(flipping(bit, of: signature))) }
    for length in 0..<signature.count { #expect(!accepts256(Array(signature.prefix(length)))) }
  }

  @Test func refusesPointsThatAreNone() {
    let (x, y) = (Vectors.p256.x, Vectors.p256.y)
    let prime = hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff")
    let zero = [UInt8](repeating: 0, count: 32)
    let signature = sequence(positive(Vectors.p256.r) + positive(Vectors.p256.s))
    let wrong: [(String, [UInt8], [UInt8])] = [
      ("infinity", zero, zero), ("off the curve", x, flipping(0, of: y)), ("x is p", prime, y),
      ("both 2^256 - 1", [UInt8](repeating: 0xFF, count: 32), [UInt8](repeating: 0xFF, count: 32)),
      ("empty", [], []), ("short", Array(x.dropLast()), y), ("long", x + [0], y), ("leading zero", [0] + x, y),
      ("all in x", x + y, []), ("swapped", y, x),
    ]
    for (name, x, y) in wrong {
      #expect(
        !SignatureVerifier.isValidES256(x: x, y: y, signature: signature, message: message), "\(name)")
      #expect(
        !SignatureVerifier.isValidES384(x: x, y: y, signature: signature, message: message), "\(name)")
    }
  }

  @Test func rs256() {
    let key = Vectors.rsa
    func accepts(_ modulus: [UInt8], _ exponent: [UInt8], _ signature: [UInt8]) -> Bool {
      SignatureVerifier.isValidRS256(
        modulus: modulus, exponent: exponent, signature: signature, message: message)
    }
    #expect(accepts(key.modulus, key.exponent, key.signature))
    #expect(accepts([0] + key.modulus, [0] + key.exponent, key.signature))
    #expect(!accepts(key.modulus, key.exponent, key.pss), "another padding")
    #expect(!accepts(key.modulus, key.exponent, key.sha1), "another hash")
    for length in [0, 1, 255] { #expect(!accepts(key.modulus, key.exponent, Array(key.signature.prefix(length)))) }
    #expect(!accepts(key.modulus, key.exponent, key.signature + [0]))
    #expect(!accepts(key.modulus, key.exponent, [0] + key.signature))
    for bit in stride(from: 0, to: 2048, by: 37) {
      #expect(!accepts(key.modulus, key.exponent, flipping(bit, of: key.signature)))
    }
    #expect(!accepts(key.modulus, key.exponent, [UInt8](repeating: 0, count: 256)))
    #expect(!accepts(key.modulus, key.exponent, key.modulus))
  }

  @Test func refusesRSAKeysThatAreNone() {
    let key = Vectors.rsa
    let one = [UInt8](repeating: 0, count: 255) + [1]
    let wrong: [(String, [UInt8], [UInt8])] = [
      ("empty", [], []), ("zero", [0], [0]), ("modulus only", key.modulus, []), ("exponent 1", key.modulus, [1]),
      ("even exponent", key.modulus, [2]), ("exponent as long as the modulus", key.modulus, key.modulus),
      ("even modulus", Array(key.modulus.dropLast()) + [0], key.exponent),
      ("1024 bits", Array(key.modulus.suffix(128)), key.exponent),
      ("16384 bits", [UInt8](repeating: 0xFF, count: 2048), key.exponent),
      ("huge", [UInt8](repeating: 0xFF, count: 1 << 20), key.exponent),
      ("negative looking", [0xFF] + key.modulus, [0xFF, 0xFF]),
    ]
    for (name, modulus, exponent) in wrong {
      for signature in [key.signature, one, modulus] {
        #expect(
          !SignatureVerifier.isValidRS256(
            modulus: modulus, exponent: exponent, signature: signature, message: message), "\(name)")
      }
    }
  }

  @Test func randomBytesAreNeverValid() {
    var random = SeededGenerator()
    print("SignatureTests.randomBytesAreNeverValid: seed \(random.seed)")
    func bytes(_ count: Int) -> [UInt8] { random.bytes(count) }
    for _ in 0..<500 {
      var signature = sequence(positive(Vectors.p256.r) + positive(Vectors.p256.s))
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let place = Int.random(in: 0..<signature.count, using: &random)
        signature.replaceSubrange(
          place..<min(signature.count, place + Int.random(in: 0...3, using: &random)),
          with: bytes(Int.random(in: 1...3, using: &random)))
        if signature.isEmpty { signature = [0] }
      }
      if signature != sequence(positive(Vectors.p256.r) + positive(Vectors.p256.s)) { #expect(!accepts256(signature)) }
      let length = Int.random(in: 0...80, using: &random)
      #expect(
        !SignatureVerifier.isValidES256(x: bytes(32), y: bytes(32), signature: bytes(length), message: bytes(length)))
      #expect(
        !SignatureVerifier.isValidRS256(
          modulus: bytes(256), exponent: bytes(3), signature: bytes(256), message: bytes(length)))
    }
  }

  @Test func publicKeyInfo() {
    #expect(
      SubjectPublicKeyInfo.encodeP256(x: Vectors.p256.x, y: Vectors.p256.y) == Vectors.p256.spki)
    #expect(
      SubjectPublicKeyInfo.encodeP384(x: Vectors.p384.x, y: Vectors.p384.y) == Vectors.p384.spki)
    #expect(
      SubjectPublicKeyInfo.encodeRSA(modulus: Vectors.rsa.modulus, exponent: Vectors.rsa.exponent)
        == Vectors.rsa.spki)
    #expect(
      SubjectPublicKeyInfo.encodeRSA(modulus: [0, 0] + Vectors.rsa.modulus, exponent: [0] + Vectors.rsa.exponent)
        == Vectors.rsa.spki, "leading zeros are no part of an integer")
  }
}
