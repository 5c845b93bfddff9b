internal import Configuration
internal import Platform

/// What `configurationChanges` says: how far the files are from what is in force.
struct ConfigurationChanges: Codable, Equatable {
  /// The file that the rules come from.
  var configuration: String
  /// Keys whose settings have changed and are taken at the next start.
  var restart: [String]
  /// Keys whose settings have changed and are taken by a reload.
  var reload: [String]
  /// Why the files cannot be read now, as for a reload; nil where they can.
  var problem: String?
}

/// Compares the files with what is in force: that of the start, and of the last reload.
final class ConfigurationWatch: Sendable {
  private let configured: Configured
  private let reader: MachineReader
  private let inForce: Lock<Settings>

  init(_ configured: Configured, _ settings: Settings, _ reader: MachineReader) {
    self.configured = configured
    self.reader = reader
    inForce = Lock(settings)
  }

  /// Notes what a reload has taken.
  ///
  /// - Parameter settings: as they have been read
  /// - Returns: the keys whose settings wait for a restart
  func reloaded(_ settings: Settings) -> [String] {
    inForce.withLock { inForce in
      inForce.rules = settings.rules
      inForce.issuers = settings.issuers
      return settings.keys(differingFrom: inForce)
    }
  }

  @Sendable func changes() async -> ConfigurationChanges {
    var changes = ConfigurationChanges(configuration: configured.path, restart: [], reload: [])
    do throws(ConfigurationError) {
      let read = try await reader.load(configured).settings
      let keys = inForce.withLock { read.keys(differingFrom: $0) }
      changes.restart = keys.filter { !Settings.reloadable.contains($0) }
      changes.reload = keys.filter { Settings.reloadable.contains($0) }
    } catch {
      changes.problem = error.description
    }
    return changes
  }
}
