package import Authenticator
package import Platform
internal import TPM

/// Hot keys at persistent handles: behind a resource manager they are signed with by one command, because it swaps
/// transient objects only.
extension TPMKeyStore {
  /// Begins to keep pins: uses those that an earlier run has left, frees those whose credentials have gone, and pins the
  /// busiest keys from now on where a resource manager stands before the TPM.
  ///
  /// - Parameters:
  ///   - records: where it is written which keys are pinned
  ///   - settings: of the operator
  ///   - clock: for uses and the budget
  ///   - log: for the operator
  ///   - isLiving: whether a key's credential is there and may sign
  package func keepPins(
    in records: any PinRecordStore, _ settings: PinSettings, clock: any Timekeeper = SystemTime(), log: Logger,
    isLiving: @escaping @Sendable (KeyBinding) async -> Bool
  ) async {
    let keeper = PinKeeper(
      thread: thread, pins: pins, board: board, store: records, seal: counter.authorization, settings: settings,
      plansByUse: status.isBehindResourceManager, isLiving: isLiving, clock: clock, log: log)
    await keeper.begin()
    self.keeper.withLock { $0 = keeper }
  }

  /// Pins a key for good, until the operator unpins it or its credential goes.
  ///
  /// - Throws: ``KeyStoreError``
  package func pin(_ key: CredentialKey) async throws(KeyStoreError) {
    guard let object = KeyBlob.decode(key.blob) else { throw .failed("the credential's key is damaged") }
    guard object.policy == nil else {
      throw .failed("the boot is checked at every signature with this key, which costs more than loading it")
    }
    try await requireKeeper().pinByOperator(key.binding, object)
  }

  /// Takes a key out of its persistent handle; nothing happens where it has none.
  ///
  /// - Throws: ``KeyStoreError``
  package func unpin(_ binding: KeyBinding) async throws(KeyStoreError) {
    try await requireKeeper().unpin([binding])
  }

  /// Takes all keys out of their persistent handles, for a device that goes out of service. Nothing is done where no pins
  /// are kept.
  ///
  /// - Throws: ``KeyStoreError`` where one may still be there
  package func freePins() async throws(KeyStoreError) {
    guard let keeper = keeper.withLock({ $0 }) else { return }
    try await keeper.unpin(nil)
  }

  private func requireKeeper() throws(KeyStoreError) -> PinKeeper {
    guard let keeper = keeper.withLock({ $0 }) else { throw .failed("no keys are pinned in this run") }
    return keeper
  }
}
