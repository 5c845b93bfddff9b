/// Where a library says what the operator should know. Libraries take one, they never make one. Secrets never go in.
package struct Logger: Sendable {
  /// The priorities of syslog(3) that are used here.
  package enum Level: Int, Comparable, Sendable {
    case error = 3
    case warning = 4
    case notice = 5
    case info = 6
    case debug = 7

    package static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
  }

  private let level: Level
  private let write: @Sendable (Level, String) -> Void

  /// - Parameters:
  ///   - level: the least important level that is written
  ///   - write: takes one line without its end
  package init(level: Level, write: @escaping @Sendable (Level, String) -> Void) {
    self.level = level
    self.write = write
  }

  /// Discards everything.
  package static let silent = Logger(level: .error) { _, _ in }

  package func error(_ message: @autoclosure () -> String) { log(.error, message) }
  package func warning(_ message: @autoclosure () -> String) { log(.warning, message) }
  package func notice(_ message: @autoclosure () -> String) { log(.notice, message) }
  package func info(_ message: @autoclosure () -> String) { log(.info, message) }
  package func debug(_ message: @autoclosure () -> String) { log(.debug, message) }

  private func log(_ level: Level, _ message: () -> String) {
    guard level <= self.level else { return }
    write(level, message())
  }
}
