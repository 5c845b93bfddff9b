internal import Authenticator
internal import Platform

/// Values of the signature counter that have been leased from the TPM and not yet been used. What is lost in a crash
/// is skipped, never repeated.
final class CounterLease: Sendable {
  static let blockCount: UInt64 = 1024

  private struct State {
    /// In order; the first is in use.
    var blocks: [Range<UInt64>] = []
    var isFetching = false
    /// Values left at which a block is fetched ahead.
    var threshold = CounterLease.blockCount / 4

    var left: UInt64 { blocks.reduce(0) { $0 + UInt64($1.count) } }
  }

  private let state = Lock(State())

  /// The next value, and whether the caller shall fetch a block ahead (told to one caller at a time).
  func take() -> (value: UInt32?, fetchAhead: Bool) {
    state.withLock { state in
      let value = CounterLease.take(&state)
      let fetchAhead = value != nil && state.left <= state.threshold && !state.isFetching
      if fetchAhead { state.isFetching = true }
      return (value, fetchAhead)
    }
  }

  /// The next value, on the TPM thread, where nothing can be fetched ahead of it.
  func takeWithoutFetching() -> UInt32? {
    state.withLock { CounterLease.take(&$0) }
  }

  private static func take(_ state: inout State) -> UInt32? {
    guard let first = state.blocks.first else { return nil }
    state.blocks[0] = first.dropFirst()
    if state.blocks[0].isEmpty { state.blocks.removeFirst() }
    return UInt32(first.lowerBound)
  }

  /// Adds a block.
  func add(_ block: Range<UInt64>) {
    state.withLock { $0.blocks.append(block) }
  }

  /// Ends what `take()` asked for. Where it brought no block, the next attempt waits until half of what is left is
  /// used: a TPM that is limiting its rate must not be asked before every signature.
  ///
  /// - Parameter block: what was fetched
  func fetchEnded(with block: Range<UInt64>?) {
    state.withLock { state in
      state.isFetching = false
      if let block {
        state.blocks.append(block)
        state.threshold = CounterLease.blockCount / 4
      } else {
        state.threshold = state.left / 2
      }
    }
  }

  /// From where values are counted after a reset: from where they were counted before, so that they go on growing,
  /// unless half of them are spent. Starting again is safe then, since the reset leaves no credential to count for.
  ///
  /// - Parameters:
  ///   - reading: the counter now
  ///   - base: the base until now
  /// - Returns: the base from now on
  static func baseAfterReset(reading: UInt64, base: UInt64) -> UInt64 {
    reading > base && reading - base > blocks / 2 ? reading : base
  }

  /// How many blocks 32 bits hold.
  private static let blocks = (UInt64(UInt32.max) + 1) / blockCount

  /// The values that one state of the NV counter stands for.
  ///
  /// - Parameters:
  ///   - reading: the counter after an increment that nobody else made use of
  ///   - base: its value when the device was set up
  /// - Returns: the values
  /// - Throws: ``KeyStoreError``
  static func block(reading: UInt64, base: UInt64) throws(KeyStoreError) -> Range<UInt64> {
    guard reading > base else {
      throw .failed("the TPM's signature counter went backwards: it is at \(reading), it began at \(base)")
    }
    let (first, overflow) = (reading - base).multipliedReportingOverflow(by: blockCount)
    guard !overflow, first <= UInt64(UInt32.max) - (blockCount - 1) else { throw .counterExhausted }
    return first..<first + blockCount
  }
}
