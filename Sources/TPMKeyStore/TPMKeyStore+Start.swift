package import Attestation
internal import AuditLog
package import Authenticator
internal import Crypto
package import Platform
package import Secrets
internal import TPM

extension TPMKeyStore {
  /// What a start comes to.
  package enum Opening: Sendable {
    /// The key store, and the secret that the store needs.
    case open(TPMKeyStore, DeviceSecret)
    /// The boot is not approved, for this reason.
    case waiting(WaitingKeyStore, reason: String)
    /// The device has been decommissioned, or all that is missing is what is left in the TPM.
    case former(FormerKeyStore)
  }

  /// As ``open(connection:records:ownerAuthorization:allowSoftware:boot:approvals:resourceManager:log:limits:clock:)``,
  /// for those who do not wait.
  ///
  /// - Returns: the key store, and the secret that the store needs
  /// - Throws: ``KeyStoreError``, with a text for the operator
  package static func start(
    connection: TPMConnection, records: any DeviceRecordStore, ownerAuthorization: consuming SecretBytes? = nil,
    allowSoftware: Bool, boot: BootBinding = .unchanged, approvals: [BootApproval] = [],
    resourceManager: Bool? = nil, log: Logger, limits: TPMKeyStoreLimits = TPMKeyStoreLimits(),
    clock: any Timekeeper = SystemTime()
  ) async throws(KeyStoreError) -> (store: TPMKeyStore, secret: DeviceSecret) {
    let opening = try await open(
      connection: connection, records: records, ownerAuthorization: ownerAuthorization, allowSoftware: allowSoftware,
      boot: boot, approvals: approvals, resourceManager: resourceManager, log: log, limits: limits, clock: clock)
    switch opening {
    case .open(let store, let secret): return (store, secret)
    case .waiting(let store, let reason):
      await store.stop()
      throw .bootState(reason)
    case .former(let store):
      await store.stop()
      throw .failed(FormerKeyStore.reason)
    }
  }

  /// Connects to the TPM, finds or makes what the device needs in it, and unseals the device secret.
  ///
  /// On the first start: the storage root key where it is missing, three NV indices, for the signature counter, the
  /// PIN's retries and the audit log's anchor, the key that signs the audit log, and a new device secret.
  ///
  /// - Parameters:
  ///   - connection: which TPM
  ///   - records: where the device record is
  ///   - ownerAuthorization: nil where the owner's authorization is empty
  ///   - allowSoftware: whether a software TPM will do
  ///   - boot: to what boots the device secret is to be bound; once it is in hand it is bound so
  ///   - approvals: of boots
  ///   - resourceManager: whether one stands before the TPM; nil: as the connection says
  ///   - log: for the operator
  ///   - limits: bounds of the queue and of patience
  ///   - clock: for patience, and for the pauses between attempts to connect
  /// - Returns: the key store, or what waits for an approval
  /// - Throws: ``KeyStoreError``, with a text for the operator
  package static func open(
    connection: TPMConnection, records: any DeviceRecordStore, ownerAuthorization: consuming SecretBytes? = nil,
    allowSoftware: Bool, boot: BootBinding = .unchanged, approvals: [BootApproval] = [],
    resourceManager: Bool? = nil, log: Logger, limits: TPMKeyStoreLimits = TPMKeyStoreLimits(),
    clock: any Timekeeper = SystemTime()
  ) async throws(KeyStoreError) -> Opening {
    let board = StatusBoard(connection: connection)
    let software: SoftwareTPM? =
      if case .software(let directory) = connection { try SoftwareTPM(directory: directory) } else { nil }
    let owner: SharedSecret?
    if let ownerAuthorization { owner = SharedSecret(ownerAuthorization) } else { owner = nil }
    let swapsContexts = resourceManager ?? connection.hasResourceManager
    board.update { $0.isBehindResourceManager = swapsContexts }
    let thread: TPMThread
    do throws(SystemError) {
      thread = try TPMThread(limits: limits.thread, clock: clock, log: log, interrupt: { software?.kill() }) {
        TPMDevice(
          connection: connection, software: software, ownerAuthorization: owner, swapsContexts: swapsContexts,
          board: board, log: log, clock: clock)
      }
    } catch {
      throw .unavailable("\(error)")
    }
    do throws(KeyStoreError) {
      // Of no interest is whether the TPM is still there.
      if let device = try await record(records)?.former {
        return .former(FormerKeyStore(thread: thread, board: board, device: device, records: records, log: log))
      }
      return try await open(thread, board, records, allowSoftware: allowSoftware, boot, approvals, log)
    } catch {
      await thread.ended()
      throw error
    }
  }

