internal import Platform

/// A record that has been handed over. Kept by the writer until the outcome is known, and by who waits for it.
final class PendingRecord: AuditTicket {
  private enum State {
    case waiting([CheckedContinuation<Result<Void, AuditError>, Never>])
    case settled(Result<Void, AuditError>)
  }

  /// ``AuditLine/bytes``
  let body: [UInt8]
  /// Where it is a ``SignedHead``, the number of the last record that is signed.
  let signed: UInt64?
  /// What journald gets; nil for nothing.
  let copy: AuditRecord?
  private let state: Lock<State>
  /// Where it may wait for others; nil where it does not.
  private let file: AuditFile?

  init(body: [UInt8], signed: UInt64? = nil, copy: AuditRecord? = nil, waitingIn file: AuditFile? = nil) {
    self.body = body
    self.signed = signed
    self.copy = copy
    self.file = file
    state = Lock(.waiting([]))
  }

  /// A record that was never taken.
  init(refused error: AuditError) {
    body = []
    signed = nil
    copy = nil
    file = nil
    state = Lock(.settled(.failure(error)))
  }

  func durable() async throws(AuditError) {
    hasten()
    try await withCheckedContinuation { continuation in
      let settled: Result<Void, AuditError>? = state.withLock { state in
        switch state {
        case .settled(let result): return result
        case .waiting(let others):
          state = .waiting(others + [continuation])
          return nil
        }
      }
      if let settled { continuation.resume(returning: settled) }
    }.get()
  }

  func hasten() {
    guard let file else { return }
    if state.withLock({ if case .waiting = $0 { true } else { false } }) { file.hasten() }
  }

  /// Tells all who wait, on the calling thread: each continues on its own executor.
  func settle(_ result: Result<Void, AuditError>) {
    let waiting = state.withLock { state in
      defer { state = .settled(result) }
      if case .waiting(let continuations) = state { return continuations }
      return []
    }
    for continuation in waiting { continuation.resume(returning: result) }
  }
}
