internal import CTSS
package import Secrets

/// How TPM2_Sign signs; the key has no scheme of its own.
package enum TPMSignatureScheme: Sendable {
  case ecdsaSHA256
  case ecdsaSHA384
  case rsassaSHA256
}

/// A signature as the TPM gives it: big-endian integers without their sign, of any length up to the key's.
package enum TPMSignature: Equatable, Sendable {
  case ecdsa(r: [UInt8], s: [UInt8])
  case rsassa([UInt8])
}

extension TPMContext {
  /// TPM2_Sign, and nothing else: the authorization value goes along as a password, so no session is needed.
  ///
  /// - Parameters:
  ///   - digest: of the scheme's hash
  ///   - key: a signing key that is loaded
  ///   - scheme: signature scheme and hash
  ///   - authorization: the key's authorization value
  ///   - session: in which the key's policy is satisfied; nil where the value alone will do
  /// - Returns: the signature
  /// - Throws: ``TPMError``
  package mutating func sign(
    _ digest: [UInt8], with key: TPMReference, scheme: TPMSignatureScheme, authorization: borrowing SecretBytes,
    session: TPMSession? = nil
  ) throws(TPMError) -> TPMSignature {
    var input = TPM2B_DIGEST()
    guard digest.count <= MemoryLayout.size(ofValue: input.buffer) else {
      throw TPMError(operation: "TPM2_Sign", code: cs_layer_mu | UInt32(TSS2_BASE_RC_BAD_SIZE))
    }
    input.size = UInt16(digest.count)
    fill(&input.buffer, from: digest.span)
    var parameters = TPMT_SIG_SCHEME()
    switch scheme {
    case .ecdsaSHA256, .ecdsaSHA384:
      parameters.scheme = TPM2_ALG_ID(TPM2_ALG_ECDSA)
      let hash = scheme == .ecdsaSHA256 ? TPM2_ALG_SHA256 : TPM2_ALG_SHA384
      unsafe parameters.details.ecdsa.hashAlg = TPM2_ALG_ID(hash)
    case .rsassaSHA256:
      parameters.scheme = TPM2_ALG_ID(TPM2_ALG_RSASSA)
      unsafe parameters.details.rsassa.hashAlg = TPM2_ALG_ID(TPM2_ALG_SHA256)
    }
    // A ticket is for restricted keys only; this one says "none".
    var ticket = TPMT_TK_HASHCHECK()
    ticket.tag = TPM2_ST(TPM2_ST_HASHCHECK)
    ticket.hierarchy = TPM2_RH(TPM2_RH_NULL)
    return try withAuthorization(of: key, authorization) { context throws(TPMError) in
      var output: UnsafeMutablePointer<TPMT_SIGNATURE>?
      try unsafe context.check("TPM2_Sign") { esys in
        unsafe Esys_Sign(
          esys, key.raw, session?.raw ?? ESYS_TR_PASSWORD, noSession, noSession, &input, &parameters, &ticket, &output)
      }
      defer { unsafe Esys_Free(output) }
      guard let signature = unsafe output?.pointee else { throw TPMError.malformedResponse("TPM2_Sign") }
      return try read(signature)
    }
  }
}

func read(_ signature: TPMT_SIGNATURE) throws(TPMError) -> TPMSignature {
  switch signature.sigAlg {
  case TPM2_ALG_ID(TPM2_ALG_ECDSA):
    let value = unsafe signature.signature.ecdsa
    return .ecdsa(
      r: bytes(of: value.signatureR.buffer, count: Int(value.signatureR.size)),
      s: bytes(of: value.signatureS.buffer, count: Int(value.signatureS.size)))
  case TPM2_ALG_ID(TPM2_ALG_RSASSA):
    let value = unsafe signature.signature.rsassa
    return .rsassa(bytes(of: value.sig.buffer, count: Int(value.sig.size)))
  default:
    throw TPMError.malformedResponse("TPM2_Sign")
  }
}
