internal import Platform

/// Makes the n-th call of a port fail, once.
package final class FaultPlan: Sendable {
  private struct State {
    var calls = 0
    var failing: Int?
  }

  private let state = Lock(State())

  package init() {}

  /// Calls counted so far.
  package var calls: Int { state.withLock { $0.calls } }

  /// Starts counting anew; the `call`-th call from now on fails (1 is the next one); nil for none.
  package func fail(at call: Int?) {
    state.withLock { $0 = State(calls: 0, failing: call) }
  }

  /// Counts one call.
  ///
  /// - Returns: whether it has to fail
  package func shouldFail() -> Bool {
    state.withLock { state in
      state.calls += 1
      return state.calls == state.failing
    }
  }
}
