internal import Platform

/// Who has which number. Tests bring their own users.
package struct AccountDirectory: Sendable {
  let user: @Sendable (String) throws(SystemError) -> UInt32?
  let group: @Sendable (String) throws(SystemError) -> UInt32?

  /// This machine's own.
  package static let system = AccountDirectory(
    user: { name throws(SystemError) in try Accounts.user(named: name) },
    group: { name throws(SystemError) in try Accounts.group(named: name) })
}
