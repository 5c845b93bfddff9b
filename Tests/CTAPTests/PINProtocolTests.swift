import CTAP
import Secrets
import TestSupport
import Testing

@testable import Crypto

private typealias Vectors = PINProtocolVectors

extension PINUVAuthProtocol {
  fileprivate var name: String { self == .one ? "one" : "two" }
  fileprivate var vectorCount: Int { self == .one ? 0 : 16 }
}

/// `#expect` takes calls apart and cannot do so with noncopyable arguments, unless they are one side of a comparison:
/// hence `== true`.
@Suite("PIN/UV auth protocols")
struct PINProtocolTests {
  @Test("prf of WebAuthn Level 3, protocol one")
  func prfOne() throws {
    try expect("prf.one.saltEnc", .one, from: ["prf.salt1"])
    try expect("prf.one.outputEnc", .one, from: ["prf.output1"])
  }

  @Test("prf of WebAuthn Level 3, protocol two")
  func prfTwo() throws {
    try expect("prf.two.saltEnc", .two, from: ["prf.salt1"])
    try expect("prf.two.outputEnc", .two, from: ["prf.output1"])
    try expect("prf.two.saltsEnc", .two, from: ["prf.salt1", "prf.salt2"])
    try expect("prf.two.outputsEnc", .two, from: ["prf.output1", "prf.output2"])
  }

  /// That `encrypt` gives what the vector has, and `decrypt` what it was made from; with both sides' secrets, where the
  /// authenticator's private key is known.
  private func expect(_ message: String, _ version: PINUVAuthProtocol, from parts: [String]) throws {
    let encrypted = try Vectors.named(message)
    let plaintext = try parts.flatMap { try Vectors.named($0) }
    let platform = try Vectors.shared(version, "prf.platform", "prf.authenticator")
    let key = try KeyAgreementKey(privateKey: try Vectors.secret("prf.authenticator.private"))
    #expect(KeyAgreementPoint(of: key) == (try Vectors.point("prf.authenticator")))
    let platformKey = try KeyAgreementKey(privateKey: try Vectors.secret("prf.platform.private"))
    let authenticator = try PINUVSharedSecret(version, own: key, peer: KeyAgreementPoint(of: platformKey))
    let vector = Array(encrypted.prefix(version.vectorCount))
    #expect(try platform.encrypt(plaintext.span, initializationVector: vector) == encrypted)
    #expect(try authenticator.encrypt(plaintext.span, initializationVector: vector) == encrypted)
    #expect(Vectors.revealed(try platform.decrypt(encrypted)) == plaintext)
    #expect(Vectors.revealed(try authenticator.decrypt(encrypted)) == plaintext)
    #expect(authenticator.verify(platform.authenticate(encrypted), of: encrypted) == true)
  }

  @Test("hmac-secret of WebAuthn Level 3")
  func outputs() throws {
    let key = try Vectors.secret("prf.credRandom")
    for number in ["1", "2"] {
      let salt = try Vectors.named("prf.salt\(number)")
      let output = try Vectors.named("prf.output\(number)")
      #expect(Vectors.revealed(try HMACSHA256.secretCode(salt.span, key: key)) == output)
    }
  }

  @Test("A PIN and a token as python-fido2 sends them", arguments: PINUVAuthProtocol.allCases)
  func pinAndToken(_ version: PINUVAuthProtocol) throws {
    let prefix = "pin.\(version.name)"
    let shared = try Vectors.shared(version, "pin.platform", "pin.authenticator")
    for (message, plaintext) in [
      ("newPinEnc", "pin.padded"), ("pinHashEnc", "pin.hash"), ("tokenEnc", "\(prefix).token"),
    ] {
      let encrypted = try Vectors.named("\(prefix).\(message)")
      let plain = try Vectors.named(plaintext)
      let vector = Array(encrypted.prefix(version.vectorCount))
      #expect(Vectors.revealed(try shared.decrypt(encrypted)) == plain)
      #expect(try shared.encrypt(plain.span, initializationVector: vector) == encrypted)
    }
    let newPIN = try Vectors.named("\(prefix).newPinEnc")
    let hash = try Vectors.named("\(prefix).pinHashEnc")
    #expect(shared.authenticate(newPIN) == (try Vectors.named("\(prefix).newPinAuth")))
    #expect(shared.authenticate(newPIN + hash) == (try Vectors.named("\(prefix).changePinAuth")))
    let token = try Vectors.secret("\(prefix).token")
    let code = try Vectors.named("\(prefix).tokenAuth")
    #expect(version.authenticate([UInt8](0..<32), key: token) == code)
    #expect(version.verify(code, of: [UInt8](0..<32), key: token) == true)
  }

  @Test("Codes of Wycheproof")
  func codes() throws {
    let lines = try Vectors.lines("hmac-sha256")
    #expect(lines.count == 20)
    for line in lines {
      let columns = line.split(separator: "|").map { $0.filter { $0 != " " } }
      let code = [UInt8](hex: columns[3])
      let version: PINUVAuthProtocol = code.count == 16 ? .one : .two
      let key = try Vectors.made(of: [UInt8](hex: columns[1]))
      let isValid = version.verify(code, of: [UInt8](hex: columns[2]), key: key)
      #expect(isValid == (columns[4] == "valid"), "test \(columns[0])")
    }
  }

