package import CBOR

/// The flags of authenticator data, by the standard's names. Bits without a name are reserved.
package struct AuthenticatorDataFlags: OptionSet, Hashable, Sendable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  /// User present.
  package static let up = AuthenticatorDataFlags(rawValue: 0x01)
  /// User verified.
  package static let uv = AuthenticatorDataFlags(rawValue: 0x04)
  /// Backup eligible.
  package static let be = AuthenticatorDataFlags(rawValue: 0x08)
  /// Backed up.
  package static let bs = AuthenticatorDataFlags(rawValue: 0x10)
  /// Attested credential data is there.
  package static let at = AuthenticatorDataFlags(rawValue: 0x40)
  /// Extension data is there.
  package static let ed = AuthenticatorDataFlags(rawValue: 0x80)
}

/// Attested credential data (WebAuthn section 6.5.1).
package struct AttestedCredential: Equatable, Sendable {
  package static let aaguidCount = 16

  package var aaguid: [UInt8]
  package var credentialID: [UInt8]
  package var publicKey: CredentialPublicKey

  package init(aaguid: [UInt8], credentialID: [UInt8], publicKey: CredentialPublicKey) {
    self.aaguid = aaguid
    self.credentialID = credentialID
    self.publicKey = publicKey
  }
}

/// Authenticator data (WebAuthn section 6.1): what the authenticator says, and signs.
package struct AuthenticatorData: Equatable, Sendable {
  package static let relyingPartyIDHashCount = 32

  package var relyingPartyIDHash: [UInt8]
  package var signatureCounter: UInt32
  package var attestedCredential: AttestedCredential?
  package var extensions: CBORMap?
  /// Without ``AuthenticatorDataFlags/at`` and ``AuthenticatorDataFlags/ed``.
  private var claims: AuthenticatorDataFlags

  /// What is claimed of the user and the credential, and, by themselves, the flags of what is there.
  package var flags: AuthenticatorDataFlags {
    var flags = claims
    if attestedCredential != nil { flags.insert(.at) }
    if extensions != nil { flags.insert(.ed) }
    return flags
  }

  /// Makes authenticator data.
  ///
  /// - Parameters:
  ///   - relyingPartyIDHash: SHA-256 of the RP ID
  ///   - flags: what is claimed; `at` and `ed` follow from the other arguments, whatever stands here
  ///   - signatureCounter: of this signature
  ///   - attestedCredential: at a registration
  ///   - extensions: the outputs of extensions
  package init(
    relyingPartyIDHash: [UInt8], flags: AuthenticatorDataFlags, signatureCounter: UInt32,
    attestedCredential: AttestedCredential? = nil, extensions: CBORMap? = nil
  ) {
    self.relyingPartyIDHash = relyingPartyIDHash
    self.signatureCounter = signatureCounter
    self.attestedCredential = attestedCredential
    self.extensions = extensions
    claims = flags.subtracting([.at, .ed])
  }

  package func encoded() -> [UInt8] {
    precondition(relyingPartyIDHash.count == Self.relyingPartyIDHashCount, "the hash of the RP ID has 32 bytes")
    var bytes = relyingPartyIDHash
    bytes.append(flags.rawValue)
    for shift in stride(from: 24, through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: signatureCounter >> UInt32(shift)))
    }
    if let attestedCredential {
      bytes += attestedCredential.encoded()
    }
    if let extensions {
      bytes += CanonicalCBOR.encode(.map(extensions))
    }
    return bytes
  }

  /// Decodes any bytes.
  package static func decode(_ bytes: [UInt8]) throws(AuthenticatorDataError) -> AuthenticatorData {
    var reader = Reader(bytes: bytes)
    let hash = try reader.take(relyingPartyIDHashCount)
    let flags = AuthenticatorDataFlags(rawValue: try reader.take(1)[0])
    let counter = try reader.take(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let data = AuthenticatorData(
      relyingPartyIDHash: hash, flags: flags, signatureCounter: counter,
      attestedCredential: flags.contains(.at) ? try AttestedCredential(&reader) : nil,
      extensions: flags.contains(.ed) ? try reader.takeExtensions() : nil)
    guard reader.isAtEnd else { throw .trailingBytes }
    return data
  }
}

extension AttestedCredential {
  fileprivate init(_ reader: inout Reader) throws(AuthenticatorDataError) {
    aaguid = try reader.take(Self.aaguidCount)
    let length = try reader.take(2)
    credentialID = try reader.take(Int(length[0]) << 8 | Int(length[1]))
    publicKey = try CredentialPublicKey(coseKey: try reader.takeItem())
  }

  fileprivate func encoded() -> [UInt8] {
    precondition(aaguid.count == Self.aaguidCount, "an AAGUID has 16 bytes")
    precondition(credentialID.count <= UInt16.max, "the length of a credential ID has two bytes")
    let length = [UInt8(credentialID.count >> 8), UInt8(credentialID.count & 0xff)]
    return aaguid + length + credentialID + publicKey.encoded()
  }
}

/// Takes one part after the other, each only if it is there.
private struct Reader {
  let bytes: [UInt8]
  private var offset = 0

  init(bytes: [UInt8]) {
    self.bytes = bytes
  }

  var isAtEnd: Bool { offset == bytes.count }

  mutating func take(_ count: Int) throws(AuthenticatorDataError) -> [UInt8] {
    guard count <= bytes.count - offset else { throw .truncated }
    defer { offset += count }
    return [UInt8](bytes[offset..<offset + count])
  }

  mutating func takeItem() throws(AuthenticatorDataError) -> CBORValue {
    do throws(CBORError) {
      let (value, byteCount) = try CanonicalCBOR.decodePrefix(bytes.span.extracting(offset...))
      offset += byteCount
      return value
    } catch .truncated {
      throw .truncated
    } catch {
      throw .cbor(error)
    }
  }

  mutating func takeExtensions() throws(AuthenticatorDataError) -> CBORMap {
    guard case .map(let map) = try takeItem() else { throw .wrong("extensions") }
    return map
  }
}
