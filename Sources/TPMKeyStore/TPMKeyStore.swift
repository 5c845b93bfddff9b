internal import Attestation
package import AuditLog
package import Authenticator
internal import Crypto
internal import Platform
package import Policy
internal import Secrets
internal import TPM
package import WebAuthn

/// Bounds of the key store; the defaults suit production.
package struct TPMKeyStoreLimits: Sendable {
  /// Requests that may wait for the TPM.
  package var waiting = 4096
  /// Requests of one connection that may wait.
  package var waitingByConnection = 64
  /// Milliseconds after its coming in which a request must have been begun with.
  /// A day where nobody says otherwise; the daemon does, by its configuration.
  package var wait: UInt64 = 86_400_000
  /// Milliseconds that the TPM may take for one request.
  package var patience: UInt64 = 20_000
  /// Milliseconds that the TPM may take to make a key.
  package var patienceForKeys: UInt64 = 120_000

  package init() {}

  var thread: TPMThread.Limits {
    TPMThread.Limits(
      total: waiting, bySource: waitingByConnection, wait: wait * 1_000_000, patience: patience * 1_000_000,
      patienceForKeys: patienceForKeys * 1_000_000)
  }
}

/// Credential keys in a TPM 2.0. Every key is made in the TPM and never leaves it; what is stored is wrapped by the TPM.
package final class TPMKeyStore: KeyStore {
  let thread: TPMThread
  let board: StatusBoard
  let pins = PinBoard()
  /// nil until ``keepPins(in:_:isLiving:)``.
  let keeper = Lock<PinKeeper?>(nil)
  let device: SealedDevice
  package let auditKey: AuditKey
  let anchorIndex: NVIndex
  let counter: NVIndex
  private let retries: NVIndex
  /// Where the device secret is bound to the machine's boot.
  let gate: BootGate?
  /// Whether the device's decommissioning had begun before this start.
  package let isLeaving: Bool
  /// Once it is true, nothing is signed or made for a caller any more.
  private let isRetired = Lock(false)
  private let era: Lock<Era>
  /// Made by ``makeDeviceSecret(caller:presence:)``, until ``adopt(_:)``.
  private let nextEra = Lock<Era?>(nil)

  /// The time from one reset to the next. Keys are bound to its secret, and its counter values are counted from its
  /// base; what is leased in one is of no use in another.
  final class Era: Sendable {
    let payload: SealedPayload
    let lease = CounterLease()

    init(_ payload: SealedPayload) {
      self.payload = payload
    }
  }

  init(
    thread: TPMThread, board: StatusBoard, device: SealedDevice, payload: SealedPayload, auditKey: AuditKey,
    gate: BootGate?, isLeaving: Bool = false
  ) {
    self.isLeaving = isLeaving
    self.auditKey = auditKey
    self.gate = gate
    anchorIndex = device.indices.anchor(payload.indexAuthorization)
    self.thread = thread
    self.board = board
    self.device = device
    counter = device.indices.counter(payload.indexAuthorization)
    retries = device.indices.retries(payload.indexAuthorization)
    era = Lock(Era(payload))
    board.noteWrites { _ in }
  }

  deinit {
    thread.stop()
  }

  /// Ends the TPM thread in order, and a software TPM with it. Later requests are refused.
  package func stop() async {
    await thread.ended()
  }

  /// The state of the TPM, without asking it.
  package var status: TPMStatus {
    thread.status(board)
  }

  /// Asks the TPM for its own state: two commands.
  package func condition() async throws(KeyStoreError) -> TPMCondition {
    try await thread.condition()
  }

  package var algorithms: [COSEAlgorithm] { board.algorithms }

  package func createKey(
    _ algorithm: COSEAlgorithm, binding: KeyBinding, caller: Caller, presence: borrowing Presence
  ) async throws(KeyStoreError) -> (key: CredentialKey, publicKey: CredentialPublicKey) {
    try check(presence.operation == .register && presence.scope.hash == binding.relyingPartyIDHash)
    guard algorithms.contains(algorithm) else { throw .unsupportedAlgorithm }
    let era = currentEra
    let authorization = try authorization(binding, in: era)
    let policy = try keyPolicy(presence)
    let (wrapped, publicKey) = try await thread.perform(
      for: caller.workSource, as: algorithm == .rs256 ? .rsaKey : .key, patience: thread.limits.patienceForKeys
    ) { [self] device throws(KeyStoreError) in
      try check(era)
      return try device.withTPM { tpm throws in
        try tpm.createKey(algorithm.kind, authorization: authorization, policy: policy)
      }
    }
    return (
      CredentialKey(algorithm: algorithm, binding: binding, blob: KeyBlob.encode(wrapped)),
      CredentialPublicKey(publicKey)
    )
  }

  package func sign(
    digest: [UInt8], with key: CredentialKey, caller: Caller, presence: consuming Presence
  ) async throws(KeyStoreError) -> [UInt8] {
    // Self-attestation signs while registering.
    let operation = presence.operation
    try check(
      (operation == .authenticate || operation == .register)
        && presence.scope.hash == key.binding.relyingPartyIDHash)
    guard digest.count == key.algorithm.digestCount else {
      throw .failed("a digest of \(digest.count) bytes does not fit the algorithm \(key.algorithm)")
    }
    guard let object = KeyBlob.decode(key.blob) else { throw .failed("the credential's key is damaged") }
    let era = currentEra
    let authorization = try authorization(key.binding, in: era)
    let gate = try gate(of: object)
    let signature = try await thread.perform(for: caller.workSource, as: .signature) {
      [self] device throws(KeyStoreError) in
      try check(era)
      if let gate {
        return try device.withTPM { tpm throws in
          try tpm.sign(
            digest, with: object, binding: key.binding, scheme: key.algorithm.scheme, authorization: authorization,
            through: gate)
        }
      }
      return try device.sign(
        digest, with: object, binding: key.binding, scheme: key.algorithm.scheme, authorization: authorization,
        pins: pins)
    }
    // A key with a policy costs its sessions anyway.
    if gate == nil, let keeper = keeper.withLock({ $0 }) { keeper.note(key.binding, object) }
    return signature.encoded
  }

  package func checkWait(caller: Caller) throws(KeyStoreError) {
    try thread.checkWait(for: caller.workSource)
  }

  package func nextSignatureCounter(caller: Caller) async throws(KeyStoreError) -> UInt32 {
    let era = currentEra
    let lease = era.lease
    let (value, fetchAhead) = lease.take()
    if fetchAhead {
      thread.post { [self] device in
        // A failure is told to who finds no value left.
        lease.fetchEnded(with: try? block(device, in: era))
      } orElse: {
        lease.fetchEnded(with: nil)
      }
    }
    if let value { return value }
    return try await thread.perform(for: caller.workSource) { [self] device throws(KeyStoreError) in
      // Others that waited for the same block come after the one that fetched it.
      if let value = lease.takeWithoutFetching() { return value }
      lease.add(try block(device, in: era))
      guard let value = lease.takeWithoutFetching() else { throw .failed("a counter block without values") }
      return value
    }
  }

  private func block(_ device: TPMDevice, in era: Era) throws(KeyStoreError) -> Range<UInt64> {
    try check(era)
    let (reading, base) = (try device.advance(counter), era.payload.counterBase)
    let block = try CounterLease.block(reading: reading, base: base)
    board.noteWrites { $0.signatureCounter = reading - base }
    return block
  }

  /// Posted: the keys' records have gone, so nobody can name them any more, and nobody waits for the room.
  package func evict(_ bindings: [KeyBinding]) async {
    guard !bindings.isEmpty else { return }
    let bindings = Set(bindings)
    // A TPM that is away has forgotten them by itself.
    thread.post { device in
      device.evict { bindings.contains($0.binding) }
    } orElse: {
    }
    if let keeper = keeper.withLock({ $0 }) { await keeper.forget(bindings) }
  }

  /// The counter's values begin again with it: every credential that has seen one has gone when it is adopted.
  package func makeDeviceSecret(
    caller: Caller, presence: borrowing Presence
  ) async throws(KeyStoreError) -> (secret: DeviceSecret, record: [UInt8]) {
    try check(presence.operation == .reset)
    try check(currentEra)
    let fresh: DeviceSecret
    do {
      fresh = DeviceSecret(try SecretBytes.random(count: DeviceSecret.count))
    } catch {
      throw KeyStoreError(any: error)
    }
    let (payload, sealed) = try await thread.perform(for: caller.workSource) {
      [counter, boot = self.device.boot, surroundings = self.device.surroundings, base = currentEra.payload.counterBase]
      device throws(KeyStoreError) -> (
        SealedPayload, WrappedObject
      ) in
      // Every block after this one is of a greater reading.
      let payload = SealedPayload(
        secret: fresh, indexAuthorization: counter.authorization,
        counterBase: CounterLease.baseAfterReset(reading: try device.read(counter), base: base),
        surroundings: surroundings)
      return (
        payload,
        try device.withTPM { tpm throws in try tpm.seal(try payload.encoded(), policy: boot?.authorizedPolicy) }
      )
    }
    nextEra.withLock { $0 = Era(payload) }
    var record = device
    record.secret = sealed
    return (fresh, DeviceRecord.sealed(record).encoded())
  }

  /// Nothing waits for the unloading. A key of the old secret that is still loaded is found only by its binding and
  /// blob, whose record has gone; what waits since before is refused by its era; and the TPM would refuse whoever came
  /// with them now, because the authorization comes from the new secret.
  package func adopt(_ secret: DeviceSecret) async {
    let next = nextEra.withLock { next in
      defer { next = nil }
      return next
    }
    guard let next, next.payload.secret === secret else {
      preconditionFailure("the secret to adopt is the one that was made last")
    }
    era.withLock { $0 = next }
    thread.post { device in
      device.evict { _ in true }
    } orElse: {
    }
    if let keeper = keeper.withLock({ $0 }) { await keeper.forget(nil) }
  }

  package var secret: DeviceSecret { currentEra.payload.secret }

  package func retryRecord(caller: Caller) async throws(KeyStoreError) -> RetryRecord {
    try await thread.perform(for: caller.workSource) { [retries] device throws(KeyStoreError) in
      try device.readRecord(retries)
    }
  }

  /// Where it fails because the TPM did not answer in time, the TPM may write it yet, but before everything that comes
  /// later. What was counted before a reset is not written over what comes with it.
  package func save(_ record: RetryRecord, caller: Caller) async throws(KeyStoreError) {
    let era = currentEra
    try await thread.perform(for: caller.workSource) { [self] device throws(KeyStoreError) in
      try check(era)
      try device.write(record, to: retries)
      board.noteWrites { $0.retryRecord += 1 }
    }
  }

  var currentEra: Era { era.withLock { $0 } }

  /// What was asked for before a reset is not done after it.
  func check(_ era: Era) throws(KeyStoreError) {
    guard !isRetired.withLock({ $0 }) else { throw .failed("this runner is being decommissioned") }
    guard era === currentEra else { throw .failed("a reset has come in between") }
  }

  /// Refuses what waits for the TPM, and all that comes later, to everyone but the audit log.
  package func retire() {
    isRetired.withLock { $0 = true }
  }

  func authorization(_ binding: KeyBinding, in era: Era) throws(KeyStoreError) -> SharedSecret {
    do {
      return SharedSecret(try era.payload.secret.keyAuthorization(binding))
    } catch {
      throw KeyStoreError(any: error)
    }
  }

  /// Presence is for one operation at one relying party; for another it is a mistake of ours, and no signature.
  func check(_ presenceFits: Bool) throws(KeyStoreError) {
    guard presenceFits else { throw .failed("the presence is for another operation or relying party") }
  }
}