  @Test("Only the whole code is one", arguments: PINUVAuthProtocol.allCases)
  func wholeCodes(_ version: PINUVAuthProtocol) throws {
    let key = try SecretBytes.random(count: 32)
    let message: [UInt8] = [1, 2, 3]
    let code = version.authenticate(message, key: key)
    #expect(code.count == (version == .one ? 16 : 32))
    #expect(code.count == version.codeCount)
    #expect(version.verify(code, of: message, key: key) == true)
    for count in 0..<code.count {
      #expect(version.verify(Array(code.prefix(count)), of: message, key: key) == false)
    }
    // What protocol two would go on with is not taken either.
    let longer = HMACSHA256.authenticate(message, key: key) + [0]
    for count in code.count + 1...longer.count {
      #expect(version.verify(Array(longer.prefix(count)), of: message, key: key) == false)
    }
    for bit in 0..<code.count * 8 {
      var changed = code
      changed[bit / 8] ^= 1 << (bit % 8)
      #expect(version.verify(changed, of: message, key: key) == false)
    }
    #expect(version.verify(code, of: message + [0], key: key) == false)
    #expect(version.verify(code, of: [], key: key) == false)
    #expect(version.verify(code, of: message, key: try SecretBytes.random(count: 32)) == false)
    #expect(version.verify([UInt8](repeating: 0, count: code.count), of: message, key: key) == false)
  }

  @Test("Every length of a ciphertext", arguments: PINUVAuthProtocol.allCases)
  func ciphertextLengths(_ version: PINUVAuthProtocol) throws {
    let shared = try Vectors.shared(version, "pin.platform", "pin.authenticator")
    for count in 0...96 {
      let plain = count - version.vectorCount
      let message = [UInt8](repeating: 0x5a, count: count)
      if plain > 0 && plain.isMultiple(of: 16) {
        #expect(try shared.decrypt(message).count == plain)
      } else {
        #expect(status { _ = try shared.decrypt(message) } == .invalidParameter, "\(count) bytes")
      }
    }
  }

  @Test("Every length of a plaintext", arguments: PINUVAuthProtocol.allCases)
  func plaintextLengths(_ version: PINUVAuthProtocol) throws {
    let shared = try Vectors.shared(version, "pin.platform", "pin.authenticator")
    let vector = [UInt8](repeating: 9, count: 16)
    for count in 0...80 {
      let plain = [UInt8](repeating: 0x5a, count: count)
      let result = status { _ = try shared.encrypt(plain.span, initializationVector: vector) }
      #expect(result == (count > 0 && count.isMultiple(of: 16) ? .ok : .other), "\(count) bytes")
    }
    let block = [UInt8](repeating: 0x5a, count: 16)
    for count in [0, 15, 17, 32] {
      let vector = [UInt8](repeating: 9, count: count)
      let result = status { _ = try shared.encrypt(block.span, initializationVector: vector) }
      #expect(result == (version == .one ? .ok : .other), "a vector of \(count) bytes")
    }
  }

  @Test("Protocol one takes no initialisation vector")
  func noVector() throws {
    let shared = try Vectors.shared(.one, "prf.platform", "prf.authenticator")
    let salt = try Vectors.named("prf.salt1")
    let vector = [UInt8](repeating: 9, count: 16)
    #expect(try shared.encrypt(salt.span, initializationVector: vector) == Vectors.named("prf.one.saltEnc"))
  }

  @Test("Points that are on no curve", arguments: PINUVAuthProtocol.allCases)
  func wrongPoints(_ version: PINUVAuthProtocol) throws {
    let own = try KeyAgreementKey()
    let zero = [UInt8](repeating: 0, count: 32)
    let beyond = [UInt8](repeating: 0xff, count: 32)
    let good = try Vectors.point("pin.authenticator")
    let points = [
      (zero, zero), (beyond, beyond), (beyond, good.y), (good.x, beyond), (good.y, good.x), (good.x, zero),
    ]
    for (x, y) in points {
      let peer = try #require(KeyAgreementPoint(x: x, y: y))
      #expect(status { _ = try PINUVSharedSecret(version, own: own, peer: peer) } == .invalidParameter)
    }
    #expect(status { _ = try PINUVSharedSecret(version, own: own, peer: good) } == .ok)
  }

  @Test("The protocols share no keys")
  func protocolsDiffer() throws {
    let one = try Vectors.shared(.one, "pin.platform", "pin.authenticator")
    let two = try Vectors.shared(.two, "pin.platform", "pin.authenticator")
    let code = two.authenticate([1])
    #expect(one.version == .one && two.version == .two)
    #expect(one.verify(code, of: [1]) == false)
    #expect(one.verify(Array(code.prefix(16)), of: [1]) == false)
    #expect(two.verify(one.authenticate([1]), of: [1]) == false)
  }

  private func status(_ body: () throws -> Void) -> CTAPStatus? {
    do {
      try body()
      return .ok
    } catch {
      return error as? CTAPStatus
    }
  }
}
