/// A status code of CTAP 2.1 section 8.2: the first byte of every reply, and the error of everything that can refuse.
package struct CTAPStatus: Error, RawRepresentable, Hashable, Sendable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  package static let ok = CTAPStatus(rawValue: 0x00)
  package static let invalidCommand = CTAPStatus(rawValue: 0x01)
  package static let invalidParameter = CTAPStatus(rawValue: 0x02)
  package static let invalidLength = CTAPStatus(rawValue: 0x03)
  package static let invalidSeq = CTAPStatus(rawValue: 0x04)
  package static let timeout = CTAPStatus(rawValue: 0x05)
  package static let channelBusy = CTAPStatus(rawValue: 0x06)
  package static let lockRequired = CTAPStatus(rawValue: 0x0a)
  package static let invalidChannel = CTAPStatus(rawValue: 0x0b)
  package static let cborUnexpectedType = CTAPStatus(rawValue: 0x11)
  package static let invalidCBOR = CTAPStatus(rawValue: 0x12)
  package static let missingParameter = CTAPStatus(rawValue: 0x14)
  package static let limitExceeded = CTAPStatus(rawValue: 0x15)
  package static let fpDatabaseFull = CTAPStatus(rawValue: 0x17)
  package static let largeBlobStorageFull = CTAPStatus(rawValue: 0x18)
  package static let credentialExcluded = CTAPStatus(rawValue: 0x19)
  package static let processing = CTAPStatus(rawValue: 0x21)
  package static let invalidCredential = CTAPStatus(rawValue: 0x22)
  package static let userActionPending = CTAPStatus(rawValue: 0x23)
  package static let operationPending = CTAPStatus(rawValue: 0x24)
  package static let noOperations = CTAPStatus(rawValue: 0x25)
  package static let unsupportedAlgorithm = CTAPStatus(rawValue: 0x26)
  package static let operationDenied = CTAPStatus(rawValue: 0x27)
  package static let keyStoreFull = CTAPStatus(rawValue: 0x28)
  package static let unsupportedOption = CTAPStatus(rawValue: 0x2b)
  package static let invalidOption = CTAPStatus(rawValue: 0x2c)
  package static let keepaliveCancel = CTAPStatus(rawValue: 0x2d)
  package static let noCredentials = CTAPStatus(rawValue: 0x2e)
  package static let userActionTimeout = CTAPStatus(rawValue: 0x2f)
  package static let notAllowed = CTAPStatus(rawValue: 0x30)
  package static let pinInvalid = CTAPStatus(rawValue: 0x31)
  package static let pinBlocked = CTAPStatus(rawValue: 0x32)
  package static let pinAuthInvalid = CTAPStatus(rawValue: 0x33)
  package static let pinAuthBlocked = CTAPStatus(rawValue: 0x34)
  package static let pinNotSet = CTAPStatus(rawValue: 0x35)
  package static let puatRequired = CTAPStatus(rawValue: 0x36)
  package static let pinPolicyViolation = CTAPStatus(rawValue: 0x37)
  package static let requestTooLarge = CTAPStatus(rawValue: 0x39)
  package static let actionTimeout = CTAPStatus(rawValue: 0x3a)
  package static let upRequired = CTAPStatus(rawValue: 0x3b)
  package static let uvBlocked = CTAPStatus(rawValue: 0x3c)
  package static let integrityFailure = CTAPStatus(rawValue: 0x3d)
  package static let invalidSubcommand = CTAPStatus(rawValue: 0x3e)
  package static let uvInvalid = CTAPStatus(rawValue: 0x3f)
  package static let unauthorizedPermission = CTAPStatus(rawValue: 0x40)
  package static let other = CTAPStatus(rawValue: 0x7f)
  package static let specLast = CTAPStatus(rawValue: 0xdf)
  package static let extensionFirst = CTAPStatus(rawValue: 0xe0)
  package static let extensionLast = CTAPStatus(rawValue: 0xef)

  // Countersign's own, in the range that the standard leaves to vendors (0xf0 to 0xff).

  /// The TPM is away or does not answer.
  package static let tpmUnavailable = CTAPStatus(rawValue: 0xf0)
  /// The store cannot be read or written.
  package static let storageUnavailable = CTAPStatus(rawValue: 0xf1)
  /// The audit log cannot be written, so nothing may be signed.
  package static let auditUnavailable = CTAPStatus(rawValue: 0xf2)
}

extension CTAPStatus: CustomStringConvertible {
  /// The standard's own name.
  package var description: String {
    Self.names[self] ?? "status 0x" + (rawValue < 16 ? "0" : "") + String(rawValue, radix: 16)
  }

