import CLinux
import Glibc
import Platform
import TestSupport
import Testing

@Suite struct ServiceManagerTests {
  private func announcement(_ variables: [String: String], process: Int32 = 42) -> [String]? {
    ServiceManager.Announcement(environment: { variables[$0] }, process: process)?.names
  }

  @Test func passedDescriptors() {
    #expect(announcement([:]) == nil)
    #expect(announcement(["LISTEN_PID": "42", "LISTEN_FDS": "1"]) == ["unknown"])
    #expect(
      announcement(["LISTEN_PID": "42", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "ctap:admin"]) == ["ctap", "admin"])
    #expect(
      announcement(["LISTEN_PID": "42", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "ctap:"]) == [
        "ctap", "unknown", "unknown",
      ])
    #expect(announcement(["LISTEN_PID": "42", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a:b"]) == ["a"])
    // Meant for another process, or nonsense.
    #expect(announcement(["LISTEN_PID": "41", "LISTEN_FDS": "1"]) == nil)
    #expect(announcement(["LISTEN_FDS": "1"]) == nil)
    for count in ["0", "-1", "", "x", "1 ", "1025", "99999999999999999999"] {
      #expect(announcement(["LISTEN_PID": "42", "LISTEN_FDS": count]) == nil)
    }
  }

  @Test func notAWordWithoutAManager() throws {
    let notifier = ServiceNotifier(environment: { _ in nil }, process: 1)
    #expect(notifier.path == nil)
    #expect(notifier.watchdogNanoseconds == nil)
    try notifier.notify(.ready)
  }

  @Test(arguments: [false, true]) func notifications(isAbstract: Bool) throws {
    let folder = TemporaryDirectory()
    let path = isAbstract ? "@countersign-\(UInt64.random(in: 0 ... .max))" : folder.path("notify")
    let manager = try DatagramReceiver(path: path)
    let notifier = ServiceNotifier(environment: { $0 == "NOTIFY_SOCKET" ? path : nil }, process: 1)
    try notifier.notify(.ready, .status("serving\ntwo lines"))
    #expect(manager.next() == "READY=1\nSTATUS=serving two lines\n")
    try notifier.notify(.reloading(monotonicMicroseconds: 7))
    #expect(manager.next() == "RELOADING=1\nMONOTONIC_USEC=7\n")
    try notifier.notify(.watchdog)
    #expect(manager.next() == "WATCHDOG=1\n")
    try notifier.notify(.stopping)
    #expect(manager.next() == "STOPPING=1\n")
    guard case .reloading(let time) = ServiceNotifier.reloadingNow else { return #expect(Bool(false)) }
    #expect(time > 0)
  }

  @Test func aMissingManagerIsAnError() {
    let folder = TemporaryDirectory()
    let path = folder.path("none")
    let notifier = ServiceNotifier(environment: { $0 == "NOTIFY_SOCKET" ? path : nil }, process: 1)
    #expect(throws: SystemError(call: "notify \(path)", code: ENOENT)) { try notifier.notify(.ready) }
  }

  @Test func watchdog() {
    func limit(_ variables: [String: String]) -> UInt64? {
      ServiceNotifier(environment: { variables[$0] }, process: 42).watchdogNanoseconds
    }
    #expect(limit(["WATCHDOG_USEC": "30000000"]) == 30_000_000_000)
    #expect(limit(["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"]) == 30_000_000_000)
    #expect(limit(["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "41"]) == nil)
    #expect(limit(["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "x"]) == nil)
    #expect(limit(["WATCHDOG_USEC": "0"]) == nil)
    #expect(limit(["WATCHDOG_USEC": "-5"]) == nil)
    #expect(limit(["WATCHDOG_USEC": "18446744073709551615"]) == nil)
  }
}

/// What systemd is to a service: a datagram socket.
private final class DatagramReceiver {
  private let socket: Descriptor

  init(path: String) throws {
    let raw = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    socket = Descriptor(owning: raw)
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8) }
    var length = socklen_t(2 + path.utf8.count)
    if path.hasPrefix("@") { name.sun_path.0 = 0 } else { length += 1 }
    try checked("bind") {
      withUnsafePointer(to: &name) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(raw, $0, length) }
      }
    }
  }

  func next() -> String? {
    (try? socket.read(upTo: 4096)).map { String(decoding: $0, as: UTF8.self) }
  }
}

@Suite struct SignalTests {
  @Test func signalsAreRead() throws {
    // Nothing here suspends: the mask is the thread's own.
    var before = sigset_t()
    pthread_sigmask(SIG_BLOCK, nil, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let signals = try SignalDescriptor([.user1, .hangup])
    #expect(signals.next() == nil)
    pthread_kill(pthread_self(), SIGUSR1)
    pthread_kill(pthread_self(), SIGHUP)
    #expect(Set([signals.next(), signals.next()]) == [.user1, .hangup])
    #expect(signals.next() == nil)
  }

  @Test func numbers() {
    #expect(Signal.hangup.rawValue == SIGHUP)
    #expect(Signal.interrupt.rawValue == SIGINT)
    #expect(Signal.terminate.rawValue == SIGTERM)
    #expect(Signal.childEnded.rawValue == SIGCHLD)
    #expect(Signal.user1.rawValue == SIGUSR1)
  }
}

@Suite struct ResourceLimitTests {
  @Test func descriptorLimit() {
    #expect(raiseDescriptorLimit() > 0)
  }
}
