internal import CTSS

/// An HMAC session with AES-128-CFB parameter encryption, lent to a closure.
package struct TPMSession: Equatable, Sendable {
  let raw: ESYS_TR
}

extension TPMContext {
  /// Lends a session whose key is salted with `key`, so that who listens on the bus cannot read encrypted parameters;
  /// without `key` (before there is one) it only keeps authorization values off the bus. Flushed on both paths.
  ///
  /// The salt protects as far as `key` is known to be in the TPM: compare its Name with the recorded one first.
  ///
  /// - Parameters:
  ///   - key: a decryption key that is loaded
  ///   - encrypting: which first parameters are encrypted
  ///   - isForPolicy: whether it authorizes by a policy, which `body` satisfies, and not by an authorization value
  ///   - body: uses the session
  /// - Returns: what `body` returns
  /// - Throws: ``TPMError``
  package mutating func withSession<Result: ~Copyable>(
    saltedWith key: TPMReference?, encrypting: ParameterEncryption, isForPolicy: Bool = false,
    _ body: (inout TPMContext, TPMSession) throws(TPMError) -> Result
  ) throws(TPMError) -> Result {
    var symmetric = TPMT_SYM_DEF()
    symmetric.algorithm = TPM2_ALG_ID(TPM2_ALG_AES)
    unsafe symmetric.keyBits.aes = 128
    unsafe symmetric.mode.aes = TPM2_ALG_ID(TPM2_ALG_CFB)
    let kind = TPM2_SE(isForPolicy ? TPM2_SE_POLICY : TPM2_SE_HMAC)
    var raw = ESYS_TR_NONE
    try unsafe check("TPM2_StartAuthSession") { esys in
      unsafe Esys_StartAuthSession(
        esys, key?.raw ?? ESYS_TR_NONE, ESYS_TR_NONE, noSession, noSession, noSession, nil, kind, &symmetric,
        TPM2_ALG_ID(TPM2_ALG_SHA256), &raw)
    }
    let session = TPMSession(raw: raw)
    defer { release(TPMReference(raw: raw)) }
    let flags = UInt32(TPMA_SESSION_CONTINUESESSION) | UInt32(encrypting.rawValue)
    try unsafe check("Esys_TRSess_SetAttributes") { esys in
      unsafe Esys_TRSess_SetAttributes(esys, raw, TPMA_SESSION(truncatingIfNeeded: flags), 0xFF)
    }
    return try body(&self, session)
  }
}

/// Which first parameters a session encrypts (TPMA_SESSION).
package struct ParameterEncryption: OptionSet, Sendable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  /// That of the command (TPMA_SESSION decrypt: the TPM decrypts it).
  package static let command = ParameterEncryption(rawValue: UInt8(TPMA_SESSION_DECRYPT))
  /// That of the response (TPMA_SESSION encrypt).
  package static let response = ParameterEncryption(rawValue: UInt8(TPMA_SESSION_ENCRYPT))
}
