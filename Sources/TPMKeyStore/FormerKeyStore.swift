package import AuditLog
package import Authenticator
internal import Platform
internal import TPM

/// What is left of a decommissioned device. It has no secret and signs nothing.
package final class FormerKeyStore: TPMWatch {
  /// For everybody who asks for more.
  package static let reason =
    "this runner has been decommissioned: to begin anew, stop countersignd and its socket, move the state folder and the "
    + "audit log away, and start them"

  private let thread: TPMThread
  private let board: StatusBoard
  private let device: FormerDevice
  private let records: any DeviceRecordStore
  private let log: Logger

  init(
    thread: TPMThread, board: StatusBoard, device: FormerDevice, records: any DeviceRecordStore, log: Logger
  ) {
    self.thread = thread
    self.board = board
    self.device = device
    self.records = records
    self.log = log
  }

  package var status: TPMStatus { thread.status(board) }

  package func condition() async throws(KeyStoreError) -> TPMCondition { try await thread.condition() }

  /// What verifies the audit log; nil where the record is damaged.
  package var auditKey: AuditKey? { AuditKey(publicKey: device.auditKey, firstAnchor: device.firstAnchor) }

  /// The last record of the audit log.
  package var auditEnd: ChainEnd { ChainEnd(sequence: device.sequence, hash: device.hash) }

  /// The anchor when it was signed.
  package var anchor: UInt64 { device.anchor }

  /// Whether nothing is left to be done.
  package func isDone() async throws(KeyStoreError) -> Bool {
    if case .decommissioned = try await TPMKeyStore.record(records) { true } else { false }
  }

  /// Removes from the TPM what is left of the device there.
  ///
  /// - Throws: ``KeyStoreError``; it can be tried again
  package func finish() async throws(KeyStoreError) {
    guard try await !isDone() else { return }
    try await thread.perform(for: .daemon) { [device] tpm throws(KeyStoreError) in try tpm.remove(device) }
    try await TPMKeyStore.save(.decommissioned(device), records)
    log.notice("TPM: nothing of this device is left in it")
  }

  /// Ends the TPM thread.
  package func stop() async {
    await thread.ended()
  }
}

extension TPMDevice {
  /// Removes the indices of a former device. The storage root key goes with them only where it stands in Countersign's
  /// own range and nothing of another device is left there: the conventional one is everybody's, and neither holds
  /// anything that the owner's seed would not give again.
  fileprivate func remove(_ device: FormerDevice) throws(KeyStoreError) {
    let isOwn = TPMPlaces.ownStorageRoots.contains(device.parentHandle)
    try withTPM { tpm throws in
      let name = try tpm.useParent(at: device.parentHandle)
      // Our own has gone already where this was interrupted at its end.
      guard name == device.parentName || (name == nil && isOwn) else {
        throw KeyStoreError.unavailable(
          "this is not the TPM that this device was set up with, or it has been cleared since: put the TPM back; "
            + "where it has been cleared, nothing of this device is left in it, and the state folder can be removed")
      }
      try tpm.remove(device.indices)
      guard isOwn, name != nil else { return }
      let others = try tpm.withContext { context throws(TPMError) in
        try context.handles(from: TPMPlaces.indices.lowerBound).filter { TPMPlaces.indices.contains($0) }
      }
      guard others.isEmpty else { return }
      try tpm.withContext { context throws(TPMError) in
        try context.withSession(saltedWith: nil, encrypting: []) { context, session throws(TPMError) in
          try context.removePersistent(at: device.parentHandle, session: session)
        }
      }
    }
  }
}
