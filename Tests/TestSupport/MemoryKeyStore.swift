package import Authenticator
package import Policy
package import Platform
internal import Secrets
package import WebAuthn

/// Keys that sign nothing real: a "signature" is the key's number and the digest, in a shell that looks like DER. Any
/// call can be made to fail, and calls can be held until the test lets them go.
package actor MemoryKeyStore: KeyStore {
  package nonisolated let faults = FaultPlan()
  /// Calls that do their work and then fail all the same: the answer was lost.
  package nonisolated let lateFaults = FaultPlan()
  /// Whether what is asked for would wait for too long.
  package nonisolated let isOverloaded = Lock(false)
  /// How often that has been asked.
  package nonisolated let waitChecks = Lock(0)
  package nonisolated let algorithms: [COSEAlgorithm]
  /// What the next failing call throws.
  package var failure = KeyStoreError.unavailable("injected")
  /// For whom a key was made last.
  package private(set) var lastCaller: Caller?
  private var keys: [KeyBinding: UInt8] = [:]
  private var counter: UInt32 = 0
  private var isHeld = false
  private var workIsHeld = false
  private var savesAreHeld = false
  private var nextSaveIsHeld = false
  private var held: [CheckedContinuation<Void, Never>] = []
  private var arrivals: [CheckedContinuation<Void, Never>] = []
  package private(set) var adopted: DeviceSecret?
  private nonisolated let secretInUse: Lock<DeviceSecret>
  /// What the TPM's own memory would hold.
  package private(set) var retries = RetryRecord()
  /// How often it has been written.
  package private(set) var retryWrites = 0
  package private(set) var evicted: [KeyBinding] = []

  package init(algorithms: [COSEAlgorithm] = COSEAlgorithm.allCases) {
    self.algorithms = algorithms
    secretInUse = Lock(Self.deviceSecret())
  }

  private static func deviceSecret() -> DeviceSecret {
    do {
      return DeviceSecret(try SecretBytes.random(count: DeviceSecret.count))
    } catch {
      preconditionFailure("\(error)")
    }
  }

  package nonisolated var secret: DeviceSecret { secretInUse.withLock { $0 } }

  package func retryRecord(caller: Caller) throws(KeyStoreError) -> RetryRecord {
    try check()
    return retries
  }

  package func save(_ record: RetryRecord, caller: Caller) async throws(KeyStoreError) {
    try check()
    if savesAreHeld || nextSaveIsHeld {
      nextSaveIsHeld = false
      await wait()
    }
    retries = record
    retryWrites += 1
    if lateFaults.shouldFail() { throw failure }
  }

  package func fail(with error: KeyStoreError) {
    failure = error
  }

  /// From now on signing waits for ``letGo()``.
  package func hold() {
    isHeld = true
  }

  /// From now on saving the record of PIN attempts waits for ``letGo()``, before it is written.
  package func holdSaves() {
    savesAreHeld = true
  }

  /// As ``holdSaves()``, but those after the next one overtake it.
  package func holdNextSave() {
    nextSaveIsHeld = true
  }

  /// - Parameter intoWork: whether signing waits once more, now that it has begun
  package func letGo(intoWork: Bool = false) {
    isHeld = false
    workIsHeld = intoWork
    savesAreHeld = false
    held.forEach { $0.resume() }
    held = []
  }

  private func wait() async {
    await withCheckedContinuation { continuation in
      held.append(continuation)
      arrivals.forEach { $0.resume() }
      arrivals = []
    }
  }

  /// Returns once a call waits at ``hold()``, ``holdSaves()`` or ``holdNextSave()``.
  package func arrival() async {
    if !held.isEmpty { return }
    await withCheckedContinuation { arrivals.append($0) }
  }

  /// How many calls wait.
  package var waiting: Int { held.count }

  package nonisolated func checkWait(caller: Caller) throws(KeyStoreError) {
    waitChecks.withLock { $0 += 1 }
    if isOverloaded.withLock({ $0 }) { throw .overloaded("injected") }
  }

  package func createKey(
    _ algorithm: COSEAlgorithm, binding: KeyBinding, caller: Caller, presence: borrowing Presence
  ) throws(KeyStoreError) -> (key: CredentialKey, publicKey: CredentialPublicKey) {
    try check()
    lastCaller = caller
    let number = UInt8(truncatingIfNeeded: keys.count + 1)
    keys[binding] = number
    let publicKey: CredentialPublicKey =
      switch algorithm {
      case .es256: .es256(x: .init(repeating: number, count: 32), y: .init(repeating: 0xee, count: 32))
      case .es384: .es384(x: .init(repeating: number, count: 48), y: .init(repeating: 0xee, count: 48))
      case .rs256: .rs256(modulus: [0x80] + .init(repeating: number, count: 255), exponent: [1, 0, 1])
      }
    return (CredentialKey(algorithm: algorithm, binding: binding, blob: [number]), publicKey)
  }

  package func sign(
    digest: [UInt8], with key: CredentialKey, caller: Caller, presence: consuming Presence
  ) async throws(KeyStoreError) -> [UInt8] {
    try check()
    if isHeld {
      await wait()
      if Task.isCancelled { throw .cancelled }
    }
    Receipt.current?.workBegins()
    if workIsHeld { await wait() }
    guard let number = keys[key.binding], key.blob == [number] else { throw .failed("no such key") }
    return Self.signature(digest: digest, key: number)
  }

  /// What ``sign(digest:with:caller:presence:)`` gives.
  package static func signature(digest: [UInt8], key: UInt8) -> [UInt8] {
    [0x30, UInt8(digest.count + 1), key] + digest
  }

  package func nextSignatureCounter(caller: Caller) throws(KeyStoreError) -> UInt32 {
    try check()
    counter += 1
    return counter
  }

  package func evict(_ bindings: [KeyBinding]) {
    evicted += bindings
  }

  package func makeDeviceSecret(
    caller: Caller, presence: borrowing Presence
  ) throws(KeyStoreError) -> (secret: DeviceSecret, record: [UInt8]) {
    try check()
    return (Self.deviceSecret(), [1, 2, 3])
  }

  package func adopt(_ secret: DeviceSecret) {
    adopted = secret
    secretInUse.withLock { $0 = secret }
    keys = [:]
  }

  private func check() throws(KeyStoreError) {
    if faults.shouldFail() { throw failure }
  }
}
