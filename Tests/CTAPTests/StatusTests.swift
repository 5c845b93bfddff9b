import CTAP
import Testing

@Suite("Status codes")
struct StatusTests {
  /// CTAP 2.1 section 8.2, and Countersign's own.
  static let table: [(UInt8, CTAPStatus, String)] = [
    (0x00, .ok, "CTAP2_OK"),
    (0x01, .invalidCommand, "CTAP1_ERR_INVALID_COMMAND"),
    (0x02, .invalidParameter, "CTAP1_ERR_INVALID_PARAMETER"),
    (0x03, .invalidLength, "CTAP1_ERR_INVALID_LENGTH"),
    (0x04, .invalidSeq, "CTAP1_ERR_INVALID_SEQ"),
    (0x05, .timeout, "CTAP1_ERR_TIMEOUT"),
    (0x06, .channelBusy, "CTAP1_ERR_CHANNEL_BUSY"),
    (0x0a, .lockRequired, "CTAP1_ERR_LOCK_REQUIRED"),
    (0x0b, .invalidChannel, "CTAP1_ERR_INVALID_CHANNEL"),
    (0x11, .cborUnexpectedType, "CTAP2_ERR_CBOR_UNEXPECTED_TYPE"),
    (0x12, .invalidCBOR, "CTAP2_ERR_INVALID_CBOR"),
    (0x14, .missingParameter, "CTAP2_ERR_MISSING_PARAMETER"),
    (0x15, .limitExceeded, "CTAP2_ERR_LIMIT_EXCEEDED"),
    (0x17, .fpDatabaseFull, "CTAP2_ERR_FP_DATABASE_FULL"),
    (0x18, .largeBlobStorageFull, "CTAP2_ERR_LARGE_BLOB_STORAGE_FULL"),
    (0x19, .credentialExcluded, "CTAP2_ERR_CREDENTIAL_EXCLUDED"),
    (0x21, .processing, "CTAP2_ERR_PROCESSING"),
    (0x22, .invalidCredential, "CTAP2_ERR_INVALID_CREDENTIAL"),
    (0x23, .userActionPending, "CTAP2_ERR_USER_ACTION_PENDING"),
    (0x24, .operationPending, "CTAP2_ERR_OPERATION_PENDING"),
    (0x25, .noOperations, "CTAP2_ERR_NO_OPERATIONS"),
    (0x26, .unsupportedAlgorithm, "CTAP2_ERR_UNSUPPORTED_ALGORITHM"),
    (0x27, .operationDenied, "CTAP2_ERR_OPERATION_DENIED"),
    (0x28, .keyStoreFull, "CTAP2_ERR_KEY_STORE_FULL"),
    (0x2b, .unsupportedOption, "CTAP2_ERR_UNSUPPORTED_OPTION"),
    (0x2c, .invalidOption, "CTAP2_ERR_INVALID_OPTION"),
    (0x2d, .keepaliveCancel, "CTAP2_ERR_KEEPALIVE_CANCEL"),
    (0x2e, .noCredentials, "CTAP2_ERR_NO_CREDENTIALS"),
    (0x2f, .userActionTimeout, "CTAP2_ERR_USER_ACTION_TIMEOUT"),
    (0x30, .notAllowed, "CTAP2_ERR_NOT_ALLOWED"),
    (0x31, .pinInvalid, "CTAP2_ERR_PIN_INVALID"),
    (0x32, .pinBlocked, "CTAP2_ERR_PIN_BLOCKED"),
    (0x33, .pinAuthInvalid, "CTAP2_ERR_PIN_AUTH_INVALID"),
    (0x34, .pinAuthBlocked, "CTAP2_ERR_PIN_AUTH_BLOCKED"),
    (0x35, .pinNotSet, "CTAP2_ERR_PIN_NOT_SET"),
    (0x36, .puatRequired, "CTAP2_ERR_PUAT_REQUIRED"),
    (0x37, .pinPolicyViolation, "CTAP2_ERR_PIN_POLICY_VIOLATION"),
    (0x39, .requestTooLarge, "CTAP2_ERR_REQUEST_TOO_LARGE"),
    (0x3a, .actionTimeout, "CTAP2_ERR_ACTION_TIMEOUT"),
    (0x3b, .upRequired, "CTAP2_ERR_UP_REQUIRED"),
    (0x3c, .uvBlocked, "CTAP2_ERR_UV_BLOCKED"),
    (0x3d, .integrityFailure, "CTAP2_ERR_INTEGRITY_FAILURE"),
    (0x3e, .invalidSubcommand, "CTAP2_ERR_INVALID_SUBCOMMAND"),
    (0x3f, .uvInvalid, "CTAP2_ERR_UV_INVALID"),
    (0x40, .unauthorizedPermission, "CTAP2_ERR_UNAUTHORIZED_PERMISSION"),
    (0x7f, .other, "CTAP1_ERR_OTHER"),
    (0xdf, .specLast, "CTAP2_ERR_SPEC_LAST"),
    (0xe0, .extensionFirst, "CTAP2_ERR_EXTENSION_FIRST"),
    (0xef, .extensionLast, "CTAP2_ERR_EXTENSION_LAST"),
    (0xf0, .tpmUnavailable, "COUNTERSIGN_ERR_TPM_UNAVAILABLE"),
    (0xf1, .storageUnavailable, "COUNTERSIGN_ERR_STORAGE_UNAVAILABLE"),
    (0xf2, .auditUnavailable, "COUNTERSIGN_ERR_AUDIT_UNAVAILABLE"),
  ]

  @Test(arguments: table)
  func hasTheStandardsNumberAndName(_ byte: UInt8, _ status: CTAPStatus, _ name: String) {
    #expect(status.rawValue == byte)
    #expect(status.description == name)
  }

  @Test func othersAreNumbers() {
    #expect(CTAPStatus(rawValue: 0x07).description == "status 0x07")
    #expect(CTAPStatus(rawValue: 0x99).description == "status 0x99")
  }
}
