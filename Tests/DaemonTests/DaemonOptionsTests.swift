import Platform
import Testing

@testable import Daemon

@Suite struct DaemonOptionsTests {
  private func expected(_ change: (inout DaemonOptions) -> Void) throws -> DaemonOptions {
    var options = try DaemonOptions([])
    change(&options)
    return options
  }

  @Test func nothingGiven() throws {
    let options = try DaemonOptions([])
    #expect(options.action == .run && options.tpm == nil && !options.isDebugging)
    #expect(options.configuration == nil && options.socket == nil && options.adminSocket == nil)
    #expect(options.stateDirectory == nil && options.auditLog == nil)
  }

  @Test func everyOptionInBothForms() throws {
    let options: [(String, WritableKeyPath<DaemonOptions, String?>)] = [
      ("--config", \.configuration), ("--socket", \.socket), ("--admin-socket", \.adminSocket),
      ("--state-directory", \.stateDirectory), ("--audit-log", \.auditLog),
    ]
    for (name, path) in options {
      let wanted = try expected { $0[keyPath: path] = "/a=b" }
      #expect(try DaemonOptions([name, "/a=b"]) == wanted)
      #expect(try DaemonOptions(["\(name)=/a=b"]) == wanted)
    }
    for (name, tpm): (String, DaemonOptions.TPMChoice) in [
      ("--tpm", .tcti("x:y=z")), ("--software-tpm", .software("x:y=z")),
    ] {
      let wanted = try expected { $0.tpm = tpm }
      #expect(try DaemonOptions([name, "x:y=z"]) == wanted)
      #expect(try DaemonOptions(["\(name)=x:y=z"]) == wanted)
    }
    #expect(try DaemonOptions(["--debug"]) == expected { $0.isDebugging = true })
    #expect(try DaemonOptions(["--check-config"]) == expected { $0.action = .checkConfiguration })
    #expect(try DaemonOptions(["-h"]) == expected { $0.action = .help })
    #expect(try DaemonOptions(["--help", "--nonsense"]) == expected { $0.action = .help })
    #expect(try DaemonOptions(["--version"]) == expected { $0.action = .version })
  }

  @Test(arguments: [
    (["--nonsense"], "unknown argument --nonsense"), (["run"], "unknown argument run"),
    (["--nonsense=1"], "unknown argument --nonsense"), ([""], "unknown argument"),
    (["--config"], "--config needs a value"), (["--socket", ""], "--socket needs a value"),
    (["--audit-log="], "--audit-log needs a value"), (["--debug=yes"], "--debug takes no value"),
    (["--help=1"], "--help takes no value"),
    (["--tpm", "a", "--software-tpm", "b"], "one of --tpm and --software-tpm"),
    (["--tpm", "a", "--tpm", "a"], "one of --tpm and --software-tpm"),
  ])
  func mistakes(_ arguments: [String], _ complaint: String) {
    do throws(UsageError) {
      _ = try DaemonOptions(arguments)
      Issue.record("taken: \(arguments)")
    } catch {
      #expect(error.description.hasPrefix(complaint) && !error.description.contains("\n"))
    }
  }
}
