package import CBOR

/// An attestation object (WebAuthn section 6.5.4): authenticator data and a statement about it.
package struct AttestationObject: Equatable, Sendable {
  /// The attestation statement format identifier.
  package var format: String
  package var statement: CBORMap
  /// As it was signed.
  package var authenticatorData: [UInt8]

  package init(format: String, statement: CBORMap, authenticatorData: [UInt8]) {
    self.format = format
    self.statement = statement
    self.authenticatorData = authenticatorData
  }

  package func encoded() -> [UInt8] {
    CanonicalCBOR.encode(
      .map(["fmt": .text(format), "attStmt": .map(statement), "authData": .bytes(authenticatorData)]))
  }

  /// Decodes any bytes. The authenticator data is left as bytes, since the statement's signature is over these.
  package static func decode(_ bytes: [UInt8]) throws(AuthenticatorDataError) -> AttestationObject {
    let value: CBORValue
    do {
      value = try CanonicalCBOR.decode(bytes)
    } catch {
      throw .cbor(error)
    }
    guard case .map(let map) = value else { throw .wrong("attestationObject") }
    guard case .text(let format) = try member("fmt", of: map) else { throw .wrong("fmt") }
    guard case .map(let statement) = try member("attStmt", of: map) else { throw .wrong("attStmt") }
    guard case .bytes(let authenticatorData) = try member("authData", of: map) else { throw .wrong("authData") }
    return AttestationObject(format: format, statement: statement, authenticatorData: authenticatorData)
  }

  private static func member(_ name: String, of map: CBORMap) throws(AuthenticatorDataError) -> CBORValue {
    guard let value = map[.text(name)] else { throw .missing(name) }
    return value
  }
}
