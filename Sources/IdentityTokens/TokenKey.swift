internal import Crypto
internal import WebAuthn

/// A public key of an issuer (RFC 7517, RFC 7518 section 6): RSA for RS256, P-256 for ES256, nothing else.
package struct TokenKey: Equatable, Sendable {
  enum Material: Equatable {
    case rsa(modulus: [UInt8], exponent: [UInt8])
    case p256(x: [UInt8], y: [UInt8])
  }

  /// What tokens call it; nil where the set gives it no name.
  package let id: String?
  let material: Material

  /// The only algorithm that this key is for (RFC 7518 section 3.1), whatever a token says.
  var algorithm: String {
    switch material {
    case .rsa: "RS256"
    case .p256: "ES256"
    }
  }

  /// Reads a JWK Set. Keys that are for something else are passed over.
  ///
  /// - Parameter bytes: JSON, bounded by the caller
  /// - Returns: at most 64, and not none
  /// - Throws: ``TokenError`` for what is no JWK Set, or has no key of use
  package static func set(_ bytes: [UInt8]) throws(TokenError) -> [TokenKey] {
    guard case .object(let members) = try? JSONValue.parse(bytes), case .array(let entries)? = members["keys"] else {
      throw TokenError("it is no JWK Set: an object with the array \"keys\"")
    }
    let keys = entries.prefix(64).compactMap(TokenKey.init)
    if keys.isEmpty { throw TokenError("it has no key for RS256 or ES256") }
    return keys
  }

  private init?(_ value: JSONValue) {
    guard case .object(let members) = value else { return nil }
    func text(_ name: String) -> String? {
      if case .string(let text)? = members[name] { text } else { nil }
    }
    func bytes(_ name: String) -> [UInt8]? { text(name).flatMap(Base64URL.decode) }
    if let use = members["use"], use != .string("sig") { return nil }
    switch text("kty") {
    case "RSA":
      guard let modulus = bytes("n"), let exponent = bytes("e"), modulus.count >= 256 else { return nil }
      material = .rsa(modulus: modulus, exponent: exponent)
    case "EC":
      guard text("crv") == "P-256", let x = bytes("x"), let y = bytes("y"), x.count == 32, y.count == 32 else {
        return nil
      }
      material = .p256(x: x, y: y)
    default: return nil
    }
    id = text("kid")
    if let algorithm = members["alg"], algorithm != .string(self.algorithm) { return nil }
  }

  // A signature of ES256 is the 64 bytes r and s (RFC 7518 section 3.4).
  func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
    switch material {
    case .rsa(let modulus, let exponent):
      return SignatureVerifier.isValidRS256(
        modulus: modulus, exponent: exponent, signature: signature, message: message)
    case .p256(let x, let y):
      guard signature.count == 64 else { return false }
      let der = DER.element(
        .sequence, DER.integer(Array(signature.prefix(32))) + DER.integer(Array(signature.suffix(32))))
      return SignatureVerifier.isValidES256(x: x, y: y, signature: der, message: message)
    }
  }
}
