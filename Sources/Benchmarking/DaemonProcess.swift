internal import CLinux
internal import Client
internal import Glibc
internal import Platform
internal import WebAuthn

/// How a daemon under test is set up.
struct DaemonSetup {
  /// `countersignd`.
  var program: String
  /// Where its sockets and its configuration are.
  var folder: String
  var tcti: String
  var stateDirectory: String
  var auditLog: String
  /// The one that lets the jobs sign, and before it others, which mean other relying parties.
  var rules = 1

  var socket: String { folder + "/ctap.sock" }
  var adminSocket: String { folder + "/admin.sock" }

  var configuration: String {
    let others = (1..<max(rules, 1)).map { number in
      """
      { name: "other-\(number)", callers: [{ user: \(getuid()) }], relyingParties: ["site-\(number).example"],
        operations: ["authenticate"] },

      """
    }
    return """
      { rules: [\(others.joined())
        { name: "bench", callers: [{ user: \(getuid()) }], relyingParties: ["\(Jobs.relyingPartyID)"],
          operations: ["register", "authenticate"] }],
        limits: { connections: 600 }, audit: { journal: false }, log: { level: "warning" } }
      """
  }
}

/// The daemon under test, which ends with this process.
final class DaemonProcess {
  let jobs: Jobs
  let nanosecondsToReady: UInt64
  private let setup: DaemonSetup
  private let process: ChildProcess
  private let clock: clockid_t

  /// Starts it, and waits until jobs can connect.
  ///
  /// - Throws: ``BenchFailure``, ``Interrupted``, `SystemError`
  init(_ setup: DaemonSetup, _ ending: Interruption) throws {
    self.setup = setup
    jobs = Jobs(socket: setup.socket)
    let file = setup.folder + "/countersign.json"
    try AtomicFile(path: file, mode: 0o600).commit(Array(setup.configuration.utf8))
    let null = try Descriptor(opening: "/dev/null", flags: O_RDWR)
    let time = SystemTime()
    let begin = time.monotonicNanoseconds
    process = try ChildProcess(
      setup.program,
      arguments: [
        "--config", file, "--socket", setup.socket, "--admin-socket", setup.adminSocket, "--state-directory",
        setup.stateDirectory, "--audit-log", setup.auditLog, "--tpm", setup.tcti,
      ], descriptors: [null.raw, 2, 2], isTied: true)
    let process = process
    let path = setup.socket
    try waitUntil("countersignd to listen", ending) {
      if process.waitForEnd(within: 0) { throw BenchFailure("countersignd has ended: see its own words above") }
      return (try? UnixSocket.isListening(at: path)) == true
    }
    nanosecondsToReady = time.monotonicNanoseconds - begin
    var clock = clockid_t()
    let status = unsafe clock_getcpuclockid(process.identifier, &clock)
    guard status == 0 else { throw SystemError(call: "clock_getcpuclockid", code: status) }
    self.clock = clock
  }

  /// Nanoseconds of processor time that it has used, user and system.
  var processorNanoseconds: UInt64 {
    var time = timespec()
    guard unsafe clock_gettime(clock, &time) == 0 else { return 0 }
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Resident memory in bytes.
  ///
  /// - Throws: `SystemError`
  func residentBytes() throws -> Int {
    let file = try Descriptor(opening: "/proc/\(process.identifier)/statm", flags: O_RDONLY)
    let fields = String(decoding: try file.read(upTo: 256), as: UTF8.self).split(separator: " ")
    guard fields.count > 1, let pages = Int(fields[1]) else { throw BenchFailure("/proc tells no resident memory") }
    return pages * Int(getpagesize())
  }

  /// Resident memory once it changes no more: the daemon gives back what its start needed a moment after it listens.
  ///
  /// - Throws: `SystemError`, ``Interrupted``
  func restingBytes(_ ending: Interruption) throws -> Int {
    var last = try residentBytes()
    var unchanged = 0
    for _ in 0..<200 where unchanged < 20 {
      try ending.check()
      usleep(10_000)
      let now = try residentBytes()
      unchanged = now == last ? unchanged + 1 : 0
      last = now
    }
    return last
  }

  /// What it says of itself.
  ///
  /// - Throws: `ClientError`
  func status() throws -> DaemonStatus {
    let deadline = Deadline(milliseconds: 10_000)
    let client = AdminClient(try SocketConnection(path: setup.adminSocket, until: deadline))
    return DaemonStatus(try client.status(until: deadline))
  }

  /// Asks it to end, and waits until it has.
  func stop() {
    if !process.waitForEnd(within: 0) { _ = Glibc.kill(process.identifier, SIGTERM) }
    process.end(within: 20_000)
  }
}

/// Of the daemon's status, what is of use here.
struct DaemonStatus {
  var auditRecords: Int64 = 0
  var auditSynchronizations: Int64 = 0
  /// e.g. `IBM, SW   TPM, software`
  var tpm = ""
  var isSoftware = false
  /// NV indices that it has defined in the TPM.
  var indices: [UInt32] = []
  /// Persistent handles of keys that it has pinned.
  var pins: [UInt32] = []

