package import Attestation
internal import AuditLog
package import Authenticator
internal import Platform

/// A key store whose device secret the TPM may not give out: the machine has not booted as approved.
package final class WaitingKeyStore: Sendable {
  private let thread: TPMThread
  private let board: StatusBoard
  private let device: SealedDevice
  private let gate: BootGate?
  private let binding: BootBinding
  private let records: any DeviceRecordStore
  private let isLeaving: Bool
  private let log: Logger

  init(
    thread: TPMThread, board: StatusBoard, device: SealedDevice, gate: BootGate?, binding: BootBinding,
    records: any DeviceRecordStore, isLeaving: Bool, log: Logger
  ) {
    self.isLeaving = isLeaving
    self.thread = thread
    self.board = board
    self.device = device
    self.gate = gate
    self.binding = binding
    self.records = records
    self.log = log
  }

  /// Takes an approval into use.
  ///
  /// - Throws: ``EnrolmentRefusal`` where it is not for this device
  package func take(_ approval: BootApproval) throws(EnrolmentRefusal) {
    guard let gate else { return }
    try approval.check(for: gate.policy)
    gate.take(approval)
  }

  /// Unseals the device secret.
  ///
  /// - Returns: the key store, after which this is of no use, and the secret that the store needs
  /// - Throws: ``KeyStoreError``; ``KeyStoreError/bootState(_:)`` as long as the boot is not approved
  package func unlock() async throws(KeyStoreError) -> (store: TPMKeyStore, secret: DeviceSecret) {
    gate?.forget()
    let payload = try await thread.perform(for: .daemon) { [device, gate] tpm throws(KeyStoreError) in
      try tpm.require(ParentIdentity(handle: device.parentHandle, name: device.parentName))
      return try tpm.unseal(device, through: gate)
    }
    return try await open(with: payload)
  }

  /// With the secret in hand, binds it as the configuration says.
  func open(with payload: SealedPayload) async throws(KeyStoreError) -> (store: TPMKeyStore, secret: DeviceSecret) {
    var device = device
    var gate = gate
    let wanted = binding.policy(after: device.boot, random: { SystemRandom().bytes($0) })
    // What is on its way out is bound to nothing new.
    if wanted != device.boot, !isLeaving {
      device.secret = try await thread.perform(for: .daemon) { tpm throws(KeyStoreError) in
        try tpm.withTPM { tpm throws in try tpm.seal(try payload.encoded(), policy: wanted?.authorizedPolicy) }
      }
      device.boot = wanted
      try await TPMKeyStore.save(.sealed(device), records)
      gate = wanted.map { BootGate($0, []) }
      log.notice(
        wanted == nil
          ? "TPM: the device secret is bound to the machine's boot no longer"
          : "TPM: the device secret is bound to the machine's boot from now on; approvals of before do not count")
    }
    board.update {
      $0.counterIndex = device.indices.counter
      $0.retryIndex = device.indices.retries
      $0.anchorIndex = device.indices.anchor
    }
    guard let auditKey = AuditKey(device) else { throw .failed("the device record holds no audit key") }
    let store = TPMKeyStore(
      thread: thread, board: board, device: device, payload: payload, auditKey: auditKey, gate: gate,
      isLeaving: isLeaving)
    return (store, payload.secret)
  }

  /// As ``TPMKeyStore/bootReport(_:)``.
  package func bootReport() async throws(KeyStoreError) -> BootReport {
    try await thread.bootReport(gate, [])
  }

  /// Ends the TPM thread; not after ``unlock()`` has succeeded.
  package func stop() async {
    await thread.ended()
  }
}

extension WaitingKeyStore: TPMWatch {
  package var status: TPMStatus { thread.status(board) }

  package func condition() async throws(KeyStoreError) -> TPMCondition { try await thread.condition() }
}
