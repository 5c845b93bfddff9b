internal import CTSS
package import Secrets

/// What a TPM has said and signed with an attestation key.
package struct TPMStatement: Equatable, Sendable {
  /// TPMS_ATTEST, without a size before it.
  package let attested: [UInt8]
  package let signature: TPMSignature
}

extension TPMContext {
  /// Creates an attestation key: ECC P-256 for ECDSA with SHA-256, restricted, so that it signs what the TPM itself has
  /// to say and nothing that comes from outside and looks like it.
  ///
  /// - Parameters:
  ///   - parent: a storage key with an empty authorization value
  ///   - session: authorizes; encrypt the command's parameter with it
  ///   - authorization: the new key's authorization value, at most 32 bytes
  /// - Returns: the key, not loaded
  /// - Throws: ``TPMError``
  package mutating func createAttestationKey(
    under parent: TPMReference, session: TPMSession, authorization: borrowing SecretBytes
  ) throws(TPMError) -> WrappedObject {
    var sensitive = TPM2B_SENSITIVE_CREATE()
    defer { wipe(&sensitive) }
    authorization.reveal { span in
      sensitive.sensitive.userAuth.size = UInt16(span.count)
      fill(&sensitive.sensitive.userAuth.buffer, from: span)
    }
    return try create(publicAreaForAttestationKey(), &sensitive, under: parent, session: session).wrapped
  }

  /// TPM2_Certify: that an object is in this TPM.
  ///
  /// - Parameters:
  ///   - object: loaded
  ///   - objectAuthorization: of the object
  ///   - data: qualifyingData, at most 64 bytes
  ///   - key: an attestation key, loaded
  ///   - authorization: of the attestation key
  /// - Returns: TPM_ST_ATTEST_CERTIFY
  /// - Throws: ``TPMError``
  package mutating func certify(
    _ object: TPMReference, _ objectAuthorization: borrowing SecretBytes, data: [UInt8], with key: TPMReference,
    authorization: borrowing SecretBytes
  ) throws(TPMError) -> TPMStatement {
    var input = try qualifyingData(data, "TPM2_Certify")
    var scheme = ownScheme
    var attested: UnsafeMutablePointer<TPM2B_ATTEST>?
    var signature: UnsafeMutablePointer<TPMT_SIGNATURE>?
    defer {
      unsafe Esys_Free(attested)
      unsafe Esys_Free(signature)
    }
    // A closure cannot capture a borrowed value, so that the second is given to the context beforehand.
    try setAuthorization(of: key, to: authorization)
    defer { forgetAuthorization(of: key) }
    try withAuthorization(of: object, objectAuthorization) { context throws(TPMError) in
      try unsafe context.check("TPM2_Certify") { esys in
        unsafe Esys_Certify(
          esys, object.raw, key.raw, ESYS_TR_PASSWORD, ESYS_TR_PASSWORD, noSession, &input, &scheme, &attested,
          &signature)
      }
    }
    return try unsafe statement(attested, signature, "TPM2_Certify")
  }

  /// TPM2_Quote over PCRs of the SHA-256 bank, with the TPM's clock and its counts of resets. TPM2_GetTime says these
  /// alone and takes the endorsement hierarchy's authorization besides.
  ///
  /// - Parameters:
  ///   - pcrs: numbers below 24; none at all where only the clock is wanted
  ///   - data: qualifyingData, at most 64 bytes
  ///   - key: an attestation key, loaded
  ///   - authorization: of the attestation key
  /// - Returns: TPM_ST_ATTEST_QUOTE
  /// - Throws: ``TPMError``
  package mutating func quote(
    pcrs: [Int], data: [UInt8], with key: TPMReference, authorization: borrowing SecretBytes
  ) throws(TPMError) -> TPMStatement {
    var input = try qualifyingData(data, "TPM2_Quote")
    var scheme = ownScheme
    var selection = pcrSelection(pcrs)
    var attested: UnsafeMutablePointer<TPM2B_ATTEST>?
    var signature: UnsafeMutablePointer<TPMT_SIGNATURE>?
    defer {
      unsafe Esys_Free(attested)
      unsafe Esys_Free(signature)
    }
    try withAuthorization(of: key, authorization) { context throws(TPMError) in
      try unsafe context.check("TPM2_Quote") { esys in
        unsafe Esys_Quote(
          esys, key.raw, ESYS_TR_PASSWORD, noSession, noSession, &input, &scheme, &selection, &attested, &signature)
      }
    }
    return try unsafe statement(attested, signature, "TPM2_Quote")
  }

