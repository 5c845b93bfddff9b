internal import CTSS

extension TPMContext {
  /// Handles that the TPM holds, from `first` on: 0x80 transient objects, 0x02 loaded sessions, 0x03 saved sessions,
  /// 0x81 persistent objects, 0x01 NV indices (in the upper byte).
  ///
  /// - Throws: ``TPMError``
  package mutating func handles(from first: UInt32) throws(TPMError) -> [UInt32] {
    var found: [UInt32] = []
    var next = first
    while true {
      let (data, more) = try capability(UInt32(TPM2_CAP_HANDLES), next, count: cs_max_handles)
      let list = unsafe data.handles
      let page = elements(of: list.handle, as: TPM2_HANDLE.self, count: Int(list.count))
      found += page
      guard more, let last = page.last, last >> 24 == first >> 24, last < UInt32.max else { break }
      next = last + 1
    }
    return found.filter { $0 >> 24 == first >> 24 }
  }

  /// Values of TPM_PT properties, from `first` on, without those that the TPM does not know: one command, unless it
  /// answers in pieces.
  ///
  /// - Throws: ``TPMError``
  mutating func properties(from first: UInt32, count: UInt32) throws(TPMError) -> [UInt32: UInt32] {
    var found: [UInt32: UInt32] = [:]
    var next = first
    while true {
      let (data, more) = try capability(UInt32(TPM2_CAP_TPM_PROPERTIES), next, count: first + count - next)
      let list = unsafe data.tpmProperties
      let page = elements(of: list.tpmProperty, as: TPMS_TAGGED_PROPERTY.self, count: Int(list.count))
      for one in page { found[one.property] = one.value }
      // Whatever it answers, it ends. More there is always, of those that were not asked for.
      guard more, let last = page.last?.property, last >= next, last < first + count - 1 else { return found }
      next = last + 1
    }
  }

  /// The value of one; nil where the TPM does not know it.
  ///
  /// - Throws: ``TPMError``
  package mutating func property(_ property: UInt32) throws(TPMError) -> UInt32? {
    try properties(from: property, count: 1)[property]
  }

  /// The algorithms (TPM_ALG_ID) that the TPM implements: one command, unless it answers in pieces.
  ///
  /// - Throws: ``TPMError``
  mutating func algorithms() throws(TPMError) -> Set<UInt16> {
    try pages(UInt32(TPM2_CAP_ALGS), from: UInt32(TPM2_ALG_FIRST)) { data in
      let list = unsafe data.algorithms
      return elements(of: list.algProperties, as: TPMS_ALG_PROPERTY.self, count: Int(list.count)).map(\.alg)
    }
  }

  /// The curves (TPM_ECC_CURVE) that the TPM implements: one command, unless it answers in pieces.
  ///
  /// - Throws: ``TPMError``
  mutating func curves() throws(TPMError) -> Set<UInt16> {
    try pages(UInt32(TPM2_CAP_ECC_CURVES), from: 1) { data in
      let list = unsafe data.eccCurves
      return elements(of: list.eccCurves, as: TPM2_ECC_CURVE.self, count: Int(list.count))
    }
  }

  private mutating func pages(
    _ kind: UInt32, from first: UInt32, _ values: (TPMU_CAPABILITIES) -> [UInt16]
  ) throws(TPMError) -> Set<UInt16> {
    var found: Set<UInt16> = []
    var next = first
    while true {
      let (data, more) = try capability(kind, next, count: 64)
      let page = values(data)
      found.formUnion(page)
      // Whatever it answers, it ends.
      guard more, let last = page.last.map(UInt32.init), last >= next else { return found }
      next = last + 1
    }
  }

  /// Overwrites what tpm2-tss keeps of the last response in its one buffer, which it neither wipes nor lends, with a
  /// longer one that is no secret.
  ///
  /// - Throws: ``TPMError``
  package mutating func overwriteResponse() throws(TPMError) {
    _ = try capability(UInt32(TPM2_CAP_ALGS), UInt32(TPM2_ALG_FIRST), count: 64)
  }

  private mutating func capability(
    _ capability: UInt32, _ property: UInt32, count: UInt32
  ) throws(TPMError) -> (data: TPMU_CAPABILITIES, more: Bool) {
    var more: TPMI_YES_NO = 0
    var data: UnsafeMutablePointer<TPMS_CAPABILITY_DATA>?
    try unsafe check("TPM2_GetCapability") { esys in
      unsafe Esys_GetCapability(esys, noSession, noSession, noSession, capability, property, count, &more, &data)
    }
    defer { unsafe Esys_Free(data) }
    guard let data = unsafe data else { throw TPMError.malformedResponse("TPM2_GetCapability") }
    return unsafe (data.pointee.data, more != 0)
  }
}

