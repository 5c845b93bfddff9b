internal import CTSS
package import Secrets

/// An object as it leaves the TPM: public, and private wrapped by its parent.
package struct WrappedObject: Equatable, Sendable {
  /// TPMT_PUBLIC, without a size before it.
  package let publicArea: [UInt8]
  /// The content of TPM2B_PRIVATE.
  package let privateArea: [UInt8]

  package init(publicArea: [UInt8], privateArea: [UInt8]) {
    self.publicArea = publicArea
    self.privateArea = privateArea
  }
}

/// The public half of a signing key; big-endian integers padded to the size of curve or modulus.
package enum TPMPublicKey: Equatable, Sendable {
  case ecc(TPMKeyKind, x: [UInt8], y: [UInt8])
  case rsa(modulus: [UInt8], exponent: UInt32)
}

extension TPMContext {
  /// The owner's authorization value, for the commands below that say so. Stays in the context until its end.
  ///
  /// - Throws: ``TPMError``
  package mutating func setOwnerAuthorization(_ value: borrowing SecretBytes) throws(TPMError) {
    try setAuthorization(of: TPMReference(raw: ESYS_TR_RH_OWNER), to: value)
  }

  /// Creates the TCG storage root key and makes it persistent. Needs the owner's authorization.
  ///
  /// - Parameters:
  ///   - handle: a free persistent handle
  ///   - session: authorizes
  /// - Throws: ``TPMError``
  package mutating func createStorageRoot(at handle: UInt32, session: TPMSession) throws(TPMError) {
    var template = TPM2B_PUBLIC()
    template.publicArea = publicAreaForStorageRoot()
    var sensitive = TPM2B_SENSITIVE_CREATE()
    var outside = TPM2B_DATA()
    var selection = TPML_PCR_SELECTION()
    var primary = ESYS_TR_NONE
    try unsafe check("TPM2_CreatePrimary") { esys in
      unsafe Esys_CreatePrimary(
        esys, ESYS_TR_RH_OWNER, session.raw, noSession, noSession, &sensitive, &template, &outside, &selection,
        &primary, nil, nil, nil, nil)
    }
    defer { release(TPMReference(raw: primary)) }
    var persistent = ESYS_TR_NONE
    try unsafe check("TPM2_EvictControl") { esys in
      unsafe Esys_EvictControl(
        esys, ESYS_TR_RH_OWNER, primary, session.raw, noSession, noSession, handle, &persistent)
    }
    forget(TPMReference(raw: persistent))
  }

  /// Removes a persistent object. Needs the owner's authorization.
  ///
  /// - Throws: ``TPMError``
  package mutating func removePersistent(at handle: UInt32, session: TPMSession) throws(TPMError) {
    guard let reference = try reference(to: handle) else { return }
    try removePersistent(reference, at: handle, session: session)
  }

  /// Whether a loaded object is a restricted, fixed decryption key.
  ///
  /// - Throws: ``TPMError``
  package mutating func isStorageKey(_ reference: TPMReference) throws(TPMError) -> Bool {
    var area: UnsafeMutablePointer<TPM2B_PUBLIC>?
    try unsafe check("TPM2_ReadPublic") { esys in
      unsafe Esys_ReadPublic(esys, reference.raw, noSession, noSession, noSession, &area, nil, nil)
    }
    defer { unsafe Esys_Free(area) }
    guard let area = unsafe area else { return false }
    return unsafe TPM.isStorageKey(area.pointee.publicArea)
  }

  /// Seals up to 128 bytes.
  ///
  /// - Parameters:
  ///   - data: the secret
  ///   - parent: a storage key with an empty authorization value
  ///   - session: authorizes; encrypt the command's parameter with it
  ///   - policy: an authPolicy that alone lets it be used; nil for none
  /// - Returns: the sealed object, not loaded
  /// - Throws: ``TPMError``
  package mutating func seal(
    _ data: borrowing SecretBytes, under parent: TPMReference, session: TPMSession, policy: [UInt8]? = nil
  ) throws(TPMError) -> WrappedObject {
    var sensitive = TPM2B_SENSITIVE_CREATE()
    defer { wipe(&sensitive) }
    data.reveal { span in
      sensitive.sensitive.data.size = UInt16(span.count)
      fill(&sensitive.sensitive.data.buffer, from: span)
    }
    var area = publicAreaForSealedData()
    if let policy { bind(&area, to: policy) }
    return try create(area, &sensitive, under: parent, session: session).wrapped
  }