  /// TPM2_Hash and TPM2_Sign: a signature over data from outside. The TPM has hashed it itself and vouches (by a ticket)
  /// that it does not look like one of its own statements: otherwise a restricted key does not sign.
  ///
  /// - Parameters:
  ///   - message: at most 1024 bytes
  ///   - key: an attestation key, loaded
  ///   - authorization: of the attestation key
  /// - Returns: the signature
  /// - Throws: ``TPMError``
  package mutating func signOutside(
    _ message: [UInt8], with key: TPMReference, authorization: borrowing SecretBytes
  ) throws(TPMError) -> TPMSignature {
    var input = TPM2B_MAX_BUFFER()
    guard message.count <= MemoryLayout.size(ofValue: input.buffer) else {
      throw TPMError(operation: "TPM2_Hash", code: cs_layer_mu | UInt32(TSS2_BASE_RC_BAD_SIZE))
    }
    input.size = UInt16(message.count)
    fill(&input.buffer, from: message.span)
    var digest: UnsafeMutablePointer<TPM2B_DIGEST>?
    var ticket: UnsafeMutablePointer<TPMT_TK_HASHCHECK>?
    defer {
      unsafe Esys_Free(digest)
      unsafe Esys_Free(ticket)
    }
    try unsafe check("TPM2_Hash") { esys in
      unsafe Esys_Hash(
        esys, noSession, noSession, noSession, &input, TPM2_ALG_ID(TPM2_ALG_SHA256), ESYS_TR_RH_OWNER, &digest, &ticket)
    }
    var scheme = ownScheme
    var signature: UnsafeMutablePointer<TPMT_SIGNATURE>?
    defer { unsafe Esys_Free(signature) }
    try withAuthorization(of: key, authorization) { context throws(TPMError) in
      try unsafe context.check("TPM2_Sign") { esys in
        unsafe Esys_Sign(
          esys, key.raw, ESYS_TR_PASSWORD, noSession, noSession, digest, &scheme, ticket, &signature)
      }
    }
    guard let signature = unsafe signature?.pointee else { throw TPMError.malformedResponse("TPM2_Sign") }
    return try read(signature)
  }

  /// The values of PCRs of the SHA-256 bank, in the order asked for; empty where the TPM keeps no such bank.
  ///
  /// - Throws: ``TPMError``
  package mutating func readPCRs(_ pcrs: [Int]) throws(TPMError) -> [[UInt8]] {
    var values: [[UInt8]] = []
    // One by one: how many a TPM gives in one response is its own affair.
    for pcr in pcrs {
      var selection = pcrSelection([pcr])
      var digests: UnsafeMutablePointer<TPML_DIGEST>?
      try unsafe check("TPM2_PCR_Read") { esys in
        unsafe Esys_PCR_Read(esys, noSession, noSession, noSession, &selection, nil, nil, &digests)
      }
      defer { unsafe Esys_Free(digests) }
      guard let list = unsafe digests?.pointee else { throw TPMError.malformedResponse("TPM2_PCR_Read") }
      guard let first = elements(of: list.digests, as: TPM2B_DIGEST.self, count: Int(list.count)).first else {
        return []
      }
      values.append(bytes(of: first.buffer, count: Int(first.size)))
    }
    return values
  }
}

/// NULL: the key's own.
private var ownScheme: TPMT_SIG_SCHEME {
  var scheme = TPMT_SIG_SCHEME()
  scheme.scheme = TPM2_ALG_ID(TPM2_ALG_NULL)
  return scheme
}

private func qualifyingData(_ data: [UInt8], _ operation: String) throws(TPMError) -> TPM2B_DATA {
  var input = TPM2B_DATA()
  guard data.count <= 64 else {
    throw TPMError(operation: operation, code: cs_layer_mu | UInt32(TSS2_BASE_RC_BAD_SIZE))
  }
  input.size = UInt16(data.count)
  fill(&input.buffer, from: data.span)
  return input
}

func pcrSelection(_ pcrs: [Int]) -> TPML_PCR_SELECTION {
  var bits: [UInt8] = [0, 0, 0]
  for pcr in pcrs where pcr < 24 { bits[pcr / 8] |= 1 << UInt8(pcr % 8) }
  var one = TPMS_PCR_SELECTION()
  one.hash = TPM2_ALG_ID(TPM2_ALG_SHA256)
  one.sizeofSelect = UInt8(bits.count)
  fill(&one.pcrSelect, from: bits.span)
  var selection = TPML_PCR_SELECTION()
  guard !pcrs.isEmpty else { return selection }
  selection.count = 1
  unsafe withUnsafeMutableBytes(of: &selection.pcrSelections) {
    unsafe $0.storeBytes(of: one, as: TPMS_PCR_SELECTION.self)
  }
  return selection
}

private func statement(
  _ attested: UnsafeMutablePointer<TPM2B_ATTEST>?, _ signature: UnsafeMutablePointer<TPMT_SIGNATURE>?,
  _ operation: String
) throws(TPMError) -> TPMStatement {
  guard let content = unsafe attested?.pointee, let signature = unsafe signature?.pointee else {
    throw TPMError.malformedResponse(operation)
  }
  return TPMStatement(
    attested: bytes(of: content.attestationData, count: Int(content.size)), signature: try read(signature))
}

/// A restricted key has a scheme.
private func publicAreaForAttestationKey() -> TPMT_PUBLIC {
  var area = publicArea(for: .eccP256)
  area.objectAttributes |= UInt32(TPMA_OBJECT_RESTRICTED)
  unsafe area.parameters.eccDetail.scheme.scheme = TPM2_ALG_ID(TPM2_ALG_ECDSA)
  unsafe area.parameters.eccDetail.scheme.details.ecdsa.hashAlg = TPM2_ALG_ID(TPM2_ALG_SHA256)
  return area
}
