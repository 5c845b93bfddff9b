internal import Crypto
internal import TPM

extension TPMSignature {
  /// As WebAuthn section 6.5.5 wants it: a DER ECDSA-Sig-Value (RFC 3279 section 2.2.3), or the PKCS #1 signature.
  var encoded: [UInt8] {
    switch self {
    case .ecdsa(let r, let s): DER.element(.sequence, DER.integer(r) + DER.integer(s))
    case .rsassa(let bytes): bytes
    }
  }
}
