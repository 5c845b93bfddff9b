package import AuditLog
package import Configuration
package import Platform

/// What `doctor` looks at besides the daemon's sockets. Tests pass a machine of their own.
package struct Machine {
  /// The settings that the daemon would find in this file and those beside it.
  package var settings: (_ path: String) throws(ConfigurationError) -> LoadedSettings
  package var status: (_ path: String) throws(SystemError) -> PathStatus
  /// Bytes that can still be written where `path` is.
  package var freeBytes: (_ path: String) throws(SystemError) -> UInt64
  package var userName: (_ user: UInt32) throws(SystemError) -> String?
  package var groupName: (_ group: UInt32) throws(SystemError) -> String?
  /// The groups that a new session of this user would have.
  package var groups: (_ user: UInt32) throws(SystemError) -> [UInt32]
  /// What is wrong with the end of the audit log at `path`; nil where nothing is.
  package var logFlaw: (_ path: String, _ key: AuditKey, _ expectation: ChainExpectation) throws(AuditError) -> String?

  package init(
    settings: @escaping (String) throws(ConfigurationError) -> LoadedSettings,
    status: @escaping (String) throws(SystemError) -> PathStatus,
    freeBytes: @escaping (String) throws(SystemError) -> UInt64,
    userName: @escaping (UInt32) throws(SystemError) -> String?,
    groupName: @escaping (UInt32) throws(SystemError) -> String?,
    groups: @escaping (UInt32) throws(SystemError) -> [UInt32],
    logFlaw: @escaping (String, AuditKey, ChainExpectation) throws(AuditError) -> String?
  ) {
    self.settings = settings
    self.status = status
    self.freeBytes = freeBytes
    self.userName = userName
    self.groupName = groupName
    self.groups = groups
    self.logFlaw = logFlaw
  }

  /// The one that this process runs on.
  package static func live() -> Machine {
    Machine(
      settings: { path throws(ConfigurationError) in try ConfigurationLoader().load(path) },
      status: { path throws(SystemError) in try PathStatus(of: path) },
      freeBytes: { path throws(SystemError) in try Platform.freeBytes(at: path) },
      userName: { user throws(SystemError) in try Accounts.name(ofUser: user) },
      groupName: { group throws(SystemError) in try Accounts.name(ofGroup: group) },
      groups: { user throws(SystemError) in try Accounts.groups(ofUser: user) },
      logFlaw: { path, key, expectation throws(AuditError) in
        try LogTail(path: path, key: key).flaw(against: expectation)
      })
  }
}
