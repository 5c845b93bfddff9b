internal import Crypto

/// How claims are bound to a challenge, so that an ordinary verification of an assertion proves them too: the authenticator
/// signs client data with another challenge, which the relying party can compute from its own and the claims.
package enum BoundClaims {
  /// The extension output by which the claims reach the relying party.
  package static let extensionName = "countersignClaims"

  private static let label = [UInt8]("countersign-claims-v1".utf8)

  /// The map as JSON: sorted keys, no white space, no escapes but those that JSON demands.
  package static func serialized(_ claims: [String: String]) -> [UInt8] {
    var text: [UInt8] = [UInt8(ascii: "{")]
    let sorted = claims.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    for (index, (name, value)) in sorted.enumerated() {
      if index > 0 { text.append(UInt8(ascii: ",")) }
      text += JSONValue.string(name).serialized() + [UInt8(ascii: ":")] + JSONValue.string(value).serialized()
    }
    return text + [UInt8(ascii: "}")]
  }

  /// The challenge that is signed in the place of the relying party's.
  ///
  /// - Parameters:
  ///   - challenge: the relying party's
  ///   - claims: byte for byte as they are shown
  /// - Returns: 32 bytes
  package static func challenge(_ challenge: [UInt8], boundTo claims: [UInt8]) -> [UInt8] {
    SHA256.hash(label + [0] + challenge + SHA256.hash(claims))
  }
}
