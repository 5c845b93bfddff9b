internal import CLinux
internal import Glibc
internal import Platform

/// A swtpm of its own behind a relay that counts commands, answers them with errors, holds them, or hangs up.
///
/// The relay listens before the test begins, so nothing has to be waited for. swtpm ends with the test process, because
/// its socket does.
package final class SoftwareTPMFixture: Sendable {
  private enum HangUp {
    case before
    case afterwards
  }

  private struct State {
    var hangUp: HangUp?
    /// Where the relay listens; nil while the power is off.
    var listener: Int32?
    /// The relay's socket to swtpm; nil while the power is off.
    var socket: Int32?
    var process: ChildProcess?
    /// The key store's connection.
    var client: Int32?
    var isHeld = false
    /// Commands that are let go all the same.
    var passes = 0
    var commands: [UInt32] = []
    /// Answers that swtpm is not asked for, by command code.
    var answers: [UInt32: [UInt32]] = [:]
    /// Response codes that have been given in place of the TPM's.
    var given: [UInt32: Int] = [:]
    /// Added to what NV counters are read as.
    var ahead: UInt64 = 0

    mutating func mayPass() -> Bool {
      guard isHeld else { return true }
      guard passes > 0 else { return false }
      passes -= 1
      return true
    }
  }

  package let directory: String
  private let state = Lock(State())
  private let changed: EventCounter

  /// - Parameter startup: whether swtpm does TPM2_Startup by itself, as firmware does
  /// - Throws: ``SystemError``, where swtpm is missing for one
  package init(startup: Bool = true) throws {
    var template = Array("/tmp/countersign-tpm-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SystemError(call: "mkdtemp", code: errno) }
    directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    changed = try EventCounter()
    try powerOn(startup: startup)
  }

  deinit {
    powerOff()
    for name in ["state/tpm2-00.permall", "state/tpm2-00.volatilestate", "state/.lock"] {
      unlink(directory + "/" + name)
    }
    rmdir(directory + "/state")
    rmdir(directory)
  }

  /// For the key store, or `--tpm`.
  package var tcti: String { "swtpm:path=\(directory)/s" }

  // MARK: Power

  /// Ends swtpm at once, as losing the power does; the connection breaks.
  package func powerOff() {
    // Nobody listens then, as when swtpm is gone. (tpm2-tss leaks where only one of the two sockets can be connected.)
    for name in ["s", "s.ctrl"] { unlink(directory + "/" + name) }
    let process = state.withLock { state in
      defer { (state.process, state.client, state.socket, state.listener, state.isHeld) = (nil, nil, nil, nil, false) }
      if let socket = state.socket { close(socket) }
      // Their threads close these.
      if let listener = state.listener { shutdown(listener, Int32(SHUT_RDWR)) }
      if let client = state.client { shutdown(client, Int32(SHUT_RDWR)) }
      return state.process
    }
    process?.kill()
    process?.end(within: -1)
    changed.signal()
  }

  package func powerOn(startup: Bool = true) throws {
    mkdir(directory + "/state", 0o700)
    var pair: (Int32, Int32) = (-1, -1)
    let made = withUnsafeMutableBytes(of: &pair) {
      socketpair(
        AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0,
        $0.bindMemory(to: Int32.self).baseAddress)
    }
    guard made == 0 else { throw SystemError(call: "socketpair", code: errno) }
    let theirs = Descriptor(owning: pair.1)
    // tpm2-tss asks swtpm's control channel for the locality when it connects.
    unlink(directory + "/s.ctrl")
    let control = Descriptor(owning: try listen(at: directory + "/s.ctrl"))
    let null = try Descriptor(opening: "/dev/null", flags: O_RDWR)
    let flags = "not-need-init,startup-" + (startup ? "clear" : "none")
    let process = try ChildProcess(
      "swtpm",
      arguments: [
        "socket", "--tpm2", "--tpmstate", "dir=\(directory)/state", "--fd", "3",
        "--ctrl", "type=unixio,fd=4", "--flags", flags,
      ],
      descriptors: [null.raw, null.raw, null.raw, theirs.raw, control.raw])
    state.withLock { state in
      state.socket = pair.0
      state.process = process
    }
    try startRelay()
  }

  private func startRelay() throws {
    guard state.withLock({ $0.listener == nil }) else { return }
    let listener = try listen(at: directory + "/s")
    state.withLock { $0.listener = listener }
    // The relay must not keep the fixture alive, whose deinit ends it.
    try startThread(named: "tpm-relay") { [weak self] in
      // Another test's child must not inherit it: the other end would never see it closed.
      while case let client = cs_accept(listener), client >= 0 {
        _ = fcntl(client, F_SETFL, 0)
        guard let self else {
          close(client)
          continue
        }
        self.relay(client)
      }
      close(listener)
    }
  }

  /// Resets the TPM between two commands, while the connection stands: as a resume from sleep can.
  package func reset(startup: Bool = true) throws {
    let process = state.withLock { state in
      if let socket = state.socket { close(socket) }
      defer { (state.process, state.socket) = (nil, nil) }
      return state.process
    }
    process?.end(within: -1)
    try powerOn(startup: startup)
  }

  /// Clears the TPM: a new one stands there from now on.
  package func replace() throws {
    powerOff()
    unlink(directory + "/state/tpm2-00.permall")
    try powerOn()
  }

  // MARK: The relay

  /// Commands that the TPM has been sent, by code, since ``resetCounts()``; errors injected here included.
  package var counts: [UInt32: Int] { commands.reduce(into: [:]) { $0[$1, default: 0] += 1 } }

  /// The same, in order.
  package var commands: [UInt32] { state.withLock { $0.commands } }

  package func resetCounts() {
    state.withLock { $0.commands = [] }
  }

  /// The next commands with this code get these response codes instead of being carried out; 0 carries out.
  package func answer(_ command: UInt32, with codes: [UInt32]) {
    state.withLock { $0.answers[command, default: []] += codes }
  }

  /// The `after`-th next command with this code (0 is the next) gets this response code.
  package func failOnce(_ command: UInt32, after: Int, with code: UInt32) {
    state.withLock { $0.answers[command] = [UInt32](repeating: 0, count: after) + [code] }
  }

  /// How often each of these response codes was given.
  package var givenAnswers: [UInt32: Int] { state.withLock { $0.given } }

  /// NV counters are read as this much greater than they are, modulo 2^64: as after years, or in another's place.
  package func advanceCounters(by difference: UInt64) {
    state.withLock { $0.ahead = difference }
  }

  /// Ends what ``answer(_:with:)`` and ``failOnce(_:after:with:)`` began.
  package func forgetAnswers() {
    state.withLock { $0.answers = [:] }
  }

  /// Removes a file that a test has put into the folder.
  package func remove(_ name: String) {
    unlink(directory + "/" + name)
  }

  /// From now on the TPM takes commands and does not answer.
  package func hold() {
    state.withLock { ($0.isHeld, $0.passes) = (true, 0) }
  }

  /// Lets one command go, and holds the next.
  package func letOneGo() {
    state.withLock { $0.passes += 1 }
    changed.signal()
  }

  package func letGo() {
    state.withLock { $0.isHeld = false }
    changed.signal()
  }

  /// The next command is lost with the connection: before the TPM has got it, or after the TPM has carried it out.
  /// (Between commands there is nothing to break: tpm2-tss connects to swtpm for each.)
  package func hangUp(afterwards: Bool = false) {
    state.withLock { $0.hangUp = afterwards ? .afterwards : .before }
  }

  private func relay(_ client: Int32) {
    let isOn = state.withLock { state in
      state.client = client
      return state.socket != nil
    }
    while isOn, let command = readMessage(client) {
      let code = command[6..<10].reduce(0) { $0 << 8 | UInt32($1) }
      state.withLock { $0.commands.append(code) }
      while state.withLock({ !$0.mayPass() }) { changed.wait() }
      let hangUp = state.withLock { state in
        defer { state.hangUp = nil }
        return state.hangUp
      }
      if hangUp == .before { break }
      guard let response = exchange(command, code), hangUp == nil, write(client, response) else { break }
    }
    state.withLock { if $0.client == client { $0.client = nil } }
    close(client)
  }

  private func exchange(_ command: [UInt8], _ code: UInt32) -> [UInt8]? {
    state.withLock { state in
      if let answer = state.answers[code]?.first {
        state.answers[code]?.removeFirst()
        if answer != 0 {
          state.given[answer, default: 0] += 1
          return [0x80, 0x01, 0, 0, 0, 10] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: answer >> $0) }
        }
      }
      guard let socket = state.socket, write(socket, command) else { return nil }
      return readMessage(socket).map { code == 0x14E ? ahead($0, by: state.ahead) : $0 }
    }
  }

  /// A response to TPM2_NV_Read: ten bytes of header, the sizes of the parameters (4) and of the data (2), the data.
  private func ahead(_ response: [UInt8], by difference: UInt64) -> [UInt8] {
    guard response.count >= 24, response[14..<16] == [0, 8] else { return response }
    let value = response[16..<24].reduce(0) { $0 << 8 | UInt64($1) } &+ difference
    var changed = response
    for index in 0..<8 { changed[23 - index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
    return changed
  }
}

private func listen(at path: String) throws(SystemError) -> Int32 {
  let listener = try checked("socket") {
    socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
  }
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
  try withUnsafePointer(to: &address) { address throws(SystemError) in
    try address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address throws(SystemError) in
      _ = try checked("bind") { bind(listener, address, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
  }
  try checked("listen") { Glibc.listen(listener, 16) }
  return listener
}

/// One command or response: tag, size, code, rest.
private func readMessage(_ socket: Int32) -> [UInt8]? {
  guard let head = read(socket, 10) else { return nil }
  let size = head[2..<6].reduce(0) { $0 << 8 | Int($1) }
  guard (10...65_536).contains(size) else { return nil }
  if size == 10 { return head }
  return read(socket, size - 10).map { head + $0 }
}

private func read(_ socket: Int32, _ count: Int) -> [UInt8]? {
  var bytes = [UInt8](repeating: 0, count: count)
  let got = recv(socket, &bytes, count, Int32(MSG_WAITALL))
  return got == count ? bytes : nil
}

private func write(_ socket: Int32, _ bytes: [UInt8]) -> Bool {
  send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
}
