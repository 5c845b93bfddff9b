internal import CLinux
internal import Glibc

/// eventfd(2): `signal()` from any thread wakes one `wait()`; its descriptor can stand in an epoll set.
package final class EventCounter: Sendable {
  private let descriptor: Descriptor

  package init() throws(SystemError) {
    descriptor = Descriptor(owning: try checked("eventfd") { cs_eventfd() })
  }

  /// For epoll(7); readable while signals are pending.
  package var raw: Int32 { descriptor.raw }

  /// Adds one. Cannot fail: the count would have to reach 2^64 - 1.
  package func signal() {
    var one: UInt64 = 1
    unsafe _ = write(descriptor.raw, &one, 8)
  }

  /// Blocks until signalled and takes all signals.
  package func wait() {
    var count: UInt64 = 0
    while unsafe read(descriptor.raw, &count, 8) == -1, errno == EINTR {}
  }
}

private final class ThreadBody {
  let name: String
  let run: @Sendable () -> Void

  init(name: String, run: @escaping @Sendable () -> Void) {
    self.name = name
    self.run = run
  }
}

/// Starts a detached thread with every signal blocked, so that signals reach only who asked for them.
///
/// - Parameters:
///   - name: as shown by top(1), at most 15 bytes
///   - body: runs on the thread
/// - Throws: ``SystemError`` of pthread_create(3)
package func startThread(named name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
  var attributes = pthread_attr_t()
  unsafe pthread_attr_init(&attributes)
  defer { unsafe pthread_attr_destroy(&attributes) }
  unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))

  var everything = sigset_t()
  var before = sigset_t()
  unsafe sigfillset(&everything)
  unsafe pthread_sigmask(SIG_BLOCK, &everything, &before)
  defer { unsafe _ = pthread_sigmask(SIG_SETMASK, &before, nil) }

  let box = unsafe Unmanaged.passRetained(ThreadBody(name: name, run: body))
  var thread = pthread_t()
  let status = unsafe pthread_create(
    &thread, &attributes,
    { argument in
      guard let argument = unsafe argument else { return nil }
      let body = unsafe Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue()
      unsafe cs_name_thread(String(body.name.prefix(15)))
      body.run()
      return nil
    }, box.toOpaque())
  guard status == 0 else {
    unsafe box.release()
    throw SystemError(call: "pthread_create", code: status)
  }
}
