internal import Platform

/// Who has which number. Tests bring their own users.
package struct AccountDirectory: Sendable {
  let user: @Sendable (String) throws(SystemError) -> UInt32?
  let group: @Sendable (String) throws(SystemError) -> UInt32?
  /// nil for a number that has no name.
  var userName: @Sendable (UInt32) throws(SystemError) -> String? = { number throws(SystemError) in
    try Accounts.name(ofUser: number)
  }
  /// nil for a number that has no name.
  var groupName: @Sendable (UInt32) throws(SystemError) -> String? = { number throws(SystemError) in
    try Accounts.name(ofGroup: number)
  }

  /// This machine's own.
  package static let system = AccountDirectory(
    user: { name throws(SystemError) in try Accounts.user(named: name) },
    group: { name throws(SystemError) in try Accounts.group(named: name) })
}
