import Secrets
import Testing

@testable import Crypto

func secret(_ bytes: [UInt8]) throws -> SecretBytes {
  try SecretBytes(count: bytes.count) { span in
    for index in bytes.indices { span[index] = bytes[index] }
  }
}

func revealed(_ secret: borrowing SecretBytes) -> [UInt8] {
  secret.reveal { span in span.indices.map { span[$0] } }
}

@Suite struct SymmetricTests {
  @Test func hashesOfFIPS180() {
    #expect(SHA256.hash([]) == hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))
    #expect(
      SHA256.hash(Array("abc".utf8)) == hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
    #expect(
      SHA384.hash(Array("abc".utf8))
        == hex(
          "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
            + "8086072ba1e7cc2358baeca134c825a7"))
  }

  @Test func hmacOfRFC4231() throws {
    for vector in Vectors.hmac {
      #expect(HMACSHA256.authenticate(vector.message, key: try secret(vector.key)) == vector.code)
    }
  }

  @Test func hmacOfNothing() throws {
    // hmac.new(b"k", b"", "sha256") of Python
    let code = HMACSHA256.authenticate([], key: try secret([0x6B]))
    #expect(code == hex("8bb990c40a7d61cb97597a942125025be50ac8beb74436e3735b98893a7f6620"))
  }

  @Test func hkdfOfRFC5869() throws {
    for vector in Vectors.hkdf {
      let output = try HKDF.derive(
        from: try secret(vector.key), salt: vector.salt, info: vector.info, count: vector.output.count)
      #expect(revealed(output) == vector.output)
    }
    let unsalted = Vectors.hkdf[2]
    #expect(
      revealed(try HKDF.derive(from: try secret(unsalted.key), info: unsalted.info, count: 42)) == unsalted.output)
  }

  @Test func hkdfRefusesWhatTheRFCForbids() throws {
    let key = try secret([1])
    var refused = false
    do { _ = try HKDF.derive(from: key, info: [], count: 8161) } catch is CryptoError { refused = true }
    #expect(refused)
  }

  @Test func gcmOfTheSpecification() throws {
    for vector in Vectors.gcm {
      let key = try secret(vector.key)
      let sealed = try AESGCM.seal(
        vector.plaintext, key: key, nonce: vector.nonce, authenticating: vector.associated)
      #expect(sealed == vector.sealed)
      let opened = try AESGCM.open(
        vector.sealed, key: key, nonce: vector.nonce, authenticating: vector.associated)
      #expect(opened == vector.plaintext)
    }
  }

  @Test func gcmRefusesEveryChange() throws {
    let vector = Vectors.gcm[3]
    let key = try secret(vector.key)
    func opens(_ sealed: [UInt8], _ nonce: [UInt8], _ associated: [UInt8]) -> Bool {
      (try? AESGCM.open(sealed, key: key, nonce: nonce, authenticating: associated)) != nil
    }
    #expect(opens(vector.sealed, vector.nonce, vector.associated))
    for bit in 0..<vector.sealed.count * 8 {
      #expect(!opens(flipping(bit, of: vector.sealed), vector.nonce, vector.associated))
    }
    for bit in 0..<vector.nonce.count * 8 {
      #expect(!opens(vector.sealed, flipping(bit, of: vector.nonce), vector.associated))
    }
    for bit in 0..<vector.associated.count * 8 {
      #expect(!opens(vector.sealed, vector.nonce, flipping(bit, of: vector.associated)))
    }
    for length in 0..<vector.sealed.count {
      #expect(!opens(Array(vector.sealed.prefix(length)), vector.nonce, vector.associated))
    }
    #expect(!opens(vector.sealed + [0], vector.nonce, vector.associated))
    #expect(!opens(vector.sealed, [], vector.associated))
    #expect(!opens(vector.sealed, vector.nonce + [0], vector.associated))
    #expect(!opens(vector.sealed, vector.nonce, []))
  }

  @Test func gcmWantsAKeyOf32Bytes() throws {
    for count in [1, 16, 24, 31, 33] {
      let key = try SecretBytes.random(count: count)
      var refused = false
      do {
        _ = try AESGCM.seal([], key: key, nonce: [UInt8](repeating: 0, count: 12), authenticating: [])
      } catch {
        refused = true
      }
      #expect(refused)
    }
  }

  @Test func comparesInFull() {
    #expect(constantTimeEqual([], []))
    #expect(constantTimeEqual([1, 2], [1, 2]))
    #expect(!constantTimeEqual([1, 2], [1, 3]))
    #expect(!constantTimeEqual([1, 2], [1, 2, 0]))
  }
}

func flipping(_ bit: Int, of bytes: [UInt8]) -> [UInt8] {
  var bytes = bytes
  bytes[bit / 8] ^= 1 << (bit % 8)
  return bytes
}
