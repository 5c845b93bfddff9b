internal import CTSS
package import Secrets

/// What an NV index of ours holds. Each kind has attributes of its own, and no others will do: read and written with the
/// index's own authorization value, which is no subject of dictionary-attack protection, and not ORDERLY, so that every
/// change is in non-volatile memory before the TPM answers.
package enum NVIndexKind: Equatable, Sendable {
  /// A number of 64 bits that only grows.
  case counter
  /// So many bytes.
  case data(count: Int)

  private static let common = UInt32(TPMA_NV_AUTHREAD) | UInt32(TPMA_NV_AUTHWRITE) | UInt32(TPMA_NV_NO_DA)
  private static let counterAttributes = common | UInt32(TPM2_NT_COUNTER) << UInt32(TPMA_NV_TPM2_NT_SHIFT)
  private static let dataAttributes = common | UInt32(TPM2_NT_ORDINARY) << UInt32(TPMA_NV_TPM2_NT_SHIFT)

  fileprivate var attributes: UInt32 { self == .counter ? Self.counterAttributes : Self.dataAttributes }

  fileprivate var count: Int {
    switch self {
    case .counter: 8
    case .data(let count): count
    }
  }

  /// nil for every index that ``TPMContext/defineIndex(_:at:tag:authorization:session:)`` would not have made.
  fileprivate init?(_ area: TPMS_NV_PUBLIC) {
    let count = Int(area.dataSize)
    let kind: NVIndexKind
    switch area.attributes & ~UInt32(TPMA_NV_WRITTEN) {
    case Self.counterAttributes: kind = .counter
    case Self.dataAttributes: kind = .data(count: count)
    default: return nil
    }
    guard count == kind.count, area.nameAlg == TPM2_ALG_ID(TPM2_ALG_SHA256) else { return nil }
    self = kind
  }
}

extension NVIndexKind {
  /// The public area of an index of this kind.
  fileprivate func area(at index: UInt32, tag: [UInt8], isWritten: Bool) -> TPMS_NV_PUBLIC {
    var area = TPMS_NV_PUBLIC()
    area.nvIndex = index
    area.nameAlg = TPM2_ALG_ID(TPM2_ALG_SHA256)
    area.attributes = attributes | (isWritten ? UInt32(TPMA_NV_WRITTEN) : 0)
    area.authPolicy.size = UInt16(tag.count)
    fill(&area.authPolicy.buffer, from: tag.span)
    area.dataSize = UInt16(count)
    return area
  }

  /// The same as the TPM hashes it for the index's Name (TPM 2.0 Library, part 1, section 16).
  ///
  /// - Throws: ``TPMError``
  package func publicArea(at index: UInt32, tag: [UInt8], isWritten: Bool) throws(TPMError) -> [UInt8] {
    var area = area(at: index, tag: tag, isWritten: isWritten)
    var buffer = [UInt8](repeating: 0, count: MemoryLayout<TPMS_NV_PUBLIC>.size)
    var offset = 0
    let status = unsafe Tss2_MU_TPMS_NV_PUBLIC_Marshal(&area, &buffer, buffer.count, &offset)
    guard status == 0 else { throw TPMError(operation: "Tss2_MU_TPMS_NV_PUBLIC_Marshal", code: status) }
    return Array(buffer.prefix(offset))
  }
}

/// The public area of an NV index, as far as it matters here.
package struct NVIndexInformation: Equatable, Sendable {
  /// nil where it is of no kind of ours.
  package let kind: NVIndexKind?
  /// Whether it has a value (TPMA_NV_WRITTEN).
  package let isWritten: Bool
  /// An authorization policy that nobody can satisfy, or nothing. Countersign puts a random tag here: it tells an
  /// index of ours from everybody else's.
  package let tag: [UInt8]
}

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
    return NVIndexInformation(
      kind: NVIndexKind(information), isWritten: information.attributes & UInt32(TPMA_NV_WRITTEN) != 0,
      tag: bytes(of: information.authPolicy.buffer, count: Int(information.authPolicy.size)))
  }

  /// Defines an index that is read and written with its own authorization value. Needs the owner's authorization.
  /// It has no value before the first write. A counter's first increment makes it greater than every counter that this
  /// TPM has ever held (TPM 2.0 Library, part 3, TPM2_NV_Increment), those that were removed included; data has no such
  /// memory.
  ///
  /// - Parameters:
  ///   - kind: what it will hold
  ///   - index: a free NV index
  ///   - tag: 32 bytes that make it recognisable
  ///   - authorization: of the new index
  ///   - session: authorizes; encrypt the command's parameter with it
  /// - Throws: ``TPMError``
  package mutating func defineIndex(
    _ kind: NVIndexKind, at index: UInt32, tag: [UInt8], authorization: borrowing SecretBytes, session: TPMSession
  ) throws(TPMError) {
    var value = TPM2B_AUTH()
    defer { wipe(&value) }
    authorization.reveal { span in
      value.size = UInt16(span.count)
      fill(&value.buffer, from: span)
    }
    var area = TPM2B_NV_PUBLIC()
    area.nvPublic = kind.area(at: index, tag: tag, isWritten: false)
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
    try readIndex(counter, count: 8, authorization: authorization).reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// Writes an index of data as a whole: one command, of which the TPM does all or nothing.
  ///
  /// - Throws: ``TPMError``
  package mutating func writeIndex(
    _ index: TPMReference, _ data: [UInt8], authorization: borrowing SecretBytes
  ) throws(TPMError) {
    var input = TPM2B_MAX_NV_BUFFER()
    guard data.count <= MemoryLayout.size(ofValue: input.buffer) else {
      throw TPMError(operation: "TPM2_NV_Write", code: cs_layer_mu | UInt32(TSS2_BASE_RC_BAD_SIZE))
    }
    input.size = UInt16(data.count)
    fill(&input.buffer, from: data.span)
    try withAuthorization(of: index, authorization) { context throws(TPMError) in
      try unsafe context.check("TPM2_NV_Write") { esys in
        unsafe Esys_NV_Write(esys, index.raw, index.raw, ESYS_TR_PASSWORD, noSession, noSession, &input, 0)
      }
    }
  }

  /// Reads an index's first bytes: one command.
  ///
  /// - Throws: ``TPMError``
  package mutating func readIndex(
    _ index: TPMReference, count: Int, authorization: borrowing SecretBytes
  ) throws(TPMError) -> [UInt8] {
    try withAuthorization(of: index, authorization) { context throws(TPMError) in
      var data: UnsafeMutablePointer<TPM2B_MAX_NV_BUFFER>?
      try unsafe context.check("TPM2_NV_Read") { esys in
        unsafe Esys_NV_Read(
          esys, index.raw, index.raw, ESYS_TR_PASSWORD, noSession, noSession, UInt16(count), 0, &data)
      }
      defer { unsafe Esys_Free(data) }
      guard let data = unsafe data, unsafe data.pointee.size == count else {
        throw TPMError.malformedResponse("TPM2_NV_Read")
      }
      return unsafe bytes(of: data.pointee.buffer, count: count)
    }
  }
}
