internal import Platform

/// Repeats what is measured until a time has passed.
///
/// - Parameters:
///   - begin: on the scale of `Timekeeper.monotonicNanoseconds`; of all who measure together
///   - nanoseconds: from then on
///   - ending: asked before each repetition whether to end early
///   - body: what is measured
/// - Returns: nanoseconds of each repetition
/// - Throws: ``Interrupted``, and what `body` throws
func timed(
  from begin: UInt64, for nanoseconds: UInt64, _ ending: Interruption, _ body: () throws -> Void
) throws -> [UInt64] {
  let clock = SystemTime()
  var values: [UInt64] = []
  var now = clock.monotonicNanoseconds
  while now - begin < nanoseconds {
    try ending.check()
    let before = now
    try body()
    now = clock.monotonicNanoseconds
    values.append(now - before)
  }
  return values
}

extension Samples {
  /// Repeats what is measured until a time has passed, alone.
  ///
  /// - Throws: ``Interrupted``, and what `body` throws
  init(for nanoseconds: UInt64, _ ending: Interruption, _ body: () throws -> Void) throws {
    let clock = SystemTime()
    let begin = clock.monotonicNanoseconds
    let values = try timed(from: begin, for: nanoseconds, ending, body)
    self.init(values, elapsed: clock.monotonicNanoseconds - begin)
  }
}
