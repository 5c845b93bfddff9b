internal import Configuration
internal import Platform

/// The settings of this run: the files, with the command line over them.
struct Configured {
  let options: DaemonOptions

  /// Where the rules come from.
  var path: String { options.configuration ?? ConfigurationLoader.defaultPath }

  /// Reads the files anew; for the start and for every reload.
  ///
  /// - Throws: `ConfigurationError`
  func load() throws(ConfigurationError) -> LoadedSettings {
    let mayBeMissing = options.configuration == nil && options.tpm != nil
    var loaded = try ConfigurationLoader().load(path, mayBeMissing: mayBeMissing)
    if let socket = options.socket { loaded.settings.socket = absolute(socket) }
    if let socket = options.adminSocket { loaded.settings.adminSocket = absolute(socket) }
    if let directory = options.stateDirectory { loaded.settings.stateDirectory = absolute(directory) }
    if let file = options.auditLog { loaded.settings.auditLog = absolute(file) }
    switch options.tpm {
    case .tcti(let string):
      loaded.settings.tpm = .tcti(string)
      // Who names an emulator on the command line has said that software will do.
      if string.hasPrefix("swtpm:") || string.hasPrefix("mssim:") { loaded.settings.allowSoftwareTPM = true }
    case .software(let directory):
      loaded.settings.tpm = .software(directory: absolute(directory))
      loaded.settings.allowSoftwareTPM = true
    case nil: break
    }
    if options.isDebugging { loaded.settings.logLevel = .debug }
    try loaded.settings.check(path)
    return loaded
  }

  /// A path on the command line is relative to where it was typed.
  private func absolute(_ path: String) -> String {
    path.hasPrefix("@") ? path : absolutePath(path) ?? path
  }
}
