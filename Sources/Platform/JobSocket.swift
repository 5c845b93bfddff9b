/// Where jobs, and whatever speaks for them, reach the daemon.
package enum JobSocket {
  /// As it is installed.
  package static let defaultPath = "/run/countersign/ctap.sock"
  /// The variable that names another place.
  package static let variable = "COUNTERSIGN_SOCKET"

  /// The path in force: the option's, else the variable's, else ``defaultPath``.
  ///
  /// - Parameters:
  ///   - option: what the command line says
  ///   - environment: looks up a variable
  /// - Returns: the path
  package static func path(option: String?, environment: (String) -> String?) -> String {
    if let option { return option }
    if let path = environment(variable), !path.isEmpty { return path }
    return defaultPath
  }
}
