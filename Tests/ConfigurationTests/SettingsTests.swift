import Attestation
import AuditLog
import Platform
import Policy
import Testing

@testable import Configuration

struct SettingsTests {
  /// A property that is forgotten would wait for a restart and nobody would be told.
  @Test func everySettingHasItsKey() throws {
    let rule = Rule(
      name: "r", callers: [CallerPattern(user: 1)], relyingParties: [.any], operations: [.register])
    let changes: [(inout Settings) -> Void] = [
      { $0.tpm = .tcti("x:") }, { $0.allowSoftwareTPM = true }, { $0.boot = .unbound }, { $0.resourceManager = true },
      { $0.pins.count = 1 }, { $0.socket = "/x" }, { $0.socketMode = 0o600 }, { $0.adminSocket = "/x" },
      { $0.adminGroup = 1 }, { $0.stateDirectory = "/x" }, { $0.auditLog = "/x" }, { $0.audit.keep = 1 },
      { $0.maximumConnections = 1 }, { $0.maximumCredentials = 1 }, { $0.maximumWait = 1 }, { $0.logLevel = .debug },
      { $0.rules = (try? RuleBook([rule])) ?? .empty },
    ]
    // An issuer is hard to come by.
    #expect(Mirror(reflecting: Settings()).children.count == changes.count + 1)
    #expect(Settings().keys(differingFrom: Settings()) == [])
    var all: Set<String> = []
    for change in changes {
      var settings = Settings()
      change(&settings)
      let keys = settings.keys(differingFrom: Settings())
      #expect(keys.count == 1)
      all.formUnion(keys)
    }
    #expect(all.count == changes.count)
  }
}
