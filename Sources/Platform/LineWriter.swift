internal import Glibc

/// Lines on their way to a descriptor that may block, such as standard error: a thread of its own writes them, and
/// whoever has something to say never waits. A reader that is too slow loses lines and is told how many.
package final class LineWriter: Sendable {
  private struct State {
    var lines: [String] = []
    /// Of the lines that are not written yet, those too that the thread has taken.
    var bytes = 0
    /// Since the last line that there was room for.
    var lost = 0
    var isWriting = false
    var waiting: [EventCounter] = []
  }

  /// Bytes that may wait.
  static let capacity = 262_144

  private let state = Lock(State())
  private let wake: EventCounter
  private let raw: Int32
  private let complaint: @Sendable (Int) -> String

  /// Starts the thread, which never ends.
  ///
  /// - Parameters:
  ///   - raw: stays open; is not closed
  ///   - complaint: the line for so many lost lines, with its end
  /// - Throws: ``SystemError`` where no descriptor or thread can be had
  package init(to raw: Int32, complaint: @escaping @Sendable (Int) -> String) throws(SystemError) {
    self.raw = raw
    self.complaint = complaint
    wake = try EventCounter()
    try startThread(named: "log") { [self] in run() }
  }

  /// - Parameter line: with its end
  package func add(_ line: String) {
    let wasEmpty = state.withLock { state in
      let count = line.utf8.count
      guard state.bytes + count <= Self.capacity else {
        state.lost += 1
        return false
      }
      let wasEmpty = state.lines.isEmpty
      complainOfLoss(&state)
      state.lines.append(line)
      state.bytes += count
      return wasEmpty
    }
    if wasEmpty { wake.signal() }
  }

  /// Waits until all is written that was added before.
  ///
  /// - Parameter milliseconds: how long at most
  /// - Returns: whether it is
  @discardableResult
  package func flush(within milliseconds: Int32) -> Bool {
    guard let done = try? EventCounter() else { return false }
    let isDone = state.withLock { state in
      if state.lines.isEmpty && !state.isWriting { return true }
      state.waiting.append(done)
      return false
    }
    return isDone || waitUntilReadable([done.raw], within: milliseconds) != nil
  }

  /// The gap is told where it is.
  private func complainOfLoss(_ state: inout State) {
    guard state.lost > 0 else { return }
    let line = complaint(state.lost)
    state.lines.append(line)
    state.bytes += line.utf8.count
    state.lost = 0
  }

  private func run() {
    while true {
      let lines = state.withLock { state in
        if state.lines.isEmpty { complainOfLoss(&state) }
        defer { state.lines = [] }
        state.isWriting = !state.lines.isEmpty
        return state.lines
      }
      for line in lines {
        writeAll(line, to: raw, within: -1)
        state.withLock { $0.bytes -= line.utf8.count }
      }
      if lines.isEmpty {
        let waiting = state.withLock { state -> [EventCounter] in
          // Lines that have come since are written first, for who waits for them too.
          guard state.lines.isEmpty else { return [] }
          defer { state.waiting = [] }
          return state.waiting
        }
        for counter in waiting { counter.signal() }
        wake.wait()
      }
    }
  }
}

/// One write(2) where it takes all, so that lines of several threads do not mix. Where nobody reads, nothing is lost
/// but the line.
///
/// - Parameters:
///   - text: what to write
///   - raw: where to
///   - milliseconds: how long to wait for room, before each part; -1 for ever
func writeAll(_ text: String, to raw: Int32, within milliseconds: Int32) {
  // Of a pipe, what poll(2) says holds for so many bytes.
  var rest = ArraySlice(text.utf8)
  while !rest.isEmpty {
    var state = pollfd(fd: raw, events: Int16(POLLOUT), revents: 0)
    guard let ready = try? checked("poll", { unsafe poll(&state, 1, milliseconds) }), ready > 0 else { return }
    let part = rest.prefix(Int(PIPE_BUF))
    let count = try? checked("write") {
      unsafe part.withUnsafeBytes { unsafe Glibc.write(raw, $0.baseAddress, $0.count) }
    }
    guard let count else { return }
    rest.removeFirst(count)
  }
}
