internal import Authenticator
internal import Configuration
internal import Glibc
internal import Platform
internal import Policy

/// The program `countersignd`: from its arguments to its exit status.
package enum CountersignDaemon {
  /// Runs until SIGTERM or SIGINT, or until it cannot go on. Blocks: with an asynchronous `main`, Dispatch would take
  /// the main thread and unblock every signal there, so that SIGTERM killed the process.
  ///
  /// - Parameter arguments: without the program's name
  /// - Returns: the exit status, as `--help` lists them
  package static func run(_ arguments: [String]) -> Int32 {
    let options: DaemonOptions
    do {
      options = try DaemonOptions(arguments)
    } catch {
      return complain(.usage, "\(error)")
    }
    switch options.action {
    case .help: return say(DaemonOptions.help)
    case .version: return say("countersignd \(CountersignVersion.text)")
    case .checkConfiguration: return check(Configured(options: options))
    case .run: return serve(Configured(options: options))
    }
  }

  private static func check(_ configured: Configured) -> Int32 {
    do {
      let loaded = try configured.load()
      for notice in loaded.notices { _ = complain(.done, notice) }
      return say("\(loaded.files.joined(separator: ", ")): good, \(counted(loaded.settings.rules.rules.count, "rule"))")
    } catch {
      return complain(.usage, "\(error)")
    }
  }

  private static func serve(_ configured: Configured) -> Int32 {
    do {
      ProcessMemory.boundHeaps()
      SignalDescriptor.ignoreBrokenPipes()
      // Before there are other threads, which inherit that these are blocked.
      let signals = try SignalDescriptor([.hangup, .interrupt, .terminate])
      let passed = try ServiceManager.takeDescriptors()
      let ended = try EventCounter()
      let status = Lock(ExitCode.failure.rawValue)
      Task.detached {
        let result = await serve(configured, passed, signals)
        status.withLock { $0 = result }
        ended.signal()
      }
      ended.wait()
      return status.withLock { $0 }
    } catch {
      return complain(.failure, "\(error)")
    }
  }

  private static func serve(
    _ configured: Configured, _ passed: [PassedDescriptor], _ signals: SignalDescriptor
  ) async -> Int32 {
    do {
      let daemon = try await RunningDaemon.start(configured, passed: passed)
      await daemon.serve(until: signals)
      return ExitCode.done.rawValue
    } catch let error as ConfigurationError {
      return complain(.usage, "\(error)")
    } catch let error as KeyStoreError {
      return complain(.tpmFailure, "\(error)")
    } catch let error as StoreError {
      return complain(.failure, "\(error)")
    } catch {
      return complain(.failure, "\(error)")
    }
  }

  /// One line on standard error.
  private static func complain(_ status: ExitCode, _ message: String) -> Int32 {
    ConsoleLogger.write("countersignd: \(ConsoleLogger.oneLine(message))\n")
    return status.rawValue
  }

  private static func say(_ text: String) -> Int32 {
    print(text)
    return ExitCode.done.rawValue
  }
}

/// `1 rule`, `2 rules`.
func counted(_ count: Int, _ noun: String) -> String {
  "\(count) \(noun)\(count == 1 ? "" : "s")"
}
