internal import Platform
internal import Storage
internal import TPMKeyStore

/// Lends the store and the keys of a daemon that does not run meanwhile.
///
/// - Parameters:
///   - directory: its state folder
///   - tcti: the TPM that its device secret is sealed to
///   - body: what is done with them
/// - Returns: what `body` returns
/// - Throws: `StoreError`, `KeyStoreError`, `SystemError`, and what `body` throws
func withDevice<Result: Sendable>(
  _ directory: String, tcti: String,
  _ body: @escaping @Sendable (CredentialDatabase, TPMKeyStore) async throws -> Result
) throws -> Result {
  try blocking {
    let executor = try ThreadExecutor(name: "store")
    let database = try CredentialDatabase(
      stateDirectory: directory, executor: executor, maximumCredentials: .max, log: .silent)
    let (keys, secret) = try await TPMKeyStore.start(
      connection: .tcti(tcti), records: database, allowSoftware: true, log: .silent)
    let outcome: Swift.Result<Result, any Error>
    do {
      try await database.unlock(with: secret)
      outcome = .success(try await body(database, keys))
    } catch {
      outcome = .failure(error)
    }
    await keys.stop()
    await database.close()
    executor.stop()
    return try outcome.get()
  }
}

/// Runs what waits on the pool, and waits for it on this thread, which is none of the pool's.
private func blocking<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) throws -> Result {
  let outcome = Lock<Swift.Result<Result, any Error>?>(nil)
  let ended = try EventCounter()
  Task.detached {
    let result: Swift.Result<Result, any Error>
    do {
      result = .success(try await body())
    } catch {
      result = .failure(error)
    }
    outcome.withLock { $0 = result }
    ended.signal()
  }
  ended.wait()
  guard let result = outcome.withLock({ $0 }) else { throw BenchFailure("nothing was measured") }
  return try result.get()
}
