import Glibc
import Platform

/// swtpm, listening for one client after another.
final class TPMProcess {
  let tcti: String
  private let process: ChildProcess

  init(directory: String) throws {
    let socket = directory + "/tpm.sock"
    mkdir(directory + "/tpm", 0o700)
    let null = try Descriptor(opening: "/dev/null", flags: O_RDWR)
    process = try ChildProcess(
      "swtpm",
      arguments: [
        "socket", "--tpm2", "--tpmstate", "dir=\(directory)/tpm", "--server", "type=unixio,path=\(socket)", "--ctrl",
        "type=unixio,path=\(socket).ctrl", "--flags", "not-need-init,startup-clear",
      ], descriptors: [null.raw, null.raw, 2])
    tcti = "swtpm:path=\(socket)"
    try waitUntil("swtpm listens") { access(socket, F_OK) == 0 && access(socket + ".ctrl", F_OK) == 0 }
  }

  /// Globals of a program are never deinitialised: its end must be asked for.
  func stop() {
    process.kill()
    process.end(within: 2000)
  }
}

/// The daemon under test.
final class DaemonProcess {
  let socket: String
  let nanosecondsToReady: UInt64
  private let process: ChildProcess

  init(program: String, directory: String, tcti: String) throws {
    socket = directory + "/ctap.sock"
    let rules = """
      { rules: [{ name: "bench", callers: [{ user: \(getuid()) }], relyingParties: ["bench.example"],
        operations: ["register", "authenticate"] }], log: { level: "warning" } }
      """
    let configuration = directory + "/countersign.json"
    unlink(configuration)
    try Descriptor(opening: configuration, flags: O_WRONLY | O_CREAT | O_EXCL).write(Array(rules.utf8))
    let clock = SystemTime()
    let begin = clock.monotonicNanoseconds
    process = try ChildProcess(
      program,
      arguments: [
        "--config", configuration, "--socket", socket, "--admin-socket", directory + "/admin.sock",
        "--state-directory", directory + "/state", "--audit-log", directory + "/audit.jsonl", "--tpm", tcti,
      ], descriptors: [0, 1, 2])
    let path = socket
    try waitUntil("the daemon listens") { (try? UnixSocket.isListening(at: path)) == true }
    nanosecondsToReady = clock.monotonicNanoseconds - begin
  }

  /// Resident memory in bytes.
  var residentBytes: Int {
    guard let file = try? Descriptor(opening: "/proc/\(process.identifier)/statm", flags: O_RDONLY),
      let bytes = try? file.read(upTo: 256)
    else { return 0 }
    let fields = String(decoding: bytes, as: UTF8.self).split(separator: " ")
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(getpagesize()) : 0
  }

  /// Asks it to end, and waits until it has.
  func stop() {
    Glibc.kill(process.identifier, SIGTERM)
    process.end(within: 20_000)
  }
}

/// Benchmarks poll; tests do not.
private func waitUntil(_ what: String, _ condition: () -> Bool) throws {
  for _ in 0..<20_000 {
    if condition() { return }
    usleep(500)
  }
  throw SystemError(call: "waiting until \(what)", code: ETIMEDOUT)
}
