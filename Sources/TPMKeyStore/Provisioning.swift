internal import Authenticator
internal import Platform
internal import Secrets
internal import TPM

/// Where Countersign puts what it makes in a TPM. The handles are in the owner's ranges (TCG registry of reserved
/// handles), away from those that others use by convention.
enum TPMPlaces {
  /// The conventional storage root key: shared with others, never replaced.
  static let storageRoot: UInt32 = 0x8100_0001
  /// Where the conventional handle holds something else.
  static let ownStorageRoots: ClosedRange<UInt32> = 0x8100_C501...0x8100_C50F
  static let counters: ClosedRange<UInt32> = 0x0180_C500...0x0180_C5FF
}

/// What only the first start does.
extension TPMDevice {
  /// The storage root key: the conventional one where it serves, else one of our own.
  ///
  /// - Throws: ``KeyStoreError``
  func findOrMakeStorageRoot() throws(KeyStoreError) -> ParentIdentity {
    for handle in [TPMPlaces.storageRoot] + Array(TPMPlaces.ownStorageRoots) {
      if let parent = try storageRoot(at: handle) { return parent }
    }
    throw .failed(
      "the TPM has no storage root key that serves, and no free handle for one: remove some with tpm2_evictcontrol")
  }

  /// nil where the handle holds something that does not serve, which is left alone.
  private func storageRoot(at handle: UInt32) throws(KeyStoreError) -> ParentIdentity? {
    try withTPM { tpm throws in
      if try tpm.useParent(at: handle) == nil {
        try tpm.withContext { context throws(TPMError) in
          // Without a salt, since there is no key to salt with yet; it still keeps the owner's authorization off the bus.
          try context.withSession(saltedWith: nil, encrypting: []) { context, session throws(TPMError) in
            try context.createStorageRoot(at: handle, session: session)
          }
        }
      }
      guard let name = try tpm.useParent(at: handle), try tpm.parentServes() else {
        log.notice("TPM: handle 0x\(String(handle, radix: 16)) holds no storage key that serves; left alone")
        return nil
      }
      return ParentIdentity(handle: handle, name: name)
    }
  }

  /// The first index of our range where nothing is defined.
  ///
  /// - Throws: ``KeyStoreError``
  func freeCounterIndex() throws(KeyStoreError) -> UInt32 {
    let taken = try withTPM { tpm throws in
      try tpm.withContext { context throws(TPMError) in try context.handles(from: TPMPlaces.counters.lowerBound) }
    }
    guard let free = TPMPlaces.counters.first(where: { !taken.contains($0) }) else {
      throw .failed("the TPM has no free NV index in Countersign's range: remove unused ones with tpm2_nvundefine")
    }
    return free
  }

  /// Makes the counter and the device secret.
  ///
  /// - Throws: ``KeyStoreError``
  func provision(parent: ParentIdentity, counterIndex: UInt32, tag: [UInt8]) throws(KeyStoreError) -> SealedDevice {
    try require(parent)
    return try withTPM { tpm throws in
      let authorization = SharedSecret(try SecretBytes.random(count: SealedPayload.counterAuthorizationCount))
      // Where the connection broke after the first try had defined it, it is ours, with an authorization that is lost.
      try tpm.removeCounter(at: counterIndex, tag: tag)
      try tpm.defineCounter(at: counterIndex, tag: tag, authorization: authorization)
      let counter = NVCounter(index: counterIndex, tag: tag, authorization: authorization)
      let payload = SealedPayload(
        secret: DeviceSecret(try SecretBytes.random(count: DeviceSecret.count)), counterAuthorization: authorization,
        counterBase: try tpm.advance(counter, isNew: true))
      return SealedDevice(
        parentHandle: parent.handle, parentName: parent.name, counterIndex: counterIndex, counterTag: tag,
        secret: try tpm.seal(try payload.encoded()))
    }
  }

  /// Removes the index that an interrupted start has left, if it is that one.
  ///
  /// - Throws: ``KeyStoreError``
  func removeCounter(at index: UInt32, tag: [UInt8]) throws(KeyStoreError) {
    try withTPM { tpm throws in try tpm.removeCounter(at: index, tag: tag) }
  }

  /// Opens the device secret, and checks that its counter is there and has not gone backwards.
  ///
  /// - Throws: ``KeyStoreError``
  func unseal(_ device: SealedDevice) throws(KeyStoreError) -> SealedPayload {
    let payload = try withTPM { tpm throws in
      guard let payload = try SealedPayload.decode(try tpm.unseal(device.secret).bytes) else {
        throw KeyStoreError.failed("the device record does not hold a device secret")
      }
      return payload
    }
    _ = try read(device.counter(payload), notBelow: payload.counterBase)
    return payload
  }
}

extension OpenTPM {
  /// Whether the key in use as parent is a storage key that lets us seal.
  fileprivate func parentServes() throws -> Bool {
    let parent = try requireParent()
    guard try withContext({ context throws(TPMError) in try context.isStorageKey(parent) }) else { return false }
    do {
      _ = try seal(SharedSecret(try SecretBytes.random(count: 1)))
      return true
    } catch let error as TPMError where error.kind == .authorization {
      // Its owner gave it an authorization value.
      return false
    }
  }

  fileprivate func removeCounter(at index: UInt32, tag: [UInt8]) throws(TPMError) {
    let parent = parentIfKnown
    try withContext { context throws(TPMError) in
      guard let information = try context.informationOnIndex(index), information.tag == tag else { return }
      try context.withSession(saltedWith: parent, encrypting: []) { context, session throws(TPMError) in
        try context.undefineIndex(index, session: session)
      }
    }
  }

  fileprivate func defineCounter(at index: UInt32, tag: [UInt8], authorization: SharedSecret) throws(TPMError) {
    let parent = try requireParent()
    try withContext { context throws(TPMError) in
      try context.withSession(saltedWith: parent, encrypting: .command) { context, session throws(TPMError) in
        try context.defineCounter(at: index, tag: tag, authorization: authorization.bytes, session: session)
      }
    }
  }
}
