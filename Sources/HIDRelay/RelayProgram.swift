internal import Glibc
internal import Platform

/// The program `countersign-hid`: from its arguments to its exit status.
package enum RelayProgram {
  private enum Happening: Sendable {
    case signal(Signal)
    case relay(RelayEvent)
    /// The device should be ready by now.
    case late
  }

  /// How long the kernel takes to find a driver, at most.
  private static let driverNanoseconds: UInt64 = 5_000_000_000
  /// How long a request in progress may take at the end.
  private static let patience: UInt64 = 10_000_000_000

  /// Runs until SIGTERM or SIGINT, or until it cannot go on.
  ///
  /// - Parameter arguments: without the program's name
  /// - Returns: the exit status, as `--help` lists them
  package static func run(_ arguments: [String]) -> Int32 {
    let options: RelayOptions
    do {
      options = try RelayOptions(arguments)
    } catch {
      return ServiceProcess.complain(.usage, "\(error)").rawValue
    }
    return run(options).rawValue
  }

  private static func run(_ options: RelayOptions) -> ExitCode {
    switch options.action {
    case .help: return ServiceProcess.say(RelayOptions.help)
    case .version: return ServiceProcess.say("countersign-hid \(CountersignVersion.text)")
    case .run: break
    }
    do {
      return try ServiceProcess.run { signals, _ in
        do {
          return try await serve(options, until: signals)
        } catch {
          return ServiceProcess.complain(.failure, "\(error)")
        }
      }
    } catch {
      return ServiceProcess.complain(.failure, "\(error)")
    }
  }

  private static func serve(_ options: RelayOptions, until signals: SignalDescriptor) async throws -> ExitCode {
    let logger = ConsoleLogger.make(level: options.isDebugging ? .debug : .info)
    ServiceProcess.warnOfRoot(unit: "countersign-hid.service", logger)
    raiseDescriptorLimit()
    let loop = try EventLoop(name: "relay")
    let (happenings, sink) = AsyncStream.makeStream(of: Happening.self)
    let daemon = JobSocket.path(option: options.socket, environment: ServiceManager.environment)
    let relay = Relay(loop: loop, settings: RelaySettings(daemon: daemon), log: logger) { sink.yield(.relay($0)) }
    let notifier = ServiceNotifier()
    notifier.startWatchdog(on: loop, log: logger)
    Task.detached {
      for await signal in SignalStream.make(signals) { sink.yield(.signal(signal)) }
      sink.yield(.signal(.terminate))
    }
    try await open(options.source, relay) { sink.yield(.relay(.ready)) }

    let clock = loop.after(nanoseconds: driverNanoseconds) { sink.yield(.late) }
    var status = ExitCode.done
    waiting: for await happening in happenings {
      switch happening {
      case .relay(.ready):
        let text = "\(options.source.text), for \(daemon)"
        logger.info("ready: \(text)")
        notifier.tell([.ready, .status(text)], log: logger)
        ProcessMemory.releaseStartup()
        loop.cancel(clock)
      case .late: logger.warning("the kernel has no driver for the device yet: load its module hid-generic")
      case .relay(.lost(let error)):
        logger.error("the device is gone: \(error): see the kernel's log")
        status = .failure
        break waiting
      // There is nothing to read again.
      case .signal(.hangup): continue
      case .signal: break waiting
      }
    }
    notifier.tell([.stopping], log: logger)
    logger.info("stopping")
    await relay.stop(within: patience)
    loop.stop()
    return status
  }

  private static func open(_ source: RelayOptions.Source, _ relay: Relay, ready: () -> Void) async throws {
    switch source {
    case .uhid(let path):
      do throws(SystemError) {
        try await relay.show(on: try Descriptor(opening: path, flags: O_RDWR | O_NONBLOCK))
      } catch {
        throw DeviceError(path: path, cause: error)
      }
    case .reports(let path):
      try await relay.listen(on: try Listener(.packets, path: path, mode: 0o660))
      ready()
    }
  }
}

extension RelayOptions.Source {
  fileprivate var text: String {
    switch self {
    case .uhid: "the virtual device is there"
    case .reports(let path): "reports on \(path)"
    }
  }
}

/// Why there is no device, and what to do.
struct DeviceError: Error, CustomStringConvertible {
  let path: String
  let cause: SystemError

  var description: String {
    let remedy =
      switch cause.code {
      case ENOENT, ENODEV, ENXIO: "load the kernel's module uhid (modprobe uhid), or use --reports"
      case EACCES, EPERM: "only the service's own user may open it: systemctl start countersign-hid"
      default: "see the kernel's log"
      }
    return "no virtual device on \(path): \(cause): \(remedy)"
  }
}