  /// Creates a signing key inside the TPM.
  ///
  /// - Parameters:
  ///   - kind: which
  ///   - parent: a storage key with an empty authorization value
  ///   - session: authorizes; encrypt the command's parameter with it
  ///   - authorization: the new key's authorization value, at most 32 bytes
  ///   - policy: an authPolicy that alone lets it sign; nil where its authorization value does
  /// - Returns: the key, not loaded, and its public half
  /// - Throws: ``TPMError``
  package mutating func createKey(
    _ kind: TPMKeyKind, under parent: TPMReference, session: TPMSession, authorization: borrowing SecretBytes,
    policy: [UInt8]? = nil
  ) throws(TPMError) -> (wrapped: WrappedObject, publicKey: TPMPublicKey) {
    var sensitive = TPM2B_SENSITIVE_CREATE()
    defer { wipe(&sensitive) }
    authorization.reveal { span in
      sensitive.sensitive.userAuth.size = UInt16(span.count)
      fill(&sensitive.sensitive.userAuth.buffer, from: span)
    }
    var template = publicArea(for: kind)
    if let policy { bind(&template, to: policy) }
    let (wrapped, area) = try create(template, &sensitive, under: parent, session: session)
    guard let publicKey = publicKey(kind, of: area) else { throw TPMError.malformedResponse("TPM2_Create") }
    return (wrapped, publicKey)
  }

  /// tpm2-tss keeps a copy of the sensitive input, in case that it has to submit the command again. A command without
  /// a parent overwrites the copy with zeros before it fails, and never reaches the TPM.
  private mutating func overwriteSensitiveInput() {
    var sensitive = TPM2B_SENSITIVE_CREATE()
    var template = TPM2B_PUBLIC()
    var outside = TPM2B_DATA()
    var selection = TPML_PCR_SELECTION()
    unsafe _ = Esys_Create_Async(
      esys, ESYS_TR_NONE, ESYS_TR_PASSWORD, noSession, noSession, &sensitive, &template, &outside, &selection)
  }

  mutating func create(
    _ template: TPMT_PUBLIC, _ sensitive: inout TPM2B_SENSITIVE_CREATE, under parent: TPMReference,
    session: TPMSession
  ) throws(TPMError) -> (wrapped: WrappedObject, area: TPMT_PUBLIC) {
    var templateWithSize = TPM2B_PUBLIC()
    templateWithSize.publicArea = template
    var outside = TPM2B_DATA()
    var selection = TPML_PCR_SELECTION()
    var outPrivate: UnsafeMutablePointer<TPM2B_PRIVATE>?
    var outPublic: UnsafeMutablePointer<TPM2B_PUBLIC>?
    defer { overwriteSensitiveInput() }
    try unsafe check("TPM2_Create") { esys in
      unsafe Esys_Create(
        esys, parent.raw, session.raw, noSession, noSession, &sensitive, &templateWithSize, &outside, &selection,
        &outPrivate, &outPublic, nil, nil, nil)
    }
    defer {
      unsafe Esys_Free(outPrivate)
      unsafe Esys_Free(outPublic)
    }
    guard let outPrivate = unsafe outPrivate, let outPublic = unsafe outPublic else {
      throw TPMError.malformedResponse("TPM2_Create")
    }
    let area = unsafe outPublic.pointee.publicArea
    let wrapped = unsafe WrappedObject(
      publicArea: try marshal(area),
      privateArea: bytes(of: outPrivate.pointee.buffer, count: Int(outPrivate.pointee.size)))
    return (wrapped, area)
  }

  /// Loads an object. Authorizes with the parent's empty value, in the clear: there is nothing to hide.
  ///
  /// - Throws: ``TPMError``
  package mutating func load(_ object: WrappedObject, under parent: TPMReference) throws(TPMError) -> TPMReference {
    var inPublic = TPM2B_PUBLIC()
    inPublic.publicArea = try unmarshal(object.publicArea)
    var inPrivate = TPM2B_PRIVATE()
    guard object.privateArea.count <= MemoryLayout.size(ofValue: inPrivate.buffer) else {
      throw TPMError(operation: "TPM2_Load", code: cs_layer_mu | UInt32(TSS2_BASE_RC_BAD_SIZE))
    }
    inPrivate.size = UInt16(object.privateArea.count)
    fill(&inPrivate.buffer, from: object.privateArea.span)
    var raw = ESYS_TR_NONE
    try unsafe check("TPM2_Load") { esys in
      unsafe Esys_Load(esys, parent.raw, ESYS_TR_PASSWORD, noSession, noSession, &inPrivate, &inPublic, &raw)
    }
    return TPMReference(raw: raw)
  }

