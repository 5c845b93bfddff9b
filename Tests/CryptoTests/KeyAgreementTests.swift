import Secrets
import TestSupport
import Testing

@testable import Crypto

/// Key agreement on P-256. Its field has the prime p.
@Suite struct KeyAgreementTests {
  @Test func agreesAsWycheproofSays() throws {
    var counts = (valid: 0, invalid: 0)
    for row in try vectorRows("ecdh-p256") {
      let key = try KeyAgreementKey(privateKey: try secret(hex(row[1])))
      let (x, y) = (hex(String(row[2].prefix(64))), hex(String(row[2].dropFirst(64))))
      if row[3] == "invalid" {
        #expect(outcome(key, x, y) == .refused, "test \(row[0])")
        counts.invalid += 1
      } else {
        #expect(revealed(try key.sharedSecret(x: x, y: y)) == hex(row[3]), "test \(row[0])")
        counts.valid += 1
      }
    }
    #expect(counts == (28, 16))
  }

  @Test func bothSidesAgree() throws {
    let a = try KeyAgreementKey()
    let b = try KeyAgreementKey()
    #expect(a.publicKey.x != b.publicKey.x)
    #expect(a.publicKey.x.count == 32 && a.publicKey.y.count == 32)
    let ofA = try a.sharedSecret(x: b.publicKey.x, y: b.publicKey.y)
    let ofB = try b.sharedSecret(x: a.publicKey.x, y: a.publicKey.y)
    #expect(ofA.count == 32)
    let isCommon = ofA.isEqual(to: ofB)
    #expect(isCommon)
    let withItself = try a.sharedSecret(x: a.publicKey.x, y: a.publicKey.y)
    let isSame = withItself.isEqual(to: ofA)
    #expect(!isSame)
  }

  /// Coordinates that begin with a zero byte keep it. From pyca/cryptography.
  @Test func coordinatesAreOf32Bytes() throws {
    let smallY = try KeyAgreementKey(privateKey: try secret(number(43)))
    #expect(smallY.publicKey.x == hex("986ae2506f1ff104d04230861d8f4b498f4bc4c6d009b30f7544dc129b82d28d"))
    #expect(smallY.publicKey.y == hex("003cccc0a6460e0ae328a4d97d3c7b61d86fc6289c189f2525110c441bb07e97"))
    let smallX = try KeyAgreementKey(privateKey: try secret([UInt8](repeating: 0, count: 30) + [0x01, 0x7b]))
    #expect(smallX.publicKey.x == hex("005543894af3d00ed7d740abdbd75c96b06877b787db5f70eea78b90a8d7c00a"))
    #expect(smallX.publicKey.y == hex("bb4c85a3d8ea29efaafa24406912dd84d5b14dc32bf656ef6c6bd58a5d943f92"))
  }

  @Test func wantsCoordinatesOf32Bytes() throws {
    let key = try KeyAgreementKey()
    let (x, y) = try KeyAgreementKey().publicKey
    #expect(outcome(key, x, y) == .agreed)
    for count in 0..<32 {
      #expect(outcome(key, Array(x.prefix(count)), y) == .refused)
      #expect(outcome(key, x, Array(y.prefix(count))) == .refused)
    }
    #expect(outcome(key, [], []) == .refused)
    #expect(outcome(key, [0] + x, y) == .refused)
    #expect(outcome(key, x, y + [0]) == .refused)
    // As many bytes in all, divided otherwise.
    #expect(outcome(key, x + [y[0]], Array(y.dropFirst())) == .refused)
  }

  /// Test 55 of Wycheproof is a point whose coordinates leave room for p: what is the same modulo p is no other way to
  /// write it.
  @Test func wantsCoordinatesBelowTheFieldsPrime() throws {
    let key = try KeyAgreementKey()
    let x = hex("000000000000000000000001ea77d449ffffffffffffffffffffffffffffffff")
    let y = hex("000000007afbc0b325e820646dec622fb558a51c342aa257f4b6a8ec5ddf144f")
    let xAndPrime = hex("ffffffff0000000100000001ea77d44a00000000fffffffffffffffffffffffe")
    let yAndPrime = hex("ffffffff7afbc0b425e820646dec622fb558a51d342aa257f4b6a8ec5ddf144e")
    #expect(outcome(key, x, y) == .agreed)
    #expect(outcome(key, xAndPrime, y) == .refused)
    #expect(outcome(key, x, yAndPrime) == .refused)
    #expect(outcome(key, xAndPrime, yAndPrime) == .refused)
  }

  @Test func everyChangedBitLeavesTheCurve() throws {
    let key = try KeyAgreementKey()
    // The base point: of a random point, some change might meet another one.
    let (x, y) = try KeyAgreementKey(privateKey: try secret(number(1))).publicKey
    for bit in 0..<256 {
      #expect(outcome(key, x, flipping(bit, of: y)) == .refused, "bit \(bit) of y")
    }
  }

  @Test func takesPointsOfTheOtherHalf() throws {
    // (x, -y) is on the curve as well, and has the same x in common.
    let key = try KeyAgreementKey()
    let (x, y) = try KeyAgreementKey(privateKey: try secret(number(1))).publicKey
    let other = try KeyAgreementKey(privateKey: try secret(hex(Self.orderLess1))).publicKey
    #expect(other.x == x)
    #expect(other.y != y)
    let one = try key.sharedSecret(x: x, y: y)
    let two = try key.sharedSecret(x: x, y: other.y)
    let isCommon = one.isEqual(to: two)
    #expect(isCommon)
  }

  @Test func importsPrivateKeysFrom1ToTheOrderLess1() throws {
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
    #expect(try imports(number(1)))
    #expect(try imports(hex(Self.orderLess1)))
    #expect(try !imports(number(0)))
    #expect(try !imports(hex(order)))
    #expect(try !imports([UInt8](repeating: 0xff, count: 32)))
    #expect(try !imports([1]))
    #expect(try !imports(number(1) + [1]))
  }

  @Test func survivesAnyPoint() throws {
    var generator = SeededGenerator()
    let key = try KeyAgreementKey()
    var refused = 0
    for _ in 0..<1000 {
      if outcome(key, generator.bytes(32), generator.bytes(32)) == .refused { refused += 1 }
    }
    #expect(refused == 1000, "seed \(generator.seed)")
  }

  private static let orderLess1 = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550"

  private func number(_ number: UInt8) -> [UInt8] {
    [UInt8](repeating: 0, count: 31) + [number]
  }

  private enum Outcome {
    case agreed, refused, failedOtherwise
  }

  private func outcome(_ key: borrowing KeyAgreementKey, _ x: [UInt8], _ y: [UInt8]) -> Outcome {
    do {
      _ = try key.sharedSecret(x: x, y: y)
      return .agreed
    } catch {
      return error is CryptoError ? .refused : .failedOtherwise
    }
  }

  private func imports(_ bytes: [UInt8]) throws -> Bool {
    let privateKey = try secret(bytes)
    do {
      _ = try KeyAgreementKey(privateKey: privateKey)
      return true
    } catch {
      return false
    }
  }
}
