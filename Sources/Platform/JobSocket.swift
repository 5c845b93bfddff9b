/// Where jobs, and whatever speaks for them, reach the daemon.
package enum JobSocket {
  /// As it is installed.
  package static let defaultPath = "/run/countersign/ctap.sock"
  /// The variable that names another place.
  package static let variable = "COUNTERSIGN_SOCKET"

  /// The path in force: the one that somebody has named, else ``defaultPath``.
  package static func path(option: String?, environment: (String) -> String?) -> String {
    named(option: option, environment: environment) ?? defaultPath
  }

  /// The path that somebody has named: the option's, else the variable's.
  ///
  /// - Parameters:
  ///   - option: what the command line says
  ///   - environment: looks up a variable
  /// - Returns: the path; nil where ``defaultPath`` is meant
  package static func named(option: String?, environment: (String) -> String?) -> String? {
    if let option { return option }
    guard let path = environment(variable), !path.isEmpty else { return nil }
    return path
  }
}
