internal import Glibc
internal import Platform
internal import WebAuthn

/// The program `countersign-bench`: from its arguments to its exit status.
package enum BenchProgram {
  /// - Parameter arguments: without the program's name
  /// - Returns: the exit status, as `--help` lists them
  package static func run(_ arguments: [String]) -> Int32 {
    let options: BenchOptions
    do {
      options = try BenchOptions(arguments)
    } catch {
      return ServiceProcess.complain(.usage, "\(error)").rawValue
    }
    return run(options).rawValue
  }

  private static func run(_ options: BenchOptions) -> ExitCode {
    do {
      switch options.action {
      case .help: return ServiceProcess.say(BenchOptions.help)
      case .version: return ServiceProcess.say("countersign-bench \(CountersignVersion.text)")
      case .clean(let folder):
        SignalDescriptor.ignoreBrokenPipes()
        try BenchFolder(leftAt: folder).remove(program: options.daemon ?? installedDaemon())
        return .done
      case .run: return try measure(options)
      }
    } catch is Interrupted {
      return ServiceProcess.complain(.failure, "interrupted, before there were figures")
    } catch {
      return ServiceProcess.complain(.failure, "\(error)")
    }
  }

  private static func measure(_ options: BenchOptions) throws -> ExitCode {
    SignalDescriptor.ignoreBrokenPipes()
    _ = raiseDescriptorLimit()
    let ending = Interruption()
    try ending.watch()
    let program = options.daemon ?? installedDaemon()
    let folder = try BenchFolder(in: options.parent, tcti: options.tcti)
    let outcome = Result { try measure(options, program, folder, ending) }
    // Whatever has happened.
    let removal = Result { try folder.remove(program: program) }
    if case .failure(let error) = outcome {
      if case .failure(let another) = removal { say("\(another)") }
      throw error
    }
    try publish(try outcome.get(), options)
    try removal.get()
    return .done
  }

  private static func measure(
    _ options: BenchOptions, _ program: String, _ folder: BenchFolder, _ ending: Interruption
  ) throws -> Report {
    say("what the run makes is in \(folder.path)")
    if let tcti = options.tcti {
      say("where it is killed, countersign bench --clean \(folder.path) takes out of the TPM what it has defined there")
      let needed = options.plan.parts.filter(\.needsRelay)
      if !needed.isEmpty {
        say("without \(needed.map(\.rawValue).joined(separator: ", ")), which need the software TPM")
      }
      return try Benchmark(
        plan: options.plan, program: program, folder: folder.path, tcti: tcti, relay: nil, ending: ending, progress: say
      ).run()
    }
    let tpm = try SoftwareTPMProcess(folder: folder.path, ending)
    defer { tpm.stop() }
    let relay = try LatencyRelay(path: folder.path + "/relay.sock", target: tpm.socket)
    return try Benchmark(
      plan: options.plan, program: program, folder: folder.path, tcti: tpm.tcti, relay: relay, ending: ending,
      progress: say
    ).run()
  }

  private static func publish(_ report: Report, _ options: BenchOptions) throws {
    let json = report.json.serialized() + Array("\n".utf8)
    let markdown = Array(report.markdown.utf8)
    if let folder = options.documents {
      try AtomicFile(path: folder + "/performance.md").commit(markdown)
      try AtomicFile(path: folder + "/" + Report.plotName).commit(Array(report.svg.utf8))
      try AtomicFile(path: folder + "/performance.json").commit(json)
    }
    try write(options.printsJSON ? json : markdown, to: 1)
  }

  /// Beside this program, or where the package puts it; else whatever PATH finds.
  private static func installedDaemon() -> String {
    let folder = OwnProgram.folder ?? ""
    return [folder + "/countersignd", folder + "/../../sbin/countersignd"].first(where: isThere) ?? "countersignd"
  }

  private static func say(_ text: String) {
    try? write(Array("\(ConsoleLogger.program): \(text)\n".utf8), to: 2)
  }

  /// Borrows a descriptor that somebody else closes.
  private static func write(_ bytes: [UInt8], to number: Int32) throws(SystemError) {
    let descriptor = Descriptor(owning: try checked("dup") { fcntl(number, F_DUPFD_CLOEXEC, 0) })
    try descriptor.write(bytes)
  }
}