  init(_ members: [String: JSONValue]) {
    if case .object(let log) = members["auditLog"] {
      if case .integer(let number) = log["records"] { auditRecords = number }
      if case .integer(let number) = log["synchronizations"] { auditSynchronizations = number }
    }
    guard case .object(let tpm) = members["tpm"] else { return }
    func text(_ name: String) -> String? { if case .string(let text) = tpm[name] { text } else { nil } }
    self.tpm = [text("manufacturer"), text("vendor"), text("kind")].compactMap(\.self).joined(separator: ", ")
    isSoftware = text("kind") != "hardware"
    func number(_ text: String) -> UInt32? {
      UInt32(text.hasPrefix("0x") ? String(text.dropFirst(2)) : text, radix: 16)
    }
    indices = ["counterIndex", "retryIndex", "anchorIndex"].compactMap { text($0).flatMap(number) }
    if case .object(let pinned) = tpm["pins"], case .array(let handles) = pinned["handles"] {
      pins = handles.compactMap { if case .string(let text) = $0 { number(text) } else { nil } }
    }
  }
}

/// swtpm, listening for one client after another; it ends with this process.
final class SoftwareTPMProcess {
  let socket: String
  private let process: ChildProcess

  var tcti: String { "swtpm:path=\(socket)" }

  /// - Parameters:
  ///   - folder: absolute; its state goes to `tpm` there
  ///   - ending: asked while it is waited for
  /// - Throws: ``BenchFailure``, ``Interrupted``, `SystemError`
  init(folder: String, _ ending: Interruption) throws {
    let socket = folder + "/tpm.sock"
    self.socket = socket
    try makeFolder(folder + "/tpm")
    process = try SoftwareTPMProcess.start(folder, socket)
    try waitUntil("swtpm to listen", ending) { isThere(socket) && isThere(socket + ".ctrl") }
  }

  private static func start(_ folder: String, _ socket: String) throws -> ChildProcess {
    let null = try Descriptor(opening: "/dev/null", flags: O_RDWR)
    do throws(SystemError) {
      return try ChildProcess(
        "swtpm",
        arguments: [
          "socket", "--tpm2", "--tpmstate", "dir=\(folder)/tpm", "--server", "type=unixio,path=\(socket)", "--ctrl",
          "type=unixio,path=\(socket).ctrl", "--flags", "not-need-init,startup-clear",
        ], descriptors: [null.raw, null.raw, null.raw], isTied: true)
    } catch {
      guard error.code == ENOENT else { throw error }
      throw BenchFailure("swtpm is not installed: install the package swtpm, or name a TPM with --tpm")
    }
  }

  func stop() {
    process.kill()
    process.end(within: 2000)
  }
}

func makeFolder(_ path: String) throws(SystemError) {
  try checked("mkdir \(path)") { unsafe mkdir(path, 0o700) }
}

func isThere(_ path: String) -> Bool {
  unsafe access(path, F_OK) == 0
}

/// Runs a program to its end.
///
/// - Returns: what it wrote to standard output, at most 64 KiB; nil where there is no such program, or it failed
func output(of program: String, _ arguments: [String], folder: String) -> String? {
  let path = folder + "/output"
  do {
    let null = try Descriptor(opening: "/dev/null", flags: O_RDWR)
    let file = try Descriptor(opening: path, flags: O_RDWR | O_CREAT | O_TRUNC)
    try ChildProcess(program, arguments: arguments, descriptors: [null.raw, file.raw, null.raw]).end(within: 60_000)
    let bytes = try file.bytes(at: 0, count: 65_536)
    return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
  } catch {
    return nil
  }
}

/// Benchmarks poll; tests do not.
func waitUntil(_ what: String, _ ending: Interruption, _ condition: () throws -> Bool) throws {
  for _ in 0..<240_000 {
    if try condition() { return }
    try ending.check()
    usleep(250)
  }
  throw BenchFailure("waited too long for \(what)")
}
