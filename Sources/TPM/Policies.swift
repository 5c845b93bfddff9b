internal import CTSS
package import Secrets

/// That the TPM has verified a signature (TPMT_TK_VERIFIED). Holds until the TPM is cleared.
package struct TPMVerification: Equatable, Sendable {
  let hierarchy: UInt32
  let digest: [UInt8]
}

/// Values of PCRs that the holder of a key has approved, as TPM2_PolicyAuthorize wants to be shown it.
package struct ApprovedPCRs: Equatable, Sendable {
  package let pcrs: [Int]
  /// SHA-256 of the values.
  package let digest: [UInt8]
  /// The policy digest that TPM2_PolicyPCR makes of them.
  package let policy: [UInt8]
  package let reference: [UInt8]
  /// Name of the key.
  package let keyName: [UInt8]
  package let verification: TPMVerification

  package init(
    pcrs: [Int], digest: [UInt8], policy: [UInt8], reference: [UInt8], keyName: [UInt8], verification: TPMVerification
  ) {
    self.pcrs = pcrs
    self.digest = digest
    self.policy = policy
    self.reference = reference
    self.keyName = keyName
    self.verification = verification
  }
}

extension TPMContext {
  /// TPM2_LoadExternal and TPM2_VerifySignature: a signature by ECDSA with SHA-256 of a key that is not in the TPM.
  ///
  /// - Parameters:
  ///   - digest: what was signed
  ///   - r: first number of the signature
  ///   - s: second one
  ///   - area: TPMT_PUBLIC of the key
  /// - Returns: for ``ApprovedPCRs``
  /// - Throws: ``TPMError``, also where the signature is wrong
  package mutating func verify(
    _ digest: [UInt8], r: [UInt8], s: [UInt8], by area: [UInt8]
  ) throws(TPMError) -> TPMVerification {
    var inPublic = TPM2B_PUBLIC()
    inPublic.publicArea = try unmarshal(area)
    var raw = ESYS_TR_NONE
    try unsafe check("TPM2_LoadExternal") { esys in
      // In a hierarchy: a ticket of none is worth nothing.
      unsafe Esys_LoadExternal(esys, noSession, noSession, noSession, nil, &inPublic, ESYS_TR_RH_OWNER, &raw)
    }
    let key = TPMReference(raw: raw)
    defer { release(key) }
    var input = try sized(digest, "TPM2_VerifySignature")
    var signature = TPMT_SIGNATURE()
    signature.sigAlg = TPM2_ALG_ID(TPM2_ALG_ECDSA)
    unsafe signature.signature.ecdsa.hash = TPM2_ALG_ID(TPM2_ALG_SHA256)
    for number in [r, s] where number.count > 32 { throw badSize("TPM2_VerifySignature") }
    unsafe signature.signature.ecdsa.signatureR.size = UInt16(r.count)
    unsafe fill(&signature.signature.ecdsa.signatureR.buffer, from: r.span)
    unsafe signature.signature.ecdsa.signatureS.size = UInt16(s.count)
    unsafe fill(&signature.signature.ecdsa.signatureS.buffer, from: s.span)
    var ticket: UnsafeMutablePointer<TPMT_TK_VERIFIED>?
    try unsafe check("TPM2_VerifySignature") { esys in
      unsafe Esys_VerifySignature(esys, key.raw, noSession, noSession, noSession, &input, &signature, &ticket)
    }
    defer { unsafe Esys_Free(ticket) }
    guard let found = unsafe ticket?.pointee else { throw TPMError.malformedResponse("TPM2_VerifySignature") }
    return TPMVerification(
      hierarchy: found.hierarchy, digest: bytes(of: found.digest.buffer, count: Int(found.digest.size)))
  }

  /// TPM2_PolicyPCR and TPM2_PolicyAuthorize: shows the TPM that the PCRs are as somebody has approved.
  ///
  /// - Throws: ``TPMError``, for which ``TPMError/isOfAnotherBoot`` where they are not so (any more)
  package mutating func satisfy(_ approved: ApprovedPCRs, in session: TPMSession) throws(TPMError) {
    var digest = try sized(approved.digest, "TPM2_PolicyPCR")
    var selection = pcrSelection(approved.pcrs)
    try unsafe check("TPM2_PolicyPCR") { esys in
      unsafe Esys_PolicyPCR(esys, session.raw, noSession, noSession, noSession, &digest, &selection)
    }
    var policy = try sized(approved.policy, "TPM2_PolicyAuthorize")
    var reference = try sized(approved.reference, "TPM2_PolicyAuthorize")
    var name = TPM2B_NAME()
    guard approved.keyName.count <= MemoryLayout.size(ofValue: name.name) else {
      throw badSize("TPM2_PolicyAuthorize")
    }
    name.size = UInt16(approved.keyName.count)
    fill(&name.name, from: approved.keyName.span)
    var ticket = TPMT_TK_VERIFIED()
    ticket.tag = TPM2_ST(TPM2_ST_VERIFIED)
    ticket.hierarchy = approved.verification.hierarchy
    ticket.digest = try sized(approved.verification.digest, "TPM2_PolicyAuthorize")
    try unsafe check("TPM2_PolicyAuthorize") { esys in
      unsafe Esys_PolicyAuthorize(
        esys, session.raw, noSession, noSession, noSession, &policy, &reference, &name, &ticket)
    }
  }

