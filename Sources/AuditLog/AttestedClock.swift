internal import TPMStructures

/// A TPM's statement (TPMS_ATTEST, TPM 2.0 Library part 2, section 10.12), as far as it matters here.
package struct AttestedClock: Equatable, Sendable {
  /// What was given to TPM2_Quote as qualifyingData.
  package let extraData: [UInt8]
  /// Milliseconds that the TPM has been powered since it was last cleared.
  package let clock: UInt64
  /// Resets of the TPM since it was last cleared. The TPM adds a constant of its own for the key, modulo 2^32.
  package let resetCount: UInt32
  /// The same for TPM2_Shutdown(STATE) and resume.
  package let restartCount: UInt32
  /// Whether `clock` cannot have been greater before.
  package let isSafe: Bool
  /// With a constant of the TPM's added, modulo 2^64.
  package let firmwareVersion: UInt64

  /// Reads any bytes; nil for all that is not the whole statement of a TPM2_Quote.
  package init?(_ bytes: [UInt8]) {
    guard let statement = try? TPMSAttest(parsing: bytes), case .quote = statement.attested else { return nil }
    extraData = statement.extraData
    clock = statement.clock.clock
    resetCount = statement.clock.resetCount
    restartCount = statement.clock.restartCount
    isSafe = statement.clock.isSafe
    firmwareVersion = statement.firmwareVersion
  }

  /// Whether the TPM can have said this after the other.
  package func canFollow(_ other: AttestedClock) -> Bool {
    // The constant makes differences the only thing that can be known.
    let resets = Int32(bitPattern: resetCount &- other.resetCount)
    let restarts = Int32(bitPattern: restartCount &- other.restartCount)
    guard resets >= 0 else { return false }
    // restartCount begins again with each reset, and a clock that lost power may have lost time.
    if resets > 0 { return clock >= other.clock || !isSafe }
    return restarts >= 0 && clock >= other.clock
  }
}