  private static let names: [CTAPStatus: String] = [
    .ok: "CTAP2_OK",
    .invalidCommand: "CTAP1_ERR_INVALID_COMMAND",
    .invalidParameter: "CTAP1_ERR_INVALID_PARAMETER",
    .invalidLength: "CTAP1_ERR_INVALID_LENGTH",
    .invalidSeq: "CTAP1_ERR_INVALID_SEQ",
    .timeout: "CTAP1_ERR_TIMEOUT",
    .channelBusy: "CTAP1_ERR_CHANNEL_BUSY",
    .lockRequired: "CTAP1_ERR_LOCK_REQUIRED",
    .invalidChannel: "CTAP1_ERR_INVALID_CHANNEL",
    .cborUnexpectedType: "CTAP2_ERR_CBOR_UNEXPECTED_TYPE",
    .invalidCBOR: "CTAP2_ERR_INVALID_CBOR",
    .missingParameter: "CTAP2_ERR_MISSING_PARAMETER",
    .limitExceeded: "CTAP2_ERR_LIMIT_EXCEEDED",
    .fpDatabaseFull: "CTAP2_ERR_FP_DATABASE_FULL",
    .largeBlobStorageFull: "CTAP2_ERR_LARGE_BLOB_STORAGE_FULL",
    .credentialExcluded: "CTAP2_ERR_CREDENTIAL_EXCLUDED",
    .processing: "CTAP2_ERR_PROCESSING",
    .invalidCredential: "CTAP2_ERR_INVALID_CREDENTIAL",
    .userActionPending: "CTAP2_ERR_USER_ACTION_PENDING",
    .operationPending: "CTAP2_ERR_OPERATION_PENDING",
    .noOperations: "CTAP2_ERR_NO_OPERATIONS",
    .unsupportedAlgorithm: "CTAP2_ERR_UNSUPPORTED_ALGORITHM",
    .operationDenied: "CTAP2_ERR_OPERATION_DENIED",
    .keyStoreFull: "CTAP2_ERR_KEY_STORE_FULL",
    .unsupportedOption: "CTAP2_ERR_UNSUPPORTED_OPTION",
    .invalidOption: "CTAP2_ERR_INVALID_OPTION",
    .keepaliveCancel: "CTAP2_ERR_KEEPALIVE_CANCEL",
    .noCredentials: "CTAP2_ERR_NO_CREDENTIALS",
    .userActionTimeout: "CTAP2_ERR_USER_ACTION_TIMEOUT",
    .notAllowed: "CTAP2_ERR_NOT_ALLOWED",
    .pinInvalid: "CTAP2_ERR_PIN_INVALID",
    .pinBlocked: "CTAP2_ERR_PIN_BLOCKED",
    .pinAuthInvalid: "CTAP2_ERR_PIN_AUTH_INVALID",
    .pinAuthBlocked: "CTAP2_ERR_PIN_AUTH_BLOCKED",
    .pinNotSet: "CTAP2_ERR_PIN_NOT_SET",
    .puatRequired: "CTAP2_ERR_PUAT_REQUIRED",
    .pinPolicyViolation: "CTAP2_ERR_PIN_POLICY_VIOLATION",
    .requestTooLarge: "CTAP2_ERR_REQUEST_TOO_LARGE",
    .actionTimeout: "CTAP2_ERR_ACTION_TIMEOUT",
    .upRequired: "CTAP2_ERR_UP_REQUIRED",
    .uvBlocked: "CTAP2_ERR_UV_BLOCKED",
    .integrityFailure: "CTAP2_ERR_INTEGRITY_FAILURE",
    .invalidSubcommand: "CTAP2_ERR_INVALID_SUBCOMMAND",
    .uvInvalid: "CTAP2_ERR_UV_INVALID",
    .unauthorizedPermission: "CTAP2_ERR_UNAUTHORIZED_PERMISSION",
    .other: "CTAP1_ERR_OTHER",
    .specLast: "CTAP2_ERR_SPEC_LAST",
    .extensionFirst: "CTAP2_ERR_EXTENSION_FIRST",
    .extensionLast: "CTAP2_ERR_EXTENSION_LAST",
    .tpmUnavailable: "COUNTERSIGN_ERR_TPM_UNAVAILABLE",
    .storageUnavailable: "COUNTERSIGN_ERR_STORAGE_UNAVAILABLE",
    .auditUnavailable: "COUNTERSIGN_ERR_AUDIT_UNAVAILABLE",
  ]
}
