internal import Glibc

/// The life of a service's process, from its arguments to its exit status.
package enum ServiceProcess {
  /// Runs a service. Blocks: with an asynchronous `main`, Dispatch would take the main thread and unblock every signal
  /// there, so that SIGTERM killed the process. Call it before there are threads.
  ///
  /// - Parameter body: gets SIGHUP, SIGINT and SIGTERM, and what the service manager passed; returns the exit status
  /// - Returns: that exit status
  /// - Throws: ``SystemError``
  package static func run(
    _ body: @escaping @Sendable (SignalDescriptor, [PassedDescriptor]) async -> ExitCode
  ) throws(SystemError) -> ExitCode {
    ProcessMemory.boundHeaps()
    SignalDescriptor.ignoreBrokenPipes()
    // Before there are other threads, which inherit that these are blocked.
    let signals = try SignalDescriptor([.hangup, .interrupt, .terminate])
    let passed = try ServiceManager.takeDescriptors()
    let ended = try EventCounter()
    let status = Lock(ExitCode.failure)
    Task.detached {
      let result = await body(signals, passed)
      status.withLock { $0 = result }
      ended.signal()
    }
    ended.wait()
    return status.withLock { $0 }
  }

  /// Ends the process without what exit(3) has libraries do: OpenSSL frees what it keeps for each thread, and a thread
  /// that ends a moment later frees the same again. Whatever must outlast the process has been closed before.
  package static func end(_ status: Int32) -> Never {
    fflush(nil)
    _exit(status)
  }

  /// One line on standard error.
  package static func complain(_ status: ExitCode, _ message: String) -> ExitCode {
    ConsoleLogger.complain(message)
    return status
  }

  /// On standard output.
  package static func say(_ text: String) -> ExitCode {
    print(text)
    return .done
  }

  /// Where it is so, says that a user of its own is safer.
  ///
  /// - Parameters:
  ///   - unit: in which `User=` would name one
  ///   - log: for the operator
  package static func warnOfRoot(unit: String, _ log: Logger) {
    if getuid() == 0 { log.notice("running as root: a user of its own is safer (User= in \(unit))") }
  }
}

extension ServiceNotifier {
  /// As ``notify(_:)-([State])``; what fails is logged.
  package func tell(_ states: [State], log: Logger) {
    do {
      try notify(states)
    } catch {
      log.warning("service manager: \(error)")
    }
  }

  /// Tells that we live, twice in the watchdog's time, from the event loop: while it hangs, nothing is sent.
  package func startWatchdog(on loop: EventLoop, log: Logger) {
    guard let limit = watchdogNanoseconds else { return }
    loop.after(nanoseconds: limit / 2) { [weak loop] in
      tell([.watchdog], log: log)
      if let loop { startWatchdog(on: loop, log: log) }
    }
  }
}
