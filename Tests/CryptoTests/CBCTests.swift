import Secrets
import TestSupport
import Testing

@testable import Crypto

@Suite struct CBCTests {
  @Test func encryptsAndDecryptsAsTheVectorsSay() throws {
    let rows = try vectorRows("aes-cbc")
    #expect(rows.count == 8)
    for row in rows {
      let key = try secret(hex(row[0]))
      let ciphertext = try AESCBC.encrypt(hex(row[2]).span, key: key, initializationVector: hex(row[1]))
      #expect(ciphertext.hex == row[3])
      let plaintext = try AESCBC.decrypt(hex(row[3]), key: key, initializationVector: hex(row[1]))
      #expect(revealed(plaintext).hex == row[2])
    }
  }

  @Test func wantsWholeBlocks() throws {
    let key = try SecretBytes.random(count: 32)
    for count in 0...64 {
      let isWhole = [16, 32, 48, 64].contains(count)
      let bytes = [UInt8](repeating: 7, count: count)
      #expect(encrypts(bytes, key, Self.vector) == isWhole, "\(count) bytes")
      #expect(decrypts(bytes, key, Self.vector) == isWhole, "\(count) bytes")
    }
  }

  @Test func wantsKeysOf16Or32BytesAndVectorsOf16() throws {
    let block = [UInt8](repeating: 7, count: 16)
    for count in 1...33 {
      let key = try SecretBytes.random(count: count)
      #expect(encrypts(block, key, Self.vector) == [16, 32].contains(count), "\(count) bytes")
      #expect(decrypts(block, key, Self.vector) == [16, 32].contains(count), "\(count) bytes")
    }
    let key = try SecretBytes.random(count: 32)
    for count in 0...33 {
      let vector = [UInt8](repeating: 0, count: count)
      #expect(encrypts(block, key, vector) == (count == 16), "\(count) bytes")
      #expect(decrypts(block, key, vector) == (count == 16), "\(count) bytes")
    }
  }

  @Test func encryptsSecretsInPlace() throws {
    let key = try SecretBytes.random(count: 32)
    let hidden = try SecretBytes.random(count: 64)
    let ciphertext = try hidden.reveal { bytes throws in
      try AESCBC.encrypt(bytes, key: key, initializationVector: Self.vector)
    }
    let again = try AESCBC.decrypt(ciphertext, key: key, initializationVector: Self.vector)
    let isSame = hidden.isEqual(to: again)
    #expect(isSame)
  }

  private static let vector = [UInt8](0..<16)

  private func encrypts(_ bytes: [UInt8], _ key: borrowing SecretBytes, _ vector: [UInt8]) -> Bool {
    do throws(CryptoError) {
      return try AESCBC.encrypt(bytes.span, key: key, initializationVector: vector).count == bytes.count
    } catch {
      return false
    }
  }

  private func decrypts(_ bytes: [UInt8], _ key: borrowing SecretBytes, _ vector: [UInt8]) -> Bool {
    do {
      return try AESCBC.decrypt(bytes, key: key, initializationVector: vector).count == bytes.count
    } catch {
      return !(error is CryptoError)
    }
  }
}

/// The forms over bytes that are lent, with a secret for a result: the same values as those over arrays.
@Suite struct SecretFormTests {
  @Test func codesThatAreSecret() throws {
    for vector in Vectors.hmac {
      let key = try secret(vector.key)
      #expect(revealed(try HMACSHA256.secretCode(vector.message.span, key: key)) == vector.code)
      #expect(HMACSHA256.authenticate(vector.message.span, key: key) == vector.code)
      let message = try secret(vector.message)
      let code = try message.reveal { bytes throws in try HMACSHA256.secretCode(bytes, key: key) }
      #expect(revealed(code) == vector.code)
    }
  }

  @Test func codesOfNothing() throws {
    let none: [UInt8] = []
    let key = try secret([0x6B])
    #expect(revealed(try HMACSHA256.secretCode(none.span, key: key)) == HMACSHA256.authenticate(none, key: key))
    #expect(HMACSHA256.authenticate(none.span, key: key) == HMACSHA256.authenticate(none, key: key))
  }

  @Test func digestsOfSecrets() throws {
    for count in [0, 1, 32, 55, 56, 64, 1000] {
      let bytes = [UInt8](repeating: 0xa5, count: count)
      #expect(revealed(try SHA256.digest(ofSecret: bytes.span)) == SHA256.hash(bytes))
    }
  }
}
