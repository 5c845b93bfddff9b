internal import Platform

/// Who has which number. Tests bring their own users.
struct AccountDirectory: Sendable {
  var user: @Sendable (String) throws(SystemError) -> UInt32?
  var group: @Sendable (String) throws(SystemError) -> UInt32?

  static let system = AccountDirectory(
    user: { name throws(SystemError) in try Accounts.user(named: name) },
    group: { name throws(SystemError) in try Accounts.group(named: name) })
}
