internal import CTAP

/// Numbers that the authenticator states in getInfo and keeps to.
package enum AuthenticatorLimits {
  /// Bytes of a CTAP2 message, the command byte included: what CTAPHID can carry, so that it is true on every way in.
  package static let maximumMessageSize = 7609
  /// Entries of an allow list or exclude list.
  package static let maximumCredentialsInList = 64
  /// Bytes of a credential ID: random, at least 100 bits of entropy (WebAuthn section 4).
  package static let credentialIDLength = 16
  /// Bytes of credBlob.
  package static let maximumBlobLength = 64
  /// Unicode code points of a PIN; 63 bytes hold no more.
  static let maximumPINLength = PINFormat.maximumCount
  /// RP IDs that may learn the minimum length of the PIN.
  static let maximumMinPINLengthRelyingParties = 16
  /// Attempts at user verification by policy, of which none can fail by itself.
  static let uvRetries = 3
  /// Bytes of the serialized large-blob array.
  package static let maximumLargeBlobs = 65536
  /// Bytes of a large-blob fragment.
  static let maximumFragment = maximumMessageSize - LargeBlobsRequest.messageOverhead
  /// How long a walk or a large-blob write waits for its next command (CTAP 2.1 sections 6, 6.3 and 6.10.2), in
  /// nanoseconds.
  static let nextCommandTime: UInt64 = 30_000_000_000
}

/// Which model of authenticator this is. A software TPM is another model than a hardware TPM, so that no relying
/// party can mistake one for the other.
package enum AuthenticatorIdentity: Sendable {
  case hardware
  case software

  /// The AAGUID (WebAuthn section 6.5.1), 16 bytes.
  package var aaguid: [UInt8] {
    switch self {
    case .hardware:
      // 02ae1364-7bbe-474c-bd39-ff3387457c82
      [0x02, 0xae, 0x13, 0x64, 0x7b, 0xbe, 0x47, 0x4c, 0xbd, 0x39, 0xff, 0x33, 0x87, 0x45, 0x7c, 0x82]
    case .software:
      // 8bd87049-555e-4235-8d19-1f1276c025ce
      [0x8b, 0xd8, 0x70, 0x49, 0x55, 0x5e, 0x42, 0x35, 0x8d, 0x19, 0x1f, 0x12, 0x76, 0xc0, 0x25, 0xce]
    }
  }
}
