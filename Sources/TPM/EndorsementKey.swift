internal import CTSS
package import Secrets

/// The endorsement keys of the TCG EK Credential Profile (version 2.0, annex B.3), which every TPM makes anew from its
/// own seed.
package enum EndorsementKeyKind: CaseIterable, Sendable {
  /// Template L-2: ECC P-256.
  case eccP256
  /// Template L-1: RSA of 2048 bits.
  case rsa2048

  /// Where the maker puts the certificate (section 2.2.1.4).
  package var certificateIndex: UInt32 { self == .eccP256 ? 0x01C0_000A : 0x01C0_0002 }
}

extension TPMContext {
  /// Makes an endorsement key, transient. Needs the endorsement hierarchy's authorization, which is empty here.
  ///
  /// - Returns: the key, to be released, and its TPMT_PUBLIC
  /// - Throws: ``TPMError``
  package mutating func createEndorsementKey(
    _ kind: EndorsementKeyKind
  ) throws(TPMError) -> (key: TPMReference, publicArea: [UInt8]) {
    var template = TPM2B_PUBLIC()
    template.publicArea = publicAreaForEndorsementKey(kind)
    var sensitive = TPM2B_SENSITIVE_CREATE()
    var outside = TPM2B_DATA()
    var selection = TPML_PCR_SELECTION()
    var primary = ESYS_TR_NONE
    var area: UnsafeMutablePointer<TPM2B_PUBLIC>?
    try unsafe check("TPM2_CreatePrimary") { esys in
      unsafe Esys_CreatePrimary(
        esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD, noSession, noSession, &sensitive, &template, &outside,
        &selection, &primary, &area, nil, nil, nil)
    }
    defer { unsafe Esys_Free(area) }
    let key = TPMReference(raw: primary)
    do throws(TPMError) {
      guard let area = unsafe area else { throw TPMError.malformedResponse("TPM2_CreatePrimary") }
      return (key, try marshal(unsafe area.pointee.publicArea))
    } catch {
      release(key)
      throw error
    }
  }

  /// What the maker has put at an index that everybody may read; nil where nothing is.
  ///
  /// - Throws: ``TPMError``
  package mutating func readPublicIndex(_ index: UInt32) throws(TPMError) -> [UInt8]? {
    guard let reference = try reference(to: index) else { return nil }
    defer { forget(reference) }
    var area: UnsafeMutablePointer<TPM2B_NV_PUBLIC>?
    try unsafe check("TPM2_NV_ReadPublic") { esys in
      unsafe Esys_NV_ReadPublic(esys, reference.raw, noSession, noSession, noSession, &area, nil)
    }
    defer { unsafe Esys_Free(area) }
    guard let size = unsafe area?.pointee.nvPublic.dataSize else { return nil }
    // What every TPM gives in one response (TPM2_MAX_NV_BUFFER_SIZE is at least 512).
    let step: UInt16 = 512
    var content: [UInt8] = []
    for offset in stride(from: UInt16(0), to: size, by: Int(step)) {
      var data: UnsafeMutablePointer<TPM2B_MAX_NV_BUFFER>?
      try unsafe check("TPM2_NV_Read") { esys in
        unsafe Esys_NV_Read(
          esys, reference.raw, reference.raw, ESYS_TR_PASSWORD, noSession, noSession, min(step, size - offset), offset,
          &data)
      }
      defer { unsafe Esys_Free(data) }
      guard let data = unsafe data else { throw TPMError.malformedResponse("TPM2_NV_Read") }
      content += unsafe bytes(of: data.pointee.buffer, count: Int(data.pointee.size))
    }
    return content
  }

