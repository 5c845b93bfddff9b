internal import CTSS

/// A response code that was not success, and the command that got it.
package struct TPMError: Error, Equatable, Sendable, CustomStringConvertible {
  /// As in the TPM 2.0 Library, part 3, e.g. `TPM2_Sign`.
  package let operation: String
  /// TSS2_RC: the layer in the upper 16 bits, the TPM's own code below.
  package let code: UInt32

  package init(operation: String, code: UInt32) {
    self.operation = operation
    self.code = code
  }

  package var description: String {
    let text = unsafe String(cString: Tss2_RC_Decode(code))
    return "\(operation): \(text) (0x\(String(code, radix: 16)))"
  }
}

extension TPMError {
  /// What a caller can do about a code.
  package enum Kind: Equatable, Sendable {
    /// Try the same command again, with a bound.
    case retry
    /// No room for one more object: flush some.
    case objectMemory
    /// No room for one more session: flush some.
    case sessionMemory
    /// TPM2_Startup is missing, so everything loaded has gone.
    case notStarted
    /// A handle of the command stands for nothing (any more).
    case staleHandle
    /// The authorization value was wrong.
    case authorization
    /// Dictionary-attack protection refuses everything that it covers.
    case lockout
    /// The TPM's self-test failed; it needs a reset.
    case failureMode
    /// The way to the TPM is broken, or what came back was no response.
    case connectionLost
    /// The TPM does not have this curve, algorithm, size or command.
    case unsupported
    /// A parameter or object was refused as damaged or foreign (TPM_RC_INTEGRITY and its kin).
    case damaged
    case other
  }

  /// The one place where response codes are told apart (TPM 2.0 Library, part 2, section 6.6).
  package var kind: Kind {
    switch code & 0xFFFF_0000 {
    case 0, cs_layer_resmgr, cs_layer_resmgr_tpm: tpmKind(code & 0xFFFF)
    case cs_layer_tcti: .connectionLost
    case cs_layer_mu: .damaged
    case cs_layer_esys, cs_layer_sys: libraryKind(code & 0xFFFF)
    default: .other
    }
  }

  private func tpmKind(_ code: UInt32) -> Kind {
    if code & UInt32(TPM2_RC_FMT1) != 0 {
      // Format one carries the number of the parameter, session or handle in other bits.
      return switch code & 0x3F {
      case 0x0B: .staleHandle  // HANDLE
      case 0x0E, 0x22: .authorization  // AUTH_FAIL, BAD_AUTH
      case 0x01, 0x03, 0x07, 0x12, 0x16, 0x26: .unsupported  // ASYMMETRIC, HASH, KEY_SIZE, SCHEME, SYMMETRIC, CURVE
      case 0x15, 0x17, 0x18, 0x1A, 0x1F, 0x25, 0x27: .damaged  // SIZE … INTEGRITY, BINDING, ECC_POINT
      default: .other
      }
    }
    return switch code {
    case 0x100: .notStarted
    case 0x101: .failureMode
    case 0x143: .unsupported  // COMMAND_CODE
    case 0x902, 0x904, 0x906: .objectMemory
    case 0x903, 0x905: .sessionMemory
    case 0x908, 0x90A, 0x920, 0x922, 0x923: .retry  // YIELDED, TESTING, NV_RATE, RETRY, NV_UNAVAILABLE
    case 0x910...0x91E: .staleHandle  // REFERENCE_H0 … REFERENCE_S6
    case 0x921: .lockout
    default: .other
    }
  }

  private func libraryKind(_ code: UInt32) -> Kind {
    switch code {
    // BAD_SEQUENCE: the context waits for the response to a command whose exchange broke off.
    case UInt32(TSS2_BASE_RC_BAD_SEQUENCE), UInt32(TSS2_BASE_RC_IO_ERROR), UInt32(TSS2_BASE_RC_MALFORMED_RESPONSE),
      UInt32(TSS2_BASE_RC_INSUFFICIENT_RESPONSE), UInt32(TSS2_BASE_RC_NO_CONNECTION):
      .connectionLost
    default: .other
    }
  }
}

extension TPMError {
  /// A command that succeeded without what it should have brought, or with what cannot be
  /// (TSS2_ESYS_RC_MALFORMED_RESPONSE): the connection is not to be trusted any more.
  static func malformedResponse(_ operation: String) -> TPMError {
    TPMError(operation: operation, code: cs_layer_esys | UInt32(TSS2_BASE_RC_MALFORMED_RESPONSE))
  }

  /// A connection that was not made: for the reason that tpm2-tss gave, or for want of memory.
  static func opening(_ operation: String, _ status: UInt32) -> TPMError {
    TPMError(operation: operation, code: status == 0 ? cs_layer_tcti | UInt32(TSS2_BASE_RC_MEMORY) : status)
  }

  /// Whether tpm2-tss has no library for the TCTI that was named (TSS2_TCTI_RC_NOT_SUPPORTED).
  package var hasNoSuchTCTI: Bool { code == cs_layer_tcti | UInt32(TSS2_BASE_RC_NOT_SUPPORTED) }

  /// What an expected persistent object or index that is not there counts as (TPM_RC_HANDLE).
  package static let noObject: UInt32 = 0x8B
  /// A connection that was found broken without a command (TSS2_TCTI_RC_IO_ERROR).
  package static let connectionBroken: UInt32 = 0xA000A
}
