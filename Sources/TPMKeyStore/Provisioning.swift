internal import Attestation
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
  static let indices: ClosedRange<UInt32> = 0x0180_C500...0x0180_C5FF
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

  /// The first three indices of our range where nothing is defined.
  ///
  /// - Parameter tag: of what will be there
  /// - Returns: their numbers
  /// - Throws: ``KeyStoreError``
  func freeIndices(tag: [UInt8]) throws(KeyStoreError) -> IndexPlaces {
    let taken = try withTPM { tpm throws in
      try tpm.withContext { context throws(TPMError) in try context.handles(from: TPMPlaces.indices.lowerBound) }
    }
    let free = TPMPlaces.indices.filter { !taken.contains($0) }
    guard free.count >= 3 else {
      throw .failed(
        "the TPM has no three free NV indices in Countersign's range: remove unused ones with tpm2_nvundefine")
    }
    return IndexPlaces(counter: free[0], retries: free[1], anchor: free[2], tag: tag)
  }

  /// Makes the counter, the retry record, the audit log's anchor and key, and the device secret.
  ///
  /// - Throws: ``KeyStoreError``
  func provision(
    parent: ParentIdentity, indices: IndexPlaces, boot: BootPolicy?
  ) throws(KeyStoreError) -> (device: SealedDevice, payload: SealedPayload) {
    try require(parent)
    return try withTPM { tpm throws in
      let authorization = SharedSecret(try SecretBytes.random(count: SealedPayload.indexAuthorizationCount))
      let counter = indices.counter(authorization)
      let retries = indices.retries(authorization)
      let anchor = indices.anchor(authorization)
      // Where the connection broke after the first try had defined them, they are ours, with an authorization that is
      // lost.
      try tpm.remove(indices)
      for index in [counter, retries, anchor] { try tpm.define(index) }
      try tpm.write(RetryRecord(), to: retries, isNew: true)
      let counterBase = try tpm.advance(counter, isNew: true)
      let auditKey = try tpm.createAttestationKey(authorization: authorization)
      let firstAnchor = try tpm.advance(anchor, isNew: true)
      let payload = SealedPayload(
        secret: DeviceSecret(try SecretBytes.random(count: DeviceSecret.count)), indexAuthorization: authorization,
        counterBase: counterBase,
        surroundings: SealedDevice.surroundings(indices, auditKey, firstAnchor: firstAnchor))
      let device = SealedDevice(
        parentHandle: parent.handle, parentName: parent.name, indices: indices,
        secret: try tpm.seal(try payload.encoded(), policy: boot?.authorizedPolicy), auditKey: auditKey,
        firstAnchor: firstAnchor, boot: boot)
      return (device, payload)
    }
  }

  /// Removes the indices that an interrupted start has left, those that are ours.
  ///
  /// - Throws: ``KeyStoreError``
  func remove(_ indices: IndexPlaces) throws(KeyStoreError) {
    try withTPM { tpm throws in try tpm.remove(indices) }
  }

  /// Opens the device secret, through the gate where it is bound, and checks that its counter is there and has not gone backwards, and that its retry record
  /// and the audit log's anchor are there.
  ///
  /// - Throws: ``KeyStoreError``
  func unseal(_ device: SealedDevice, through gate: BootGate?) throws(KeyStoreError) -> SealedPayload {
    let payload = try withTPM { tpm throws in
      guard let payload = try SealedPayload.decode(try tpm.unseal(device.secret, through: gate).bytes) else {
        throw KeyStoreError.failed("the device record does not hold a device secret")
      }
      return payload
    }
    guard payload.surroundings == device.surroundings else {
      throw .failed(
        "the device record has been altered: it names other NV indices, another audit key or another first anchor than "
          + "were sealed with the device secret; restore the state folder from a backup")
    }
    let counter = try read(device.indices.counter(payload.indexAuthorization), notBelow: payload.counterBase)
    _ = try readRecord(device.indices.retries(payload.indexAuthorization))
    let anchor = device.indices.anchor(payload.indexAuthorization)
    let anchored = try readAnchor(anchor)
    guard anchored >= device.firstAnchor else { throw anchor.isAnother }
    board.noteWrites {
      $0.signatureCounter = counter - payload.counterBase
      $0.auditAnchor = anchored - device.firstAnchor
    }
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

  func remove(_ indices: IndexPlaces) throws(TPMError) {
    let parent = parentIfKnown
    try withContext { context throws(TPMError) in
      // Whatever the record says, nobody else's.
      for index in indices.all where TPMPlaces.indices.contains(index) {
        guard let information = try context.informationOnIndex(index), information.tag == indices.tag else { continue }
        try context.withSession(saltedWith: parent, encrypting: []) { context, session throws(TPMError) in
          try context.undefineIndex(index, session: session)
        }
      }
    }
  }

  fileprivate func define(_ index: NVIndex) throws(TPMError) {
    let parent = try requireParent()
    try withContext { context throws(TPMError) in
      try context.withSession(saltedWith: parent, encrypting: .command) { context, session throws(TPMError) in
        try context.defineIndex(
          index.role.kind, at: index.number, tag: index.tag, authorization: index.authorization.bytes,
          session: session)
      }
    }
  }
}
