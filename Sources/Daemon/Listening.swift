internal import CTAPHID
internal import Configuration
internal import Platform
internal import Policy
internal import Transports

/// Takes the sockets that were passed, by their names; makes those that were not.
///
/// - Throws: `ListenerError`, `SystemError`, ``PassedSocketError``
func listen<Jobs: FrameService, Administration: FrameService>(
  _ passed: [PassedDescriptor], _ settings: Settings, jobs: SocketServer<Jobs>,
  administration: SocketServer<Administration>
) async throws {
  var hasJobs = false
  var hasAdministration = false
  for socket in passed {
    let listener = try Listener(name: socket.name, passed: try socket.descriptor.duplicate())
    switch socket.name {
    case "admin":
      hasAdministration = true
      try await administration.listen(on: listener)
    case "countersignd.socket", "unknown":
      // The name where a unit gives none, and where there is no LISTEN_FDNAMES.
      hasJobs = true
      try await jobs.listen(on: listener)
    case let name where CallerPattern.isJobSocket(name):
      hasJobs = true
      try await jobs.listen(on: listener, as: name)
    default:
      throw PassedSocketError(name: socket.name)
    }
  }
  if !hasAdministration { try await administration.listen(on: try .ofAdministration(settings)) }
  if !hasJobs { try await jobs.listen(on: try .ofJobs(settings)) }
}

extension Listener {
  fileprivate static func ofJobs(_ settings: Settings) throws(ListenerError) -> Listener {
    try Listener(path: settings.socket, mode: settings.socketMode)
  }

  fileprivate static func ofAdministration(_ settings: Settings) throws(ListenerError) -> Listener {
    let group = settings.adminGroup
    let path = place(ofOperatorsSocket: settings.adminSocket, in: ServiceManager.environment("RUNTIME_DIRECTORY"))
    return try Listener(
      path: path, mode: group == nil ? 0o600 : 0o660, group: group,
      link: path == settings.adminSocket ? nil : settings.adminSocket)
  }

  /// Where the operator's socket is made: where the service manager has made a folder `FOLDER-admin` beside the one in
  /// the settings, in that. Containers are given the first folder, and must not reach the socket by it; there only a link
  /// stands, which leads nowhere in a container.
  ///
  /// - Parameters:
  ///   - path: as the settings say
  ///   - folders: RUNTIME_DIRECTORY (systemd.exec(5))
  /// - Returns: the path to listen on
  static func place(ofOperatorsSocket path: String, in folders: String?) -> String {
    guard let slash = path.lastIndex(of: "/") else { return path }
    let folder = path[..<slash] + "-admin"
    let isThere = folders?.split(separator: ":").contains { $0 == folder } ?? false
    return isThere ? String(folder + path[slash...]) : path
  }
}

/// Sockets of our own that outlive the servers on them, where one server follows another: who connects in between waits.
final class OwnSockets: Sendable {
  private let jobs: Listener?
  private let administration: Listener?

  /// Makes those that were not passed.
  ///
  /// - Throws: `ListenerError`
  init(beside passed: [PassedDescriptor], _ settings: Settings) throws(ListenerError) {
    let isForJobs = passed.contains { $0.name != "admin" }
    let isForAdministration = passed.contains { $0.name == "admin" }
    administration = isForAdministration ? nil : try .ofAdministration(settings)
    jobs = isForJobs ? nil : try .ofJobs(settings)
  }

  /// - Throws: `SystemError`
  func passed() throws(SystemError) -> [PassedDescriptor] {
    var passed: [PassedDescriptor] = []
    switch administration {
    case .some(let listener): passed.append(try listener.passed(as: "admin"))
    case .none: break
    }
    switch jobs {
    case .some(let listener): passed.append(try listener.passed(as: "unknown"))
    case .none: break
    }
    return passed
  }
}

/// The service manager passed a socket that means nothing here: serving jobs on it could open it to strangers.
struct PassedSocketError: Error, CustomStringConvertible {
  let name: String

  var description: String {
    "the passed socket \(quoted(name)) is unknown: set FileDescriptorName=ctap, ctap-NAME or admin in its unit"
  }
}

extension ServerSettings {
  static func ofJobs(_ settings: Settings) -> ServerSettings {
    var server = ServerSettings()
    let version = CountersignVersion.bytes
    server.version = DeviceVersion(major: version.major, minor: version.minor, build: version.build)
    server.capabilities = [.wink, .cbor]
    server.served = [.message, .cbor, .wink, .boundAssertion]
    server.connectionLimit = settings.maximumConnections
    server.connectionsPerUser = max(1, settings.maximumConnections / 2)
    return server
  }

  static var ofAdministration: ServerSettings {
    var server = ServerSettings()
    server.capabilities = [.cbor, .noMessage]
    server.served = [.administration, .cbor]
    server.connectionLimit = 32
    server.connectionsPerUser = 32
    return server
  }
}
