/// What a TPM has said and signed.
package struct AuditStatement: Equatable, Sendable {
  /// TPMS_ATTEST of TPM2_Quote.
  package var attested: [UInt8]
  /// A DER ECDSA-Sig-Value over SHA-256 of it.
  package var signature: [UInt8]

  package init(attested: [UInt8], signature: [UInt8]) {
    self.attested = attested
    self.signature = signature
  }
}

/// What signs the chain, and counts how often it was anchored. Each may fail while the TPM is away.
package protocol AuditSigner: Sendable {
  var auditKey: AuditKey { get }
  /// The anchor: a counter that nothing turns back.
  func anchor() async throws(AuditError) -> UInt64
  /// - Parameter digest: SHA-256 of what the statement shall be about
  /// - Returns: what the TPM has said and signed
  /// - Throws: ``AuditError``
  func attest(_ digest: [UInt8]) async throws(AuditError) -> AuditStatement
  /// Adds one to the anchor, which wears the TPM's memory.
  ///
  /// - Returns: the anchor from now on
  /// - Throws: ``AuditError``
  func advanceAnchor() async throws(AuditError) -> UInt64
}