/// Who made the TPM, as it says itself.
package struct TPMIdentity: Equatable, Sendable {
  /// TPM_PT_MANUFACTURER: four characters, e.g. `IFX` or `IBM`.
  package let manufacturer: String
  /// TPM_PT_VENDOR_STRING_1 to 4, e.g. `SLB9670` or `SW   TPM`.
  package let vendor: String
  /// TPM_PT_FIRMWARE_VERSION_1 and 2, in the vendor's own sense.
  package let firmwareVersion: UInt64
  /// TPM_PT_HR_TRANSIENT_MIN: transient objects that it can hold at the same time at least.
  package let transientSlots: Int
}

extension TPMContext {
  /// All of it in one command.
  ///
  /// - Throws: ``TPMError``
  package mutating func identity() throws(TPMError) -> TPMIdentity {
    let values = try properties(from: cs_pt_manufacturer, count: cs_pt_transient_min - cs_pt_manufacturer + 1)
    let vendor = (0..<4).map { text(values[cs_pt_vendor_string + $0] ?? 0) }.joined()
    return TPMIdentity(
      manufacturer: text(values[cs_pt_manufacturer] ?? 0), vendor: vendor,
      firmwareVersion: UInt64(values[cs_pt_firmware_1] ?? 0) << 32 | UInt64(values[cs_pt_firmware_2] ?? 0),
      transientSlots: Int(values[cs_pt_transient_min] ?? 3))
  }

  /// How many more transient objects the TPM could take now.
  ///
  /// - Throws: ``TPMError``
  package mutating func availableSlots() throws(TPMError) -> Int {
    Int(try property(cs_pt_transient_available) ?? 3)
  }

  private func text(_ value: UInt32) -> String {
    let bytes = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    return String(decoding: bytes.filter { $0 >= 0x20 && $0 < 0x7F }, as: UTF8.self)
  }
}

/// What the TPM says of its own state (TPM 2.0 Library, part 2, section 6.13: the variable properties).
package struct TPMHealth: Equatable, Sendable {
  /// Failures counted for dictionary-attack protection now.
  package let lockoutCounter: UInt32
  /// Failures at which it locks.
  package let maximumFailures: UInt32
  /// Seconds after which one failure is forgotten; 0 where they never are.
  package let lockoutInterval: UInt32
  /// Whether authorizations that are subject to it are refused now.
  package let isInLockout: Bool
  /// Whether the owner hierarchy has an authorization.
  package let isOwnerAuthorized: Bool
  /// Transient objects that could be loaded now; behind a resource manager, of this connection.
  package let transientSlots: UInt32
  /// Objects that could be made persistent now.
  package let persistentSlots: UInt32
  /// Counters that could be defined now.
  package let counterSlots: UInt32
}

extension TPMContext {
  /// All of it in one command. A property that the TPM leaves out counts as 0.
  ///
  /// - Throws: ``TPMError``
  package mutating func health() throws(TPMError) -> TPMHealth {
    let values = try properties(from: cs_pt_variable, count: 32)
    let permanent = values[cs_pt_permanent] ?? 0
    return TPMHealth(
      lockoutCounter: values[cs_pt_lockout_counter] ?? 0, maximumFailures: values[cs_pt_max_auth_fail] ?? 0,
      lockoutInterval: values[cs_pt_lockout_interval] ?? 0,
      isInLockout: permanent & UInt32(TPMA_PERMANENT_INLOCKOUT) != 0,
      isOwnerAuthorized: permanent & UInt32(TPMA_PERMANENT_OWNERAUTHSET) != 0,
      transientSlots: values[cs_pt_transient_available] ?? 0,
      persistentSlots: values[cs_pt_persistent_available] ?? 0, counterSlots: values[cs_pt_counters_available] ?? 0)
  }
}

/// What the TPM says of its boots (TPM 2.0 Library, part 2, section 10.11.1, TPMS_CLOCK_INFO).
package struct TPMBoots: Equatable, Sendable {
  /// TPM resets (power lost, or the machine booted) since the TPM was last cleared.
  package let resetCount: UInt32
  /// Restarts and resumes since the last reset.
  package let restartCount: UInt32
  /// Whether no clock value was ever repeated: not after a loss of power without an orderly shutdown, for a while.
  package let isClockSafe: Bool
}

extension TPMContext {
  /// One command.
  ///
  /// - Throws: ``TPMError``
  package mutating func boots() throws(TPMError) -> TPMBoots {
    var time: UnsafeMutablePointer<TPMS_TIME_INFO>?
    try unsafe check("TPM2_ReadClock") { esys in
      unsafe Esys_ReadClock(esys, noSession, noSession, noSession, &time)
    }
    defer { unsafe Esys_Free(time) }
    guard let clock = unsafe time?.pointee.clockInfo else { throw TPMError.malformedResponse("TPM2_ReadClock") }
    return TPMBoots(resetCount: clock.resetCount, restartCount: clock.restartCount, isClockSafe: clock.safe != 0)
  }
}

/// The first `count` elements of an array inside a C structure, which Swift sees as a tuple.
func elements<Array_, Element>(of array: Array_, as type: Element.Type, count: Int) -> [Element] {
  unsafe withUnsafeBytes(of: array) { unsafe Array($0.bindMemory(to: type).prefix(count)) }
}
