internal import CTSS
package import Secrets

/// The public area of an NV index, as far as it matters here.
package struct NVIndexInformation: Equatable, Sendable {
  /// Whether it is a counter with exactly the attributes that ``TPMContext/defineCounter(at:tag:authorization:session:)``
  /// gives.
  package let isCounter: Bool
  /// Whether it has a value (TPMA_NV_WRITTEN).
  package let isWritten: Bool
  /// An authorization policy that nobody can satisfy, or nothing. Countersign puts a random tag here: it tells an
  /// index of ours from everybody else's.
  package let tag: [UInt8]
}

/// Not ORDERLY: every increment is in non-volatile memory before the TPM answers.
private let counterAttributes =
  UInt32(TPM2_NT_COUNTER) << UInt32(TPMA_NV_TPM2_NT_SHIFT) | UInt32(TPMA_NV_AUTHREAD)
  | UInt32(TPMA_NV_AUTHWRITE) | UInt32(TPMA_NV_NO_DA)

extension TPMContext {
  /// What is defined at an NV index; nil where nothing is.
  ///
  /// - Throws: ``TPMError``
  package mutating func informationOnIndex(_ index: UInt32) throws(TPMError) -> NVIndexInformation? {
    // Not forgotten afterwards: tpm2-tss gives out one reference for the same index, which others may be using.
    guard let reference = try reference(to: index) else { return nil }
    var area: UnsafeMutablePointer<TPM2B_NV_PUBLIC>?
    try unsafe check("TPM2_NV_ReadPublic") { esys in
      unsafe Esys_NV_ReadPublic(esys, reference.raw, noSession, noSession, noSession, &area, nil)
    }
    defer { unsafe Esys_Free(area) }
    guard let information = unsafe area?.pointee.nvPublic else { return nil }
    let written = UInt32(TPMA_NV_WRITTEN)
    return NVIndexInformation(
      isCounter: information.attributes & ~written == counterAttributes && information.dataSize == 8
        && information.nameAlg == TPM2_ALG_ID(TPM2_ALG_SHA256),
      isWritten: information.attributes & written != 0,
      tag: bytes(of: information.authPolicy.buffer, count: Int(information.authPolicy.size)))
  }

  /// Defines a counter that is read and incremented with its own authorization value. Needs the owner's authorization.
  /// It has no value before its first increment, which makes it greater than every counter that this TPM has ever held
  /// (TPM 2.0 Library, part 3, TPM2_NV_Increment), those that were removed included.
  ///
  /// - Parameters:
  ///   - index: a free NV index
  ///   - tag: 32 bytes that make it recognisable
  ///   - authorization: of the new index
  ///   - session: authorizes; encrypt the command's parameter with it
  /// - Throws: ``TPMError``
  package mutating func defineCounter(
    at index: UInt32, tag: [UInt8], authorization: borrowing SecretBytes, session: TPMSession
  ) throws(TPMError) {
    var value = TPM2B_AUTH()
    defer { wipe(&value) }
    authorization.reveal { span in
      value.size = UInt16(span.count)
      fill(&value.buffer, from: span)
    }
    var area = TPM2B_NV_PUBLIC()
    area.nvPublic.nvIndex = index
    area.nvPublic.nameAlg = TPM2_ALG_ID(TPM2_ALG_SHA256)
    area.nvPublic.attributes = counterAttributes
    area.nvPublic.authPolicy.size = UInt16(tag.count)
    fill(&area.nvPublic.authPolicy.buffer, from: tag.span)
    area.nvPublic.dataSize = 8
    var reference = ESYS_TR_NONE
    try unsafe check("TPM2_NV_DefineSpace") { esys in
      unsafe Esys_NV_DefineSpace(
        esys, ESYS_TR_RH_OWNER, session.raw, noSession, noSession, &value, &area, &reference)
    }
    forget(TPMReference(raw: reference))
  }

  /// Removes an NV index. Needs the owner's authorization.
  ///
  /// - Throws: ``TPMError``
  package mutating func undefineIndex(_ index: UInt32, session: TPMSession) throws(TPMError) {
    guard let reference = try reference(to: index) else { return }
    try unsafe check("TPM2_NV_UndefineSpace") { esys in
      unsafe Esys_NV_UndefineSpace(esys, ESYS_TR_RH_OWNER, reference.raw, session.raw, noSession, noSession)
    }
  }

  /// Increments a counter.
  ///
  /// - Throws: ``TPMError``
  package mutating func incrementCounter(
    _ counter: TPMReference, authorization: borrowing SecretBytes
  ) throws(TPMError) {
    try withAuthorization(of: counter, authorization) { context throws(TPMError) in
      try unsafe context.check("TPM2_NV_Increment") { esys in
        unsafe Esys_NV_Increment(esys, counter.raw, counter.raw, ESYS_TR_PASSWORD, noSession, noSession)
      }
    }
  }

  /// Reads a counter.
  ///
  /// - Throws: ``TPMError``
  package mutating func readCounter(
    _ counter: TPMReference, authorization: borrowing SecretBytes
  ) throws(TPMError) -> UInt64 {
    try withAuthorization(of: counter, authorization) { context throws(TPMError) in
      var data: UnsafeMutablePointer<TPM2B_MAX_NV_BUFFER>?
      try unsafe context.check("TPM2_NV_Read") { esys in
        unsafe Esys_NV_Read(
          esys, counter.raw, counter.raw, ESYS_TR_PASSWORD, noSession, noSession, 8, 0, &data)
      }
      defer { unsafe Esys_Free(data) }
      guard let data = unsafe data, unsafe data.pointee.size == 8 else {
        throw TPMError.malformedResponse("TPM2_NV_Read")
      }
      return unsafe bytes(of: data.pointee.buffer, count: 8).reduce(0) { $0 << 8 | UInt64($1) }
    }
  }
}
