internal import CLinux
internal import Glibc
internal import Platform

/// Stands between the daemon and a software TPM, one connection after another, and lets each command take as long as a
/// profile says. It counts the commands, and the time that the TPM behind it takes for them.
final class LatencyRelay: Sendable {
  /// What has passed since ``take()``.
  struct Passed: Equatable {
    /// Commands, by their code.
    var commands: [UInt32: Int] = [:]
    /// Time that the TPM took itself, without what is added.
    var nanoseconds: UInt64 = 0

    var total: Int { commands.values.reduce(0, +) }
  }

  private let target: String
  private let profile = Lock(LatencyProfile.none)
  private let passed = Lock(Passed())
  private let listener: Descriptor
  private let path: String

  /// For `--tpm`.
  var tcti: String { "swtpm:path=\(path)" }

  /// - Parameters:
  ///   - path: of the socket to listen at; the control channel stands beside it (`.ctrl`)
  ///   - target: socket of a software TPM, whose control channel is passed on as it is
  /// - Throws: ``SystemError``
  init(path: String, target: String) throws(SystemError) {
    self.path = path
    self.target = target
    listener = try UnixSocket.listen(at: path, mode: 0o600)
    try checked("symlink \(path).ctrl") { unsafe symlink(target + ".ctrl", path + ".ctrl") }
    try startThread(named: "relay") { [weak self] in
      while let relay = self, relay.acceptOne() {}
    }
  }

  /// Lets commands take so long from now on.
  func imitate(_ profile: LatencyProfile) {
    self.profile.withLock { $0 = profile }
  }

  /// What has passed since the last call.
  func take() -> Passed {
    passed.withLock { passed in
      defer { passed = Passed() }
      return passed
    }
  }

  /// - Returns: false once there is nothing more to accept
  private func acceptOne() -> Bool {
    guard waitUntilReadable([listener.raw], within: 500) != nil else { return true }
    do {
      guard let client = try UnixSocket.accept(listener) else { return true }
      let tpm = try UnixSocket.connect(to: target)
      try makeBlocking(client)
      while try relayOne(from: client, to: tpm) {}
      return true
    } catch {
      // A client that hangs up in the middle of a command.
      return error.code == EPIPE || error.code == ECONNRESET || error.code == EPROTO
    }
  }

  /// - Returns: false where the client has hung up
  private func relayOne(
    from client: borrowing Descriptor, to tpm: borrowing Descriptor
  ) throws(SystemError) -> Bool {
    guard let command = try message(from: client) else { return false }
    let arrived = SystemTime().monotonicNanoseconds
    try tpm.write(command.bytes)
    guard let response = try message(from: tpm) else { throw SystemError(call: "read", code: EPROTO) }
    let taken = SystemTime().monotonicNanoseconds - arrived
    let added = profile.withLock { $0.nanoseconds(of: command.head.code) }
    passed.withLock {
      $0.commands[command.head.code, default: 0] += 1
      $0.nanoseconds += taken
    }
    sleep(nanoseconds: added)
    try client.write(response.bytes)
    return true
  }

  /// A whole command or response; nil at the end of the connection.
  private func message(
    from descriptor: borrowing Descriptor
  ) throws(SystemError) -> (head: TPMHead, bytes: [UInt8])? {
    var bytes: [UInt8] = []
    while bytes.count < TPMHead.count {
      let part = try descriptor.read(upTo: TPMHead.count - bytes.count)
      if part.isEmpty { return nil }
      bytes += part
    }
    guard let head = TPMHead(bytes) else { throw SystemError(call: "read (no TPM command)", code: EPROTO) }
    while bytes.count < head.size {
      let part = try descriptor.read(upTo: head.size - bytes.count)
      if part.isEmpty { return nil }
      bytes += part
    }
    return (head, bytes)
  }
}

private func makeBlocking(_ descriptor: borrowing Descriptor) throws(SystemError) {
  let raw = descriptor.raw
  let flags = try checked("fcntl") { fcntl(raw, F_GETFL) }
  try checked("fcntl") { fcntl(raw, F_SETFL, flags & ~O_NONBLOCK) }
}

private func sleep(nanoseconds: UInt64) {
  guard nanoseconds > 0 else { return }
  let end = SystemTime().monotonicNanoseconds + nanoseconds
  var time = timespec(tv_sec: Int(end / 1_000_000_000), tv_nsec: Int(end % 1_000_000_000))
  // Until a point in time, so that a signal makes it no longer.
  while unsafe clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &time, nil) == EINTR {}
}
