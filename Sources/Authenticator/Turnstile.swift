/// Lets one task in at a time, in the order of their coming: actors re-enter at `await`, and what counts PIN attempts
/// or changes the settings must not. Used only on the engine's actor.
final class Turnstile {
  private var isTaken = false
  private var waiting: [Wait] = []

  /// How many wait for their turn, for tests.
  var waitingCount: Int { waiting.count }

  /// Waits for its turn, which is short: those before it wait for the TPM or the disk at most, and for no caller's other
  /// work.
  ///
  /// - Returns: whether it has come; not where the task was cancelled first, so that nobody waits for who has gone
  func enter(isolation: isolated (any Actor)? = #isolation) async -> Bool {
    if !isTaken {
      isTaken = true
      return true
    }
    let wait = Wait()
    waiting.append(wait)
    let hasCome = await withTaskCancellationHandler {
      await wait.result()
    } onCancel: {
      wait.end(drained: false)
    }
    if !hasCome { waiting.removeAll { $0 === wait } }
    return hasCome
  }

  func leave() {
    while !waiting.isEmpty {
      if waiting.removeFirst().end(drained: true) { return }
    }
    isTaken = false
  }
}