  private static func open(
    _ thread: TPMThread, _ board: StatusBoard, _ records: any DeviceRecordStore, allowSoftware: Bool,
    _ boot: BootBinding, _ approvals: [BootApproval], _ log: Logger
  ) async throws(KeyStoreError) -> Opening {
    try await thread.perform(for: .daemon) { device throws(KeyStoreError) in try device.withTPM { _ in } }
    if !allowSoftware, case .software(let reason) = board.status.nature {
      throw .failed("this is a software TPM (\(reason)): allow it with allowSoftware, or name a TPM with --tpm")
    }
    let device: SealedDevice
    var fresh: SealedPayload?
    var isLeaving = false
    switch try await record(records) {
    case .sealed(let known): device = known
    case .decommissioning(let known):
      device = known
      isLeaving = true
    case .provisioning(let indices):
      log.notice("TPM: an earlier start was interrupted while it set up the TPM; beginning anew")
      try await thread.perform(for: .daemon) { device throws(KeyStoreError) in
        try device.remove(indices)
      }
      (device, fresh) = try await provision(thread, records, boot, log)
    case nil: (device, fresh) = try await provision(thread, records, boot, log)
    case .removing, .decommissioned: throw .failed(FormerKeyStore.reason)
    }
    let waiting = WaitingKeyStore(
      thread: thread, board: board, device: device, gate: device.boot.map { BootGate($0, approvals) }, binding: boot,
      records: records, isLeaving: isLeaving, log: log)
    do throws(KeyStoreError) {
      // What has just been sealed for boots that are not approved yet is in hand all the same.
      let (store, secret) =
        if let fresh, device.boot != nil {
          try await waiting.open(with: fresh)
        } else {
          try await waiting.unlock()
        }
      return .open(store, secret)
    } catch .bootState(let reason) {
      return .waiting(waiting, reason: reason)
    }
  }

  static func record(_ records: any DeviceRecordStore) async throws(KeyStoreError) -> DeviceRecord? {
    try decode(try await load(records))
  }

  private static func decode(_ bytes: [UInt8]?) throws(KeyStoreError) -> DeviceRecord? {
    guard let bytes else { return nil }
    if DeviceRecord.isOfEarlierVersion(bytes) {
      throw .failed(
        "the device record is of version \(bytes[4]), which no release has written and this one does not read: begin anew "
          + "with an empty state folder")
    }
    guard let record = DeviceRecord.decode(bytes) else {
      throw .failed("the device record is damaged, or of a newer version: restore the state folder from a backup")
    }
    return record
  }

  private static func load(_ records: any DeviceRecordStore) async throws(KeyStoreError) -> [UInt8]? {
    do throws(StoreError) {
      return try await records.deviceRecord()
    } catch {
      throw .unavailable("the device record cannot be read: \(error)")
    }
  }

  static func save(_ record: DeviceRecord, _ records: any DeviceRecordStore) async throws(KeyStoreError) {
    do throws(StoreError) {
      try await records.saveDeviceRecord(record.encoded())
    } catch {
      throw .unavailable("the device record cannot be written: \(error)")
    }
  }

  /// Sets up a TPM for this device. What it needs in the TPM is written down before it is made.
  private static func provision(
    _ thread: TPMThread, _ records: any DeviceRecordStore, _ boot: BootBinding, _ log: Logger
  ) async throws(KeyStoreError) -> (SealedDevice, SealedPayload) {
    let tag = SystemRandom().bytes(DeviceRecord.tagCount)
    let (parent, indices) = try await thread.perform(for: .daemon) { device throws(KeyStoreError) in
      (try device.findOrMakeStorageRoot(), try device.freeIndices(tag: tag))
    }
    try await save(.provisioning(indices), records)
    let policy = boot.policy(after: nil, random: { SystemRandom().bytes($0) })
    let (device, payload) = try await thread.perform(for: .daemon) { device throws(KeyStoreError) in
      try device.provision(parent: parent, indices: indices, boot: policy)
    }
    try await save(.sealed(device), records)
    log.notice(
      "TPM: set up, with storage root key 0x\(String(parent.handle, radix: 16)), signature counter at NV index "
        + "0x\(String(indices.counter, radix: 16)), PIN retry record at 0x\(String(indices.retries, radix: 16)) and audit "
        + "anchor at 0x\(String(indices.anchor, radix: 16))")
    return (device, payload)
  }
}
