internal import Glibc

/// Standard error, one line a message. systemd reads a priority before each line (sd-daemon(3)); people read a word.
package enum ConsoleLogger {
  /// How long the end of the process waits for a reader.
  private static let patience: Int32 = 1000

  /// One for the process; nil where it could not have its thread.
  private static let writer: LineWriter? = {
    let writer = try? LineWriter(to: STDERR_FILENO) { line(.warning, "\($0) lines lost: nobody read them in time") }
    if writer != nil { atexit { ConsoleLogger.flush() } }
    return writer
  }()

  /// A logger that never waits for who reads standard error: see ``LineWriter``.
  package static func make(level: Logger.Level) -> Logger {
    make(level: level, writer: writer)
  }

  static func make(level: Logger.Level, writer: LineWriter?) -> Logger {
    Logger(level: level) { level, message in
      let line = line(level, message)
      if let writer { writer.add(line) } else { writeAll(line, to: STDERR_FILENO, within: 0) }
    }
  }

  /// Writes one line directly, after all that was logged before: for what is said before the end. Waits for a bounded
  /// time.
  package static func complain(_ message: String) {
    flush()
    writeAll("\(program): \(oneLine(message))\n", to: STDERR_FILENO, within: patience)
  }

  /// The program's name as it was called, before each line that people read.
  package static let program = CommandLine.arguments.first?.split(separator: "/").last.map(String.init) ?? "countersign"

  private static func flush() {
    writer?.flush(within: patience)
  }

  private static let isJournal = isJournal(
    unsafe getenv("JOURNAL_STREAM").map { unsafe String(cString: $0) }, STDERR_FILENO)

  /// Whether this descriptor is the stream that JOURNAL_STREAM names by `device:inode` (systemd.exec(5)): what a service
  /// starts inherits the variable, whatever its standard error is.
  static func isJournal(_ stream: String?, _ descriptor: Int32) -> Bool {
    guard let stream, let identity = try? Descriptor.identity(of: descriptor) else { return false }
    return stream == "\(identity.device):\(identity.inode)"
  }

  private static func line(_ level: Logger.Level, _ message: String) -> String {
    let text = oneLine(message)
    return isJournal ? "<\(level.rawValue)>\(text)\n" : "\(program): \(word(level))\(text)\n"
  }

  /// Text from outside (an RP ID, a reason) must not forge a line.
  static func oneLine(_ message: String) -> String {
    String(
      String.UnicodeScalarView(
        message.unicodeScalars.map { scalar in
          let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
          return isControl || scalar.value == 0x2028 || scalar.value == 0x2029 ? "\u{fffd}" : scalar
        }))
  }

  private static func word(_ level: Logger.Level) -> String {
    switch level {
    case .error: "error: "
    case .warning: "warning: "
    case .notice, .info: ""
    case .debug: "debug: "
    }
  }
}