  /// TPM2_ActivateCredential: opens what was made for both keys, which only works where both are in this TPM. The
  /// endorsement key's policy is TPM2_PolicySecret of the endorsement hierarchy.
  ///
  /// - Parameters:
  ///   - blob: TPM2B_ID_OBJECT's content
  ///   - secret: TPM2B_ENCRYPTED_SECRET's content
  ///   - key: the attestation key, loaded
  ///   - authorization: of the attestation key
  ///   - endorsementKey: of ``createEndorsementKey(_:)``
  /// - Returns: what is in it
  /// - Throws: ``TPMError``, or `SecretMemoryError`
  package mutating func activateCredential(
    _ blob: [UInt8], _ secret: [UInt8], key: TPMReference, authorization: borrowing SecretBytes,
    endorsementKey: TPMReference
  ) throws -> SecretBytes {
    var object = TPM2B_ID_OBJECT()
    var encrypted = TPM2B_ENCRYPTED_SECRET()
    guard blob.count <= MemoryLayout.size(ofValue: object.credential),
      secret.count <= MemoryLayout.size(ofValue: encrypted.secret)
    else {
      throw TPMError(operation: "TPM2_ActivateCredential", code: cs_layer_mu | UInt32(TSS2_BASE_RC_BAD_SIZE))
    }
    object.size = UInt16(blob.count)
    fill(&object.credential, from: blob.span)
    encrypted.size = UInt16(secret.count)
    fill(&encrypted.secret, from: secret.span)
    var data: UnsafeMutablePointer<TPM2B_DIGEST>?
    try withAuthorization(of: key, authorization) { context throws(TPMError) in
      try context.withEndorsementPolicy { context, policy throws(TPMError) in
        try unsafe context.check("TPM2_ActivateCredential") { esys in
          unsafe Esys_ActivateCredential(
            esys, key.raw, endorsementKey.raw, ESYS_TR_PASSWORD, policy.raw, noSession, &object, &encrypted, &data)
        }
      }
    }
    guard let data = unsafe data else { throw TPMError.malformedResponse("TPM2_ActivateCredential") }
    defer {
      unsafe wipe(&data.pointee)
      unsafe Esys_Free(data)
    }
    let count = unsafe Int(data.pointee.size)
    return try SecretBytes(count: count) { output in
      unsafe withUnsafeBytes(of: &data.pointee.buffer) { source in
        for index in 0..<count { unsafe output[index] = source[index] }
      }
    }
  }

  /// Lends a session in which the endorsement hierarchy has been authorized. The TPM ends it with the command that uses
  /// it.
  private mutating func withEndorsementPolicy(
    _ body: (inout TPMContext, TPMSession) throws(TPMError) -> Void
  ) throws(TPMError) {
    let session = try startPolicySession()
    do throws(TPMError) {
      try unsafe check("TPM2_PolicySecret") { esys in
        unsafe Esys_PolicySecret(
          esys, ESYS_TR_RH_ENDORSEMENT, session.raw, ESYS_TR_PASSWORD, noSession, noSession, nil, nil, nil, 0, nil, nil)
      }
      try body(&self, session)
    } catch {
      release(TPMReference(raw: session.raw))
      throw error
    }
    // tpm2-tss forgets a session that the TPM has ended.
  }
}

/// Templates L-1 and L-2: restricted decryption keys under a policy.
private func publicAreaForEndorsementKey(_ kind: EndorsementKeyKind) -> TPMT_PUBLIC {
  // PolicyA: TPM2_PolicySecret(TPM_RH_ENDORSEMENT) with SHA-256.
  let policy: [UInt8] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7,
    0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
  ]
  var area = TPMT_PUBLIC()
  area.nameAlg = TPM2_ALG_ID(TPM2_ALG_SHA256)
  area.objectAttributes =
    UInt32(TPMA_OBJECT_FIXEDTPM) | UInt32(TPMA_OBJECT_FIXEDPARENT) | UInt32(TPMA_OBJECT_SENSITIVEDATAORIGIN)
    | UInt32(TPMA_OBJECT_ADMINWITHPOLICY) | UInt32(TPMA_OBJECT_RESTRICTED) | UInt32(TPMA_OBJECT_DECRYPT)
  area.authPolicy.size = UInt16(policy.count)
  fill(&area.authPolicy.buffer, from: policy.span)
  switch kind {
  case .eccP256: makeP256Storage(&area)
  case .rsa2048:
    area.type = TPM2_ALG_ID(TPM2_ALG_RSA)
    unsafe area.parameters.rsaDetail.symmetric.algorithm = TPM2_ALG_ID(TPM2_ALG_AES)
    unsafe area.parameters.rsaDetail.symmetric.keyBits.aes = 128
    unsafe area.parameters.rsaDetail.symmetric.mode.aes = TPM2_ALG_ID(TPM2_ALG_CFB)
    unsafe area.parameters.rsaDetail.scheme.scheme = TPM2_ALG_ID(TPM2_ALG_NULL)
    unsafe area.parameters.rsaDetail.keyBits = 2048
    unsafe area.parameters.rsaDetail.exponent = 0
    unsafe area.unique.rsa.size = 256
  }
  return area
}
