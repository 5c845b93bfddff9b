import Glibc
import Testing

@testable import Platform

/// A pipe, whose reader is slow by nature.
private final class Pipe: Sendable {
  let reading: Descriptor
  let writing: Descriptor

  init() throws {
    var ends: [Int32] = [0, 0]
    try checked("pipe") { pipe(&ends) }
    reading = Descriptor(owning: ends[0])
    writing = Descriptor(owning: ends[1])
  }

  func readLine(_ rest: inout [UInt8]) throws -> String? {
    while true {
      if let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
        defer { rest.removeFirst(end + 1) }
        return String(decoding: rest[..<end], as: UTF8.self)
      }
      guard waitUntilReadable([reading.raw], within: 20_000) != nil else { return nil }
      rest += try reading.read(upTo: 65_536)
    }
  }
}

/// What lives as long as the process.
private let kept = Lock<[(Pipe, LineWriter)]>([])

@Suite(.timeLimit(.minutes(1))) struct ConsoleLoggerTests {
  /// The writer's thread lives as long as the process, and so must its pipe.
  private func writer() throws -> (Pipe, LineWriter) {
    let pipe = try Pipe()
    let writer = try LineWriter(to: pipe.writing.raw) { "\($0) lost\n" }
    kept.withLock { $0.append((pipe, writer)) }
    return (pipe, writer)
  }

  @Test func linesComeInOrder() throws {
    let (pipe, writer) = try writer()
    for number in 0..<100 { writer.add("line \(number)\n") }
    #expect(writer.flush(within: 20_000))
    var rest: [UInt8] = []
    for number in 0..<100 { #expect(try pipe.readLine(&rest) == "line \(number)") }
    #expect(writer.flush(within: 0), "nothing waits")
  }

  @Test func whoLogsDoesNotWaitForWhoReads() throws {
    let (pipe, writer) = try writer()
    let logger = ConsoleLogger.make(level: .debug, writer: writer)
    let text = String(repeating: "x", count: 80)
    for number in 0..<20_000 { logger.debug("\(number) \(text)") }
    #expect(!writer.flush(within: 1))
    // Every line comes in its order, or is counted where it is missing.
    var rest: [UInt8] = []
    var next = 0
    var gaps = 0
    while next < 20_000, let line = try pipe.readLine(&rest) {
      if line.hasSuffix(" lost"), let lost = Int(line.dropLast(5)) {
        next += lost
        gaps += 1
      } else {
        #expect(line.hasSuffix("\(next) \(text)"))
        next += 1
      }
    }
    #expect(next == 20_000 && gaps > 0)
    #expect(writer.flush(within: 20_000))
    logger.error("the last word")
    #expect(try pipe.readLine(&rest)?.hasSuffix("error: the last word") ?? false)
  }

  @Test func aDirectWriteGivesUp() throws {
    let pipe = try Pipe()
    writeAll(String(repeating: "x", count: 1_000_000), to: pipe.writing.raw, within: 0)
    #expect(waitUntilReadable([pipe.reading.raw], within: 0) != nil)
  }

  /// systemd.exec(5): device and inode of the stream, since what a service starts inherits the variable.
  @Test func theJournalReadsTheStreamThatIsNamed() throws {
    let pipe = try Pipe()
    let identity = try pipe.writing.identity()
    #expect(ConsoleLogger.isJournal("\(identity.device):\(identity.inode)", pipe.writing.raw))
  }

  @Test func anInheritedNameIsOfAnotherStream() throws {
    let pipe = try Pipe()
    let other = try Pipe()
    let identity = try other.writing.identity()
    let name = "\(identity.device):\(identity.inode)"
    for text in [nil, "", ":", "8", name + ":1", " " + name, name, "x:y"] {
      #expect(!ConsoleLogger.isJournal(text, pipe.writing.raw))
    }
    #expect(!ConsoleLogger.isJournal(name, -1))
  }

  @Test func textFromOutsideForgesNoLine() {
    #expect(ConsoleLogger.oneLine("plain, ü, 😀") == "plain, ü, 😀")
    for control in ["\n", "\r", "\0", "\u{1b}", "\u{7f}", "\u{85}", "\u{9b}", "\u{2028}", "\u{2029}"] {
      #expect(ConsoleLogger.oneLine("a\(control)b") == "a\u{fffd}b")
    }
    #expect(ConsoleLogger.oneLine("\r\n") == "\u{fffd}\u{fffd}")
  }
}
