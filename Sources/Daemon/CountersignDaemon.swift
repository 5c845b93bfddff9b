internal import Authenticator
internal import Configuration
internal import Glibc
internal import Platform
internal import Policy

/// The program `countersignd`: from its arguments to its exit status.
package enum CountersignDaemon {
  /// Runs until SIGTERM or SIGINT, or until it cannot go on.
  ///
  /// - Parameter arguments: without the program's name
  /// - Returns: the exit status, as `--help` lists them
  package static func run(_ arguments: [String]) -> Int32 {
    let options: DaemonOptions
    do {
      options = try DaemonOptions(arguments)
    } catch {
      return ServiceProcess.complain(.usage, "\(error)").rawValue
    }
    return run(options).rawValue
  }

  private static func run(_ options: DaemonOptions) -> ExitCode {
    switch options.action {
    case .help: ServiceProcess.say(DaemonOptions.help)
    case .version: ServiceProcess.say("countersignd \(CountersignVersion.text)")
    case .checkConfiguration: check(Configured(options: options))
    case .run: serve(Configured(options: options))
    }
  }

  private static func check(_ configured: Configured) -> ExitCode {
    do {
      let loaded = try configured.load()
      for notice in loaded.notices { _ = ServiceProcess.complain(.done, notice) }
      return ServiceProcess.say(
        "\(loaded.files.joined(separator: ", ")): good, \(counted(loaded.settings.rules.rules.count, "rule"))")
    } catch {
      return ServiceProcess.complain(.usage, "\(error)")
    }
  }

  private static func serve(_ configured: Configured) -> ExitCode {
    do {
      return try ServiceProcess.run { signals, passed in await serve(configured, passed, signals) }
    } catch {
      return ServiceProcess.complain(.failure, "\(error)")
    }
  }

  private static func serve(
    _ configured: Configured, _ passed: [PassedDescriptor], _ signals: SignalDescriptor
  ) async -> ExitCode {
    do {
      let (events, sink) = AsyncStream.makeStream(of: DaemonEvent.self)
      Task {
        for await signal in SignalStream.make(signals) { sink.yield(.signal(signal)) }
        sink.finish()
      }
      // Once more where what was served has been decommissioned.
      var passed = passed
      var previous: RunningDaemon?
      while let daemon = try await RunningDaemon.start(configured, passed: passed, until: events, sink) {
        previous = daemon
        if await !daemon.serve(until: events) { break }
        // Who connects in between waits.
        passed = daemon.sockets
      }
      withExtendedLifetime(previous) {}
      return .done
    } catch let error as ConfigurationError {
      return ServiceProcess.complain(.usage, "\(error)")
    } catch let error as KeyStoreError {
      return ServiceProcess.complain(.tpmFailure, "\(error)")
    } catch {
      return ServiceProcess.complain(.failure, "\(error)")
    }
  }
}

/// `1 rule`, `2 rules`.
func counted(_ count: Int, _ noun: String) -> String {
  "\(count) \(noun)\(count == 1 ? "" : "s")"
}
