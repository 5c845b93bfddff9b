internal import Authenticator
internal import CBOR
internal import Policy
internal import WebAuthn

/// Why a row is not what this version wrote; the text is for the log.
struct RecordError: Error, Equatable, CustomStringConvertible {
  let description: String
}

/// The sealed part of a row: a canonical CBOR map with integer keys.
///
/// The credential ID and whether it is discoverable are columns of the row, which sealing authenticates. A key that is
/// not known here is refused, not skipped: a newer version may have meant it as a restriction (credProtect).
enum CredentialRecord {
  private enum Key: Int64 {
    case relyingPartyID = 1
    case relyingPartyName = 2
    case userHandle = 3
    case userName = 4
    case userDisplayName = 5
    case algorithm = 6
    /// Two byte strings: the coordinates, or modulus and exponent.
    case publicKey = 7
    case keyBlob = 8
    /// 0: the global counter; 1: a constant zero.
    case signatureCounter = 9
    case createdAt = 10
  }

  /// The map, and the array of the public key within it.
  private static let depth = 2

  static func encode(_ credential: Credential) -> [UInt8] {
    var map = CBORMap()
    func set(_ key: Key, _ value: CBORValue?) { map[.integer(key.rawValue)] = value }
    set(.relyingPartyID, .text(credential.relyingPartyID))
    set(.relyingPartyName, credential.relyingPartyName.map(CBORValue.text))
    set(.userHandle, .bytes(credential.userHandle))
    set(.userName, credential.userName.map(CBORValue.text))
    set(.userDisplayName, credential.userDisplayName.map(CBORValue.text))
    set(.algorithm, .integer(credential.publicKey.algorithm.rawValue))
    set(.publicKey, publicKeyValue(credential.publicKey))
    set(.keyBlob, .bytes(credential.key.blob))
    set(.signatureCounter, credential.signatureCounter == .zero ? 1 : 0)
    set(.createdAt, .integer(credential.createdAt))
    return CanonicalCBOR.encode(.map(map))
  }

  static func decode(_ bytes: [UInt8], id: [UInt8], isDiscoverable: Bool) throws(RecordError) -> Credential {
    var fields = try Fields(bytes)
    let relyingPartyID = try fields.text(.relyingPartyID)
    guard let algorithm = COSEAlgorithm(rawValue: try fields.integer(.algorithm)) else {
      throw RecordError(description: "its algorithm is unknown: written by a newer version?")
    }
    let publicKey = try fields.publicKey(algorithm)
    let counter: SignatureCounter
    switch try fields.integer(.signatureCounter) {
    case 0: counter = .global
    case 1: counter = .zero
    default: throw RecordError(description: "its signature counter is unknown: written by a newer version?")
    }
    let credential = Credential(
      relyingPartyID: relyingPartyID,
      relyingPartyName: try fields.optionalText(.relyingPartyName),
      userHandle: try fields.bytes(.userHandle),
      userName: try fields.optionalText(.userName),
      userDisplayName: try fields.optionalText(.userDisplayName),
      isDiscoverable: isDiscoverable,
      publicKey: publicKey,
      key: CredentialKey(
        algorithm: algorithm, binding: KeyBinding(credentialID: id, relyingPartyID: relyingPartyID),
        blob: try fields.bytes(.keyBlob)),
      signatureCounter: counter,
      createdAt: try fields.integer(.createdAt))
    try fields.finish()
    return credential
  }

  private static func publicKeyValue(_ key: CredentialPublicKey) -> CBORValue {
    switch key {
    case .es256(let x, let y), .es384(let x, let y): .array([.bytes(x), .bytes(y)])
    case .rs256(let modulus, let exponent): .array([.bytes(modulus), .bytes(exponent)])
    }
  }

  /// The map while it is taken apart: what is left at the end was not understood.
  private struct Fields {
    private var map: CBORMap

    init(_ bytes: [UInt8]) throws(RecordError) {
      do throws(CBORError) {
        guard case .map(let map) = try CanonicalCBOR.decode(bytes, maximumDepth: depth) else {
          throw CBORError.truncated
        }
        self.map = map
      } catch {
        throw RecordError(description: "its record is not a canonical CBOR map")
      }
    }

    private mutating func take(_ key: Key) -> CBORValue? {
      let value = map[.integer(key.rawValue)]
      map[.integer(key.rawValue)] = nil
      return value
    }

    mutating func optionalText(_ key: Key) throws(RecordError) -> String? {
      switch take(key) {
      case .none: return nil
      case .some(.text(let text)): return text
      case .some: throw wrong(key)
      }
    }

    mutating func text(_ key: Key) throws(RecordError) -> String {
      guard let text = try optionalText(key) else { throw wrong(key) }
      return text
    }

    mutating func bytes(_ key: Key) throws(RecordError) -> [UInt8] {
      guard case .some(.bytes(let bytes)) = take(key) else { throw wrong(key) }
      return bytes
    }

    mutating func integer(_ key: Key) throws(RecordError) -> Int64 {
      guard let number = take(key)?.integer else { throw wrong(key) }
      return number
    }

    mutating func publicKey(_ algorithm: COSEAlgorithm) throws(RecordError) -> CredentialPublicKey {
      guard case .some(.array(let parts)) = take(.publicKey), parts.count == 2,
        case .bytes(let first) = parts[0], case .bytes(let second) = parts[1]
      else { throw wrong(.publicKey) }
      switch algorithm {
      case .es256 where first.count == 32 && second.count == 32: return .es256(x: first, y: second)
      case .es384 where first.count == 48 && second.count == 48: return .es384(x: first, y: second)
      case .rs256: return .rs256(modulus: first, exponent: second)
      default: throw wrong(.publicKey)
      }
    }

    func finish() throws(RecordError) {
      guard map.isEmpty else {
        throw RecordError(description: "its record has fields that are unknown: written by a newer version?")
      }
    }

    private func wrong(_ key: Key) -> RecordError {
      RecordError(description: "its record's field \(key) is missing or of the wrong type")
    }
  }
}
