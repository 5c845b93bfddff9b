internal import Authenticator
internal import CBOR

/// The settings as they are sealed in their slot: a canonical CBOR map with integer keys. A key that is not known here
/// is refused, not skipped: a newer version may have meant it as a restriction.
enum SettingsRecord {
  private enum Key: Int64 {
    case generation = 1
    /// The verifier, and the PIN's length; absent where there is no PIN.
    case pin = 2
    case minPINLength = 3
    case minPINLengthRelyingParties = 4
    case forcePINChange = 5
    case alwaysUV = 6
    case enterpriseAttestation = 7
    case deviceIdentifier = 8
    case persistentTokenNonce = 9
  }

  private typealias Fields = RecordFields<Key>

  /// The map, and the arrays within it.
  private static let depth = 2

  static func encode(_ settings: AuthenticatorSettings) -> [UInt8] {
    var map = CBORMap()
    func set(_ key: Key, _ value: CBORValue?) { map[.integer(key.rawValue)] = value }
    set(.generation, .unsigned(settings.generation))
    if let pin = settings.pin { set(.pin, .array([.bytes(pin.verifier), .integer(Int64(pin.codePoints))])) }
    set(.minPINLength, .integer(Int64(settings.minPINLength)))
    set(.minPINLengthRelyingParties, .array(settings.minPINLengthRelyingParties.map(CBORValue.text)))
    set(.forcePINChange, .boolean(settings.forcePINChange))
    set(.alwaysUV, .boolean(settings.alwaysUV))
    set(.enterpriseAttestation, .boolean(settings.enterpriseAttestation))
    set(.deviceIdentifier, .bytes(settings.deviceIdentifier))
    set(.persistentTokenNonce, settings.persistentTokenNonce.map(CBORValue.bytes))
    return CanonicalCBOR.encode(.map(map))
  }

  static func decode(_ bytes: [UInt8]) throws(RecordError) -> AuthenticatorSettings {
    var fields = try Fields(bytes, depth: depth)
    let identifier = try fields.bytes(.deviceIdentifier)
    guard identifier.count == AuthenticatorSettings.identifierCount else { throw fields.wrong(.deviceIdentifier) }
    var settings = AuthenticatorSettings(deviceIdentifier: identifier)
    guard case .some(.unsigned(let generation)) = fields.take(.generation) else { throw fields.wrong(.generation) }
    settings.generation = generation
    settings.pin = try pin(&fields)
    guard let length = count(fields.take(.minPINLength)) else { throw fields.wrong(.minPINLength) }
    settings.minPINLength = length
    settings.minPINLengthRelyingParties = try relyingParties(&fields)
    settings.forcePINChange = try fields.boolean(.forcePINChange)
    settings.alwaysUV = try fields.boolean(.alwaysUV)
    settings.enterpriseAttestation = try fields.boolean(.enterpriseAttestation)
    settings.persistentTokenNonce = try fields.optionalBytes(.persistentTokenNonce)
    if let nonce = settings.persistentTokenNonce, nonce.count != AuthenticatorSettings.identifierCount {
      throw fields.wrong(.persistentTokenNonce)
    }
    try fields.finish()
    return settings
  }

  private static func pin(_ fields: inout Fields) throws(RecordError) -> AuthenticatorSettings.PIN? {
    guard let value = fields.take(.pin) else { return nil }
    guard case .array(let parts) = value, parts.count == 2, case .bytes(let verifier) = parts[0],
      verifier.count == AuthenticatorSettings.verifierCount, let codePoints = count(parts[1])
    else { throw fields.wrong(.pin) }
    return AuthenticatorSettings.PIN(verifier: verifier, codePoints: codePoints)
  }

  private static func relyingParties(_ fields: inout Fields) throws(RecordError) -> [String] {
    guard case .some(.array(let values)) = fields.take(.minPINLengthRelyingParties) else {
      throw fields.wrong(.minPINLengthRelyingParties)
    }
    var names: [String] = []
    for value in values {
      guard case .text(let name) = value else { throw fields.wrong(.minPINLengthRelyingParties) }
      names.append(name)
    }
    return names
  }

  /// A number of things: no less than none.
  private static func count(_ value: CBORValue?) -> Int? {
    guard case .some(.unsigned(let number)) = value else { return nil }
    return Int(exactly: number)
  }
}