  /// Reads sealed data into locked memory.
  ///
  /// - Parameters:
  ///   - object: sealed data that is loaded
  ///   - session: authorizes; encrypt the response's parameter with it
  /// - Returns: the data
  /// - Throws: ``TPMError``, or `SecretMemoryError`
  package mutating func unseal(_ object: TPMReference, session: TPMSession) throws -> SecretBytes {
    var data: UnsafeMutablePointer<TPM2B_SENSITIVE_DATA>?
    try unsafe check("TPM2_Unseal") { esys in
      unsafe Esys_Unseal(esys, object.raw, session.raw, noSession, noSession, &data)
    }
    guard let data = unsafe data else { throw TPMError.malformedResponse("TPM2_Unseal") }
    defer {
      unsafe wipe(&data.pointee)
      unsafe Esys_Free(data)
    }
    let count = unsafe Int(data.pointee.size)
    guard count > 0 else { throw TPMError.malformedResponse("TPM2_Unseal") }
    return try SecretBytes(count: count) { output in
      unsafe withUnsafeBytes(of: &data.pointee.buffer) { source in
        for index in 0..<count { unsafe output[index] = source[index] }
      }
    }
  }

  /// Gives the context the authorization value of an object for the duration of `body`.
  ///
  /// - Throws: ``TPMError``
  mutating func withAuthorization<Result>(
    of reference: TPMReference, _ value: borrowing SecretBytes,
    _ body: (inout TPMContext) throws(TPMError) -> Result
  ) throws(TPMError) -> Result {
    try setAuthorization(of: reference, to: value)
    defer { forgetAuthorization(of: reference) }
    return try body(&self)
  }

  /// tpm2-tss copies the whole structure, so that zeros overwrite what it kept.
  mutating func forgetAuthorization(of reference: TPMReference) {
    var empty = TPM2B_AUTH()
    unsafe _ = Esys_TR_SetAuth(esys, reference.raw, &empty)
  }

  mutating func setAuthorization(
    of reference: TPMReference, to value: borrowing SecretBytes
  ) throws(TPMError) {
    var authorization = TPM2B_AUTH()
    defer { wipe(&authorization) }
    guard value.count <= MemoryLayout.size(ofValue: authorization.buffer) else {
      throw TPMError(operation: "Esys_TR_SetAuth", code: cs_layer_mu | UInt32(TSS2_BASE_RC_BAD_SIZE))
    }
    value.reveal { span in
      authorization.size = UInt16(span.count)
      fill(&authorization.buffer, from: span)
    }
    try unsafe check("Esys_TR_SetAuth") { esys in unsafe Esys_TR_SetAuth(esys, reference.raw, &authorization) }
  }
}

extension WrappedObject {
  /// The public half of a P-256 key; nil where it is another object.
  package var eccP256PublicKey: TPMPublicKey? {
    guard let area = try? unmarshal(publicArea) else { return nil }
    return publicKey(.eccP256, of: area)
  }
}

private func publicKey(_ kind: TPMKeyKind, of area: TPMT_PUBLIC) -> TPMPublicKey? {
  switch kind {
  case .eccP256, .eccP384:
    let size = kind == .eccP256 ? 32 : 48
    guard area.type == TPM2_ALG_ID(TPM2_ALG_ECC) else { return nil }
    let point = unsafe area.unique.ecc
    let x = bytes(of: point.x.buffer, count: Int(point.x.size))
    let y = bytes(of: point.y.buffer, count: Int(point.y.size))
    guard x.count <= size, y.count <= size else { return nil }
    // Some TPMs drop leading zeros.
    return .ecc(kind, x: padded(x, to: size), y: padded(y, to: size))
  case .rsa2048:
    guard area.type == TPM2_ALG_ID(TPM2_ALG_RSA) else { return nil }
    let modulus = unsafe bytes(of: area.unique.rsa.buffer, count: Int(area.unique.rsa.size))
    guard modulus.count == 256 else { return nil }
    let exponent = unsafe area.parameters.rsaDetail.exponent
    return .rsa(modulus: modulus, exponent: exponent == 0 ? 65_537 : exponent)
  }
}

private func padded(_ bytes: [UInt8], to size: Int) -> [UInt8] {
  [UInt8](repeating: 0, count: size - bytes.count) + bytes
}

func marshal(_ area: TPMT_PUBLIC) throws(TPMError) -> [UInt8] {
  var area = area
  var buffer = [UInt8](repeating: 0, count: MemoryLayout<TPMT_PUBLIC>.size)
  var offset = 0
  let status = unsafe Tss2_MU_TPMT_PUBLIC_Marshal(&area, &buffer, buffer.count, &offset)
  guard status == 0 else { throw TPMError(operation: "Tss2_MU_TPMT_PUBLIC_Marshal", code: status) }
  return Array(buffer.prefix(offset))
}

func unmarshal(_ bytes: [UInt8]) throws(TPMError) -> TPMT_PUBLIC {
  var area = TPMT_PUBLIC()
  var offset = 0
  let status = unsafe Tss2_MU_TPMT_PUBLIC_Unmarshal(bytes, bytes.count, &offset, &area)
  guard status == 0, offset == bytes.count else {
    throw TPMError(
      operation: "Tss2_MU_TPMT_PUBLIC_Unmarshal", code: max(status, cs_layer_mu | UInt32(TSS2_BASE_RC_BAD_SIZE)))
  }
  return area
}
