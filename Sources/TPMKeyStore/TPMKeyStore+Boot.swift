package import Attestation
internal import AuditLog
package import Authenticator
internal import Platform
internal import Policy
internal import TPM

/// The boot state: what the operator sees of it, and keys that are bound to it.
extension TPMKeyStore {
  /// Whether the device secret is bound to the machine's boot.
  package var isBoundToBoot: Bool { gate != nil }

  /// Whether the TPM checks the machine's boot at each signature with a key.
  package static func checksBoot(for key: CredentialKey) -> Bool { KeyBlob.decode(key.blob)?.policy != nil }

  /// What the TPM says of the boot.
  ///
  /// - Parameter pcrs: those to look at where nothing is bound
  /// - Returns: their values, and whether they are approved
  /// - Throws: ``KeyStoreError``
  package func bootReport(_ pcrs: [Int]) async throws(KeyStoreError) -> BootReport {
    try await thread.bootReport(gate, pcrs)
  }

  /// Takes an approval into use, for keys that are bound. One that is not for this device does nothing.
  package func take(_ approval: BootApproval) {
    gate?.take(approval)
  }

  /// The policy of a key that is to be registered; nil where its authorization value alone will do.
  func keyPolicy(_ presence: borrowing Presence) throws(KeyStoreError) -> [UInt8]? {
    guard presence.terms.checksBootState else { return nil }
    guard let gate else {
      throw .failed(
        "the rule wants the boot checked at every signature, and nothing is bound to it: set tpm.approvalKey")
    }
    return gate.policy.authorizedValuePolicy
  }

  /// The gate of a key that has a policy; nil for every other key.
  func gate(of object: WrappedObject) throws(KeyStoreError) -> BootGate? {
    guard let policy = object.policy else { return nil }
    guard let gate, policy == gate.policy.authorizedValuePolicy else {
      throw .bootState(
        "the credential is bound to the machine's boot by an approval key or PCRs that are no longer in use: register anew"
      )
    }
    return gate
  }
}

extension TPMThread {
  func bootReport(_ gate: BootGate?, _ pcrs: [Int]) async throws(KeyStoreError) -> BootReport {
    let pcrs = gate?.policy.pcrs ?? pcrs
    let values = try await perform(for: .daemon) { device throws(KeyStoreError) in
      try device.withTPM { tpm throws in try tpm.bootValues(of: pcrs) }
    }
    return gate?.report(values)
      ?? BootReport(policy: nil, pcrs: pcrs, values: values, isApproved: false, approvals: 0, differences: [])
  }
}

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

extension TPMKeyStore: TPMWatch {}

/// Whoever can say how the TPM is.
package protocol TPMWatch: Sendable {
  /// The state of the TPM, without asking it.
  var status: TPMStatus { get }
  /// Asks the TPM for its own state: two commands.
  func condition() async throws(KeyStoreError) -> TPMCondition
}