  /// Signs with a key whose policy is that of ``satisfy(_:in:)`` and TPM2_PolicyAuthValue: five commands. The
  /// authorization value does not cross the bus.
  ///
  /// - Throws: ``TPMError``
  package mutating func sign(
    _ digest: [UInt8], with key: TPMReference, scheme: TPMSignatureScheme, authorization: borrowing SecretBytes,
    in approved: ApprovedPCRs
  ) throws(TPMError) -> TPMSignature {
    // The TPM ends the session with the command that uses it, and tpm2-tss forgets it then.
    let session = try startPolicySession()
    do throws(TPMError) {
      try satisfy(approved, in: session)
      try unsafe check("TPM2_PolicyAuthValue") { esys in
        unsafe Esys_PolicyAuthValue(esys, session.raw, noSession, noSession, noSession)
      }
      return try sign(digest, with: key, scheme: scheme, authorization: authorization, session: session)
    } catch {
      release(TPMReference(raw: session.raw))
      throw error
    }
  }

  /// A session for one command, without a salt, which encrypts nothing. To be released where that command does not
  /// succeed.
  ///
  /// - Throws: ``TPMError``
  mutating func startPolicySession() throws(TPMError) -> TPMSession {
    var symmetric = TPMT_SYM_DEF()
    symmetric.algorithm = TPM2_ALG_ID(TPM2_ALG_NULL)
    var raw = ESYS_TR_NONE
    try unsafe check("TPM2_StartAuthSession") { esys in
      unsafe Esys_StartAuthSession(
        esys, ESYS_TR_NONE, ESYS_TR_NONE, noSession, noSession, noSession, nil, TPM2_SE(TPM2_SE_POLICY), &symmetric,
        TPM2_ALG_ID(TPM2_ALG_SHA256), &raw)
    }
    return TPMSession(raw: raw)
  }
}

extension TPMError {
  /// Whether the PCRs are others than were shown, or have changed since: TPM_RC_VALUE for them, TPM_RC_PCR_CHANGED.
  package var isOfAnotherBoot: Bool {
    guard [0, cs_layer_resmgr, cs_layer_resmgr_tpm].contains(code & 0xFFFF_0000) else { return false }
    let isValue = code & UInt32(TPM2_RC_FMT1) != 0 && code & 0x3F == 0x04
    return operation == "TPM2_PolicyPCR" && isValue || code & 0xFFFF == 0x128
  }

  /// Whether the TPM does not know its own ticket any more: it was cleared since.
  package var isOfAnotherTicket: Bool { operation == "TPM2_PolicyAuthorize" && kind != .connectionLost }
}

extension WrappedObject {
  /// The authPolicy of an object for whose use nothing but that will do; nil for every other.
  package var policy: [UInt8]? {
    guard let area = try? unmarshal(publicArea), area.objectAttributes & UInt32(TPMA_OBJECT_USERWITHAUTH) == 0 else {
      return nil
    }
    return bytes(of: area.authPolicy.buffer, count: Int(area.authPolicy.size))
  }
}

private func sized(_ content: [UInt8], _ operation: String) throws(TPMError) -> TPM2B_DIGEST {
  var sized = TPM2B_DIGEST()
  guard content.count <= MemoryLayout.size(ofValue: sized.buffer) else { throw badSize(operation) }
  sized.size = UInt16(content.count)
  fill(&sized.buffer, from: content.span)
  return sized
}

private func badSize(_ operation: String) -> TPMError {
  TPMError(operation: operation, code: cs_layer_mu | UInt32(TSS2_BASE_RC_BAD_SIZE))
}

/// Makes the policy the only way to use an object.
func bind(_ area: inout TPMT_PUBLIC, to policy: [UInt8]) {
  area.objectAttributes &= ~UInt32(TPMA_OBJECT_USERWITHAUTH)
  area.authPolicy.size = UInt16(policy.count)
  fill(&area.authPolicy.buffer, from: policy.span)
}