extension COSEAlgorithm {
  fileprivate var kind: TPMKeyKind {
    switch self {
    case .es256: .eccP256
    case .es384: .eccP384
    case .rs256: .rsa2048
    }
  }

  fileprivate var scheme: TPMSignatureScheme {
    switch self {
    case .es256: .ecdsaSHA256
    case .es384: .ecdsaSHA384
    case .rs256: .rsassaSHA256
    }
  }

  fileprivate var digestCount: Int { self == .es384 ? 48 : 32 }
}

extension CredentialPublicKey {
  fileprivate init(_ key: TPMPublicKey) {
    switch key {
    case .ecc(.eccP384, let x, let y): self = .es384(x: x, y: y)
    case .ecc(_, let x, let y): self = .es256(x: x, y: y)
    case .rsa(let modulus, let exponent):
      let bytes = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: exponent >> $0) }
      self = .rs256(modulus: modulus, exponent: Array(bytes.drop { $0 == 0 }))
    }
  }
}

extension TPMThread {
  func status(_ board: StatusBoard) -> TPMStatus {
    var status = board.status
    // One that hangs has not hung up, and serves nobody all the same.
    status.disconnected = status.disconnected ?? hangs
    status.queueLength = queueLength
    status.waiting = waiting
    return status
  }

  func condition() async throws(KeyStoreError) -> TPMCondition {
    try await perform(for: .daemon) { device throws(KeyStoreError) in
      let (health, boots) = try device.withTPM { tpm throws in
        try tpm.withContext { context throws(TPMError) in (try context.health(), try context.boots()) }
      }
      return TPMCondition(
        lockoutCounter: health.lockoutCounter, maximumFailures: health.maximumFailures,
        lockoutInterval: health.lockoutInterval, isInLockout: health.isInLockout,
        isOwnerAuthorized: health.isOwnerAuthorized, transientSlots: health.transientSlots,
        persistentSlots: health.persistentSlots, counterSlots: health.counterSlots, resetCount: boots.resetCount,
        restartCount: boots.restartCount, isClockSafe: boots.isClockSafe)
    }
  }
}
