package import AuditLog
package import Authenticator
internal import Platform
internal import TPM

extension DeviceRecord {
  /// What remains of a device whose keys have gone.
  var former: FormerDevice? {
    switch self {
    case .removing(let device), .decommissioned(let device): device
    case .provisioning, .sealed, .decommissioning: nil
    }
  }
}

/// The end of a device, as far as its record and its TPM go. Each of these can be done again.
extension TPMKeyStore {
  /// Writes down that the device is on its way out: from then on no start signs for a job.
  ///
  /// - Throws: ``KeyStoreError``
  package func markLeaving(in records: any DeviceRecordStore) async throws(KeyStoreError) {
    switch try await TPMKeyStore.record(records) {
    case .sealed(let device): try await TPMKeyStore.save(.decommissioning(device), records)
    case .decommissioning: break
    default: throw .failed("the device record is another than that of this device")
    }
  }

  /// Removes the device secret, the key that signs the audit log and every credential key from the state folder.
  ///
  /// - Parameters:
  ///   - end: of the audit log, signed and anchored
  ///   - anchor: of that signature
  ///   - store: where they are
  /// - Throws: ``KeyStoreError``
  package func forgetEverything(
    after end: ChainEnd, anchor: UInt64, in store: any FormerDeviceStore
  ) async throws(KeyStoreError) {
    let former = FormerDevice(
      parentHandle: device.parentHandle, parentName: device.parentName, indices: device.indices,
      auditKey: auditKey.publicKey, firstAnchor: auditKey.firstAnchor, anchor: anchor, sequence: end.sequence,
      hash: end.hash)
    do throws(StoreError) {
      try await store.removeEverything(leaving: DeviceRecord.removing(former).encoded())
    } catch {
      throw .unavailable("the credentials cannot be removed: \(error)")
    }
  }
}
