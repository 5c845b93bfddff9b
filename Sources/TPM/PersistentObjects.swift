internal import CTSS

extension TPMContext {
  /// Gives a loaded object a persistent handle (TPM2_EvictControl): wears non-volatile memory. Needs the owner's
  /// authorization.
  ///
  /// - Parameters:
  ///   - object: a transient object
  ///   - handle: free, in the owner's range
  ///   - session: authorizes
  /// - Returns: a reference to the persistent object; the transient one stays
  /// - Throws: ``TPMError``
  package mutating func makePersistent(
    _ object: TPMReference, at handle: UInt32, session: TPMSession
  ) throws(TPMError) -> TPMReference {
    var persistent = ESYS_TR_NONE
    try unsafe check("TPM2_EvictControl") { esys in
      unsafe Esys_EvictControl(
        esys, ESYS_TR_RH_OWNER, object.raw, session.raw, noSession, noSession, handle, &persistent)
    }
    return TPMReference(raw: persistent)
  }

  /// Takes a persistent object out of the TPM (TPM2_EvictControl) and forgets the reference: wears non-volatile memory.
  /// Needs the owner's authorization.
  ///
  /// - Parameters:
  ///   - object: a persistent object
  ///   - handle: its own
  ///   - session: authorizes
  /// - Throws: ``TPMError``
  package mutating func removePersistent(
    _ object: TPMReference, at handle: UInt32, session: TPMSession
  ) throws(TPMError) {
    var none = ESYS_TR_NONE
    try unsafe check("TPM2_EvictControl") { esys in
      unsafe Esys_EvictControl(
        esys, ESYS_TR_RH_OWNER, object.raw, session.raw, noSession, noSession, handle, &none)
    }
  }
}

extension TPMContext {
  /// Objects that could be made persistent now (TPM_PT_HR_PERSISTENT_AVAIL).
  ///
  /// - Throws: ``TPMError``
  package mutating func persistentSlots() throws(TPMError) -> Int {
    Int(try property(cs_pt_persistent_available) ?? 0)
  }
}
