package import Authenticator
package import Policy
internal import Secrets
internal import Synchronization
package import WebAuthn

/// Keys that sign nothing real: a "signature" is the digest with the key's number before it. Any call can be made to
/// fail, and calls can be held until the test lets them go.
package actor MemoryKeyStore: KeyStore {
  package nonisolated let faults = FaultPlan()
  package nonisolated let algorithms: [COSEAlgorithm]
  /// What the next failing call throws.
  package var failure = KeyStoreError.unavailable("injected")
  private var keys: [KeyBinding: UInt8] = [:]
  private var counter: UInt32 = 0
  private var isHeld = false
  private var held: [CheckedContinuation<Void, Never>] = []
  private var arrivals: [CheckedContinuation<Void, Never>] = []
  package private(set) var adopted: DeviceSecret?
  package private(set) var evicted: [KeyBinding] = []

  package init(algorithms: [COSEAlgorithm] = COSEAlgorithm.allCases) {
    self.algorithms = algorithms
  }

  package func fail(with error: KeyStoreError) {
    failure = error
  }

  /// From now on signing waits for ``letGo()``.
  package func hold() {
    isHeld = true
  }

  package func letGo() {
    isHeld = false
    held.forEach { $0.resume() }
    held = []
  }

  /// Returns once a signature waits at ``hold()``.
  package func arrival() async {
    if !held.isEmpty { return }
    await withCheckedContinuation { arrivals.append($0) }
  }

  package func createKey(
    _ algorithm: COSEAlgorithm, binding: KeyBinding, caller: Caller, presence: borrowing Presence
  ) throws(KeyStoreError) -> (key: CredentialKey, publicKey: CredentialPublicKey) {
    try check()
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
      await withCheckedContinuation { continuation in
        held.append(continuation)
        arrivals.forEach { $0.resume() }
        arrivals = []
      }
      if Task.isCancelled { throw .cancelled }
    }
    guard let number = keys[key.binding], key.blob == [number] else { throw .failed("no such key") }
    return Self.signature(digest: digest, key: number)
  }

  /// What ``sign(digest:with:caller:presence:)`` gives.
  package static func signature(digest: [UInt8], key: UInt8) -> [UInt8] {
    [key] + digest
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
    do {
      return (DeviceSecret(try SecretBytes.random(count: DeviceSecret.count)), [1, 2, 3])
    } catch {
      throw .failed("\(error)")
    }
  }

  package func adopt(_ secret: DeviceSecret) {
    adopted = secret
    keys = [:]
  }

  private func check() throws(KeyStoreError) {
    if faults.shouldFail() { throw failure }
  }
}
