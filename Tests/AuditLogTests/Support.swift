import AuditLog
import Glibc
import Platform
import TestSupport

/// Lines of a log, for tests to look at.
final class Lines: Sendable {
  private let lines = Lock<[String]>([])

  var all: [String] { lines.withLock { $0 } }
  var logger: Logger { Logger(level: .debug) { [self] _, line in lines.withLock { $0.append(line) } } }
}

/// A disk that fails on demand, forgets what a failed sync concerned, as Linux does, and can be held in a sync.
final class TestMedium: AuditMedium {
  enum Call: CaseIterable { case write, synchronize, truncate }

  struct State {
    var calls: [Call] = []
    /// Numbers of the calls (from 0) that fail.
    var failing: Range<Int> = 0..<0
    /// Calls of these kinds fail; others do not count.
    var kinds: Set<Call> = Set(Call.allCases)
    var code = EIO
    /// Written and not yet asked for.
    var dirty: [UInt8] = []
    /// What would be there after a loss of power.
    var durable: [UInt8] = []
    var seen = 0
  }

  private let state = Lock(State())
  /// Where set, a sync signals the first and waits for the second.
  private let gate: (reached: EventCounter, open: EventCounter)?

  init(gate: (reached: EventCounter, open: EventCounter)? = nil) {
    self.gate = gate
  }

  var now: State { state.withLock { $0 } }

  func arm(_ failing: Range<Int>, kinds: Set<Call> = Set(Call.allCases), code: Int32 = EIO) {
    state.withLock {
      $0.failing = failing
      $0.kinds = kinds
      $0.code = code
      $0.seen = 0
    }
  }

  private func fails(_ call: Call) -> Int32? {
    state.withLock { state in
      state.calls.append(call)
      guard state.kinds.contains(call) else { return nil }
      defer { state.seen += 1 }
      return state.failing.contains(state.seen) ? state.code : nil
    }
  }

  func write(_ bytes: [UInt8], to file: borrowing Descriptor) throws(SystemError) {
    if let code = fails(.write) {
      let part = Array(bytes.prefix(bytes.count * 2 / 3))
      try file.write(part)
      state.withLock { $0.dirty += part }
      throw SystemError(call: "write", code: code)
    }
    try file.write(bytes)
    state.withLock { $0.dirty += bytes }
  }

  func synchronize(_ file: borrowing Descriptor) throws(SystemError) {
    if let gate {
      gate.reached.signal()
      gate.open.wait()
    }
    if let code = fails(.synchronize) {
      state.withLock { $0.dirty = [] }
      throw SystemError(call: "fdatasync", code: code)
    }
    try file.synchronize()
    state.withLock { state in
      state.durable += state.dirty
      state.dirty = []
    }
  }

  func truncate(_ file: borrowing Descriptor, to size: Int64) throws(SystemError) {
    if let code = fails(.truncate) { throw SystemError(call: "ftruncate", code: code) }
    try file.truncate(to: size)
  }
}

func record(_ number: Int, reason: String? = nil) -> AuditRecord {
  AuditRecord(
    time: 1_700_000_000_000 + Int64(number), outcome: .allowed, operation: .authenticate,
    connection: UInt64(number), user: 1000, group: 1000, reason: reason)
}

/// Whether the record became durable; else why not.
func outcome(_ ticket: any AuditTicket) async -> AuditError? {
  do throws(AuditError) {
    try await ticket.durable()
    return nil
  } catch {
    return error
  }
}

func lines(of path: String) -> [String] {
  (contents(of: path) ?? []).split(separator: 0x0A, omittingEmptySubsequences: false)
    .map { String(decoding: $0, as: UTF8.self) }
}
