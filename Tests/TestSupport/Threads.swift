// Not called: it is there at the end of the process.
internal import CCalmExit
internal import Platform

/// Runs what blocks on a thread of its own: the pool has as few threads as the machine has processors, and the other
/// tests wait for them.
///
/// - Throws: what `body` throws, or `SystemError` where there is no thread
package func onItsOwnThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
  try await withCheckedThrowingContinuation { continuation in
    do {
      try startThread(named: "test") { continuation.resume(with: Swift.Result(catching: body)) }
    } catch {
      continuation.resume(throwing: error)
    }
  }
}
