internal import Authenticator
internal import CBOR
internal import Crypto
internal import Policy
internal import WebAuthn

/// The sealed part of a row: a canonical CBOR map with integer keys.
///
/// The credential ID and whether walks come by it are columns of the row, which sealing authenticates. A key that is
/// not known here is refused, not skipped: a newer version may have meant it as a restriction, as credProtect is one.
enum CredentialRecord {
  private enum Key: Int64 {
    /// Absent where the credential was made by U2F; `relyingPartyIDHash` is there then.
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
    /// Absent where it is 1; the column of the row says the same.
    case protection = 11
    case hasHMACSecret = 12
    case hasLargeBlobKey = 13
    case blob = 14
    case relyingPartyIDHash = 15
    /// Absent where it is enabled; 1: outgoing; 2: disabled.
    case state = 16
    /// Of a disabled one, whose column says that no walk comes by it.
    case isDiscoverable = 17
    case label = 18
  }

  private typealias Fields = RecordFields<Key>

  /// The map, and the array of the public key within it.
  private static let depth = 2

  static func encode(_ credential: Credential) -> [UInt8] {
    var map = CBORMap()
    func set(_ key: Key, _ value: CBORValue?) { map[.integer(key.rawValue)] = value }
    set(.relyingPartyID, credential.relyingPartyID.map(CBORValue.text))
    set(.relyingPartyName, credential.relyingPartyName.map(CBORValue.text))
    set(.userHandle, .bytes(credential.userHandle))
    set(.userName, credential.userName.map(CBORValue.text))
    set(.userDisplayName, credential.userDisplayName.map(CBORValue.text))
    set(.algorithm, .integer(credential.publicKey.algorithm.rawValue))
    set(.publicKey, publicKeyValue(credential.publicKey))
    set(.keyBlob, .bytes(credential.key.blob))
    set(.signatureCounter, credential.signatureCounter == .zero ? 1 : 0)
    set(.createdAt, .integer(credential.createdAt))
    if credential.protection != .userVerificationOptional {
      set(.protection, .unsigned(UInt64(credential.protection.rawValue)))
    }
    set(.hasHMACSecret, credential.hasHMACSecret ? true : nil)
    set(.hasLargeBlobKey, credential.hasLargeBlobKey ? true : nil)
    set(.blob, credential.blob.map(CBORValue.bytes))
    switch credential.state {
    case .enabled: break
    case .outgoing: set(.state, 1)
    case .disabled:
      set(.state, 2)
      set(.isDiscoverable, credential.isDiscoverable ? true : nil)
    }
    set(.label, credential.label.map(CBORValue.text))
    if credential.relyingPartyID == nil {
      set(.relyingPartyIDHash, .bytes(credential.key.binding.relyingPartyIDHash))
    }
    return CanonicalCBOR.encode(.map(map))
  }

  static func decode(_ bytes: [UInt8], id: [UInt8], isOnWalks: Bool) throws(RecordError) -> Credential {
    var fields = try Fields(bytes, depth: depth)
    let relyingPartyID = try fields.optionalText(.relyingPartyID)
    let binding = try binding(&fields, id, relyingPartyID)
    guard let algorithm = COSEAlgorithm(rawValue: try fields.integer(.algorithm)) else {
      throw RecordError(description: "its algorithm is unknown: written by a newer version?")
    }
    let publicKey = try publicKey(&fields, algorithm)
    let counter: SignatureCounter
    switch try fields.integer(.signatureCounter) {
    case 0: counter = .global
    case 1: counter = .zero
    default: throw RecordError(description: "its signature counter is unknown: written by a newer version?")
    }
    let (state, isDiscoverable) = try state(&fields, isOnWalks: isOnWalks)
    let credential = Credential(
      relyingPartyID: relyingPartyID,
      relyingPartyName: try fields.optionalText(.relyingPartyName),
      userHandle: try fields.bytes(.userHandle),
      userName: try fields.optionalText(.userName),
      userDisplayName: try fields.optionalText(.userDisplayName),
      isDiscoverable: isDiscoverable,
      publicKey: publicKey,
      key: CredentialKey(algorithm: algorithm, binding: binding, blob: try fields.bytes(.keyBlob)),
      signatureCounter: counter,
      protection: try protection(&fields),
      hasHMACSecret: try fields.flag(.hasHMACSecret),
      hasLargeBlobKey: try fields.flag(.hasLargeBlobKey),
      blob: try fields.optionalBytes(.blob),
      state: state,
      label: try fields.optionalText(.label),
      createdAt: try fields.integer(.createdAt))
    try fields.finish()
    return credential
  }

  /// The hash is written only where it cannot be computed.
  private static func binding(
    _ fields: inout Fields, _ id: [UInt8], _ relyingPartyID: String?
  ) throws(RecordError) -> KeyBinding {
    let hash = try fields.optionalBytes(.relyingPartyIDHash)
    switch (relyingPartyID, hash) {
    case (.some(let relyingPartyID), nil): return KeyBinding(credentialID: id, relyingPartyID: relyingPartyID)
    case (nil, .some(let hash)) where hash.count == SHA256.count:
      return KeyBinding(credentialID: id, relyingPartyIDHash: hash)
    case (.some, .some), (nil, .some): throw fields.wrong(.relyingPartyIDHash)
    case (nil, nil): throw fields.wrong(.relyingPartyID)
    }
  }

  private static func protection(_ fields: inout Fields) throws(RecordError) -> CredentialProtection {
    guard let value = fields.take(.protection) else { return .userVerificationOptional }
    guard let number = value.integer else { throw fields.wrong(.protection) }
    guard let level = UInt8(exactly: number).flatMap(CredentialProtection.init(rawValue:)),
      level != .userVerificationOptional
    else { throw RecordError(description: "its protection is unknown: written by a newer version?") }
    return level
  }

  private static func state(
    _ fields: inout Fields, isOnWalks: Bool
  ) throws(RecordError) -> (CredentialState, isDiscoverable: Bool) {
    guard let value = fields.take(.state) else { return (.enabled, isOnWalks) }
    switch value.integer {
    case 1: return (.outgoing, isOnWalks)
    case 2:
      guard !isOnWalks else { throw RecordError(description: "it is disabled, and its row says that it is not") }
      return (.disabled, try fields.flag(.isDiscoverable))
    case nil: throw fields.wrong(.state)
    default: throw RecordError(description: "its state is unknown: written by a newer version?")
    }
  }

  private static func publicKeyValue(_ key: CredentialPublicKey) -> CBORValue {
    switch key {
    case .es256(let x, let y), .es384(let x, let y): .array([.bytes(x), .bytes(y)])
    case .rs256(let modulus, let exponent): .array([.bytes(modulus), .bytes(exponent)])
    }
  }

  private static func publicKey(
    _ fields: inout Fields, _ algorithm: COSEAlgorithm
  ) throws(RecordError) -> CredentialPublicKey {
    guard case .some(.array(let parts)) = fields.take(.publicKey), parts.count == 2,
      case .bytes(let first) = parts[0], case .bytes(let second) = parts[1]
    else { throw fields.wrong(.publicKey) }
    switch algorithm {
    case .es256 where first.count == 32 && second.count == 32: return .es256(x: first, y: second)
    case .es384 where first.count == 48 && second.count == 48: return .es384(x: first, y: second)
    case .rs256: return .rs256(modulus: first, exponent: second)
    default: throw fields.wrong(.publicKey)
    }
  }
}
