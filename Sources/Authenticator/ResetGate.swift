internal import CTAP
internal import Platform

/// Keeps a reset and all other requests apart: a credential made while the device secret changes would be bound to a
/// secret that is gone. Used only on the engine's actor.
final class ResetGate {
  private var inside = 0
  private var waiting: Wait?
  /// Whether it is closed for good.
  private(set) var isRetired = false

  /// - Throws: CTAP1_ERR_CHANNEL_BUSY while a reset waits or works; CTAP2_ERR_NOT_ALLOWED once it is closed for good
  func enter() throws(CTAPStatus) {
    guard !isRetired else { throw .notAllowed }
    guard waiting == nil else { throw .channelBusy }
    inside += 1
  }

  func leave() {
    inside -= 1
    if inside == 0 { waiting?.end(drained: true) }
  }

  /// Keeps new requests out.
  ///
  /// - Returns: to wait with until those inside have left
  /// - Throws: CTAP1_ERR_CHANNEL_BUSY if another reset is at it
  func close() throws(CTAPStatus) -> Wait {
    guard !isRetired else { throw .notAllowed }
    guard waiting == nil else { throw .channelBusy }
    let wait = Wait()
    if inside == 0 { wait.end(drained: true) }
    waiting = wait
    return wait
  }

  /// Keeps new requests out for good; can be called again.
  ///
  /// - Returns: to wait with until those inside have left
  /// - Throws: CTAP1_ERR_CHANNEL_BUSY if a reset is at it
  func retire() throws(CTAPStatus) -> Wait {
    guard isRetired || waiting == nil else { throw .channelBusy }
    isRetired = true
    let wait = Wait()
    if inside == 0 { wait.end(drained: true) }
    waiting = wait
    return wait
  }

  func open() {
    waiting = nil
  }
}

/// One task's wait for others, which any thread can end.
final class Wait: Sendable {
  private enum State {
    case begun
    case waiting(CheckedContinuation<Bool, Never>)
    case ended(drained: Bool)
  }

  private let state = Lock(State.begun)

  /// - Returns: whether they have left; not where the wait was given up first
  func result() async -> Bool {
    await withCheckedContinuation { continuation in
      let drained: Bool? = state.withLock { state in
        if case .ended(let drained) = state { return drained }
        state = .waiting(continuation)
        return nil
      }
      if let drained { continuation.resume(returning: drained) }
    }
  }

  /// The first call counts.
  ///
  /// - Parameter drained: whether they have left, or waiting is given up
  /// - Returns: whether it was the first call
  @discardableResult
  func end(drained: Bool) -> Bool {
    let (isFirst, continuation): (Bool, CheckedContinuation<Bool, Never>?) = state.withLock { state in
      if case .ended = state { return (false, nil) }
      defer { state = .ended(drained: drained) }
      if case .waiting(let continuation) = state { return (true, continuation) }
      return (true, nil)
    }
    continuation?.resume(returning: drained)
    return isFirst
  }
}
