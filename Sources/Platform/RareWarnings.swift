/// Warns at most once in ten seconds, and says the rest as debugging: clients must not be able to fill the log.
package struct RareWarnings: Sendable {
  private static let interval: UInt64 = 10_000_000_000

  private let log: Logger
  private var last: UInt64?

  package init(log: Logger) {
    self.log = log
  }

  /// - Parameters:
  ///   - message: one line
  ///   - now: nanoseconds of the caller's clock
  package mutating func warn(_ message: @autoclosure () -> String, at now: UInt64) {
    if let last, now < last + Self.interval { return log.debug(message()) }
    last = now
    log.warning(message())
  }
}
