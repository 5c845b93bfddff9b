/// What the client vouches for (WebAuthn section 5.8.1).
package struct CollectedClientData: Equatable, Sendable {
  package static let creation = "webauthn.create"
  package static let assertion = "webauthn.get"

  package let type: String
  package let challenge: [UInt8]
  package let origin: String
  package let crossOrigin: Bool
  package let topOrigin: String?

  package init(type: String, challenge: [UInt8], origin: String, crossOrigin: Bool = false, topOrigin: String? = nil) {
    self.type = type
    self.challenge = challenge
    self.origin = origin
    self.crossOrigin = crossOrigin
    self.topOrigin = topOrigin
  }

  /// The serialisation of section 5.8.1.1, byte for byte, so that verifiers with the limited algorithm take it.
  package func serialized() -> [UInt8] {
    var text = [UInt8]("{\"type\":".utf8)
    text += CollectedClientData.quoted(type)
    text += ",\"challenge\":".utf8
    text += CollectedClientData.quoted(Base64URL.encode(challenge))
    text += ",\"origin\":".utf8
    text += CollectedClientData.quoted(origin)
    text += ",\"crossOrigin\":\(crossOrigin)".utf8
    if let topOrigin {
      text += ",\"topOrigin\":".utf8
      text += CollectedClientData.quoted(topOrigin)
    }
    text.append(UInt8(ascii: "}"))
    return text
  }

  /// CCDToString.
  private static func quoted(_ string: String) -> [UInt8] {
    var text: [UInt8] = [UInt8(ascii: "\"")]
    for byte in string.utf8 {
      switch byte {
      case 0x22: text += "\\\"".utf8
      case 0x5c: text += "\\\\".utf8
      case 0..<0x20: text += JSONValue.unicodeEscape(byte)
      default: text.append(byte)
      }
    }
    text.append(UInt8(ascii: "\""))
    return text
  }

  /// Reads client data of any client. Members that are not known here are ignored, as the standard demands.
  ///
  /// - Throws: ``JSONInputError``
  package init(parsing bytes: [UInt8]) throws(JSONInputError) {
    let data = JSONCursor(try JSONValue.parse(bytes))
    type = try data.required("type", "a string").string()
    challenge = try data.required("challenge", "base64url text").bytes()
    origin = try data.required("origin", "a string").string()
    crossOrigin = try data.optional("crossOrigin")?.boolean() ?? false
    topOrigin = try data.optional("topOrigin")?.string()
  }
}
