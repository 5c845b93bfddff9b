package import CBOR

/// Why bytes are not authenticator data, a credential public key or an attestation object.
package enum AuthenticatorDataError: Error, Equatable, Sendable {
  /// The bytes end before what the flags or lengths promise.
  case truncated
  /// Bytes follow what the flags promise.
  case trailingBytes
  /// An item within is not in the canonical form.
  case cbor(CBORError)
  /// A required member, by the standard's name, is absent.
  case missing(String)
  /// A member has the wrong type, length or value.
  case wrong(String)
  /// A COSE_Key has members beyond those that its algorithm requires, which WebAuthn forbids.
  case superfluous
  /// A COSE algorithm that Countersign does not know.
  case unsupportedAlgorithm(Int64)
}
