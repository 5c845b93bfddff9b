/// One entry of a rule's `callers`: every field that is given must match (all of).
package struct CallerPattern: Hashable, Sendable {
  /// Effective user at connect(2).
  package let user: UInt32?
  /// The caller's group at connect(2) or one of its supplementary groups, as the kernel tells them; the group database
  /// has no say.
  package let group: UInt32?
  /// systemd unit, e.g. `actions.runner.service`; compared exactly.
  package let unit: String?

  package init(user: UInt32? = nil, group: UInt32? = nil, unit: String? = nil) {
    self.user = user
    self.group = group
    self.unit = unit
  }

  /// What the caller could not be asked (nil) never matches. A pattern without fields matches nobody.
  func matches(_ caller: Caller) -> Bool {
    if namesNobody { return false }
    if let user, user != caller.user { return false }
    if let group, group != caller.group, !caller.supplementaryGroups.contains(group) { return false }
    if let unit {
      guard let callersUnit = caller.unit, unit.utf8.elementsEqual(callersUnit.utf8) else { return false }
    }
    return true
  }

  var namesNobody: Bool { user == nil && group == nil && unit == nil }

  /// Whether every caller that matches `other` matches this too.
  func covers(_ other: CallerPattern) -> Bool {
    (user == nil || user == other.user) && (group == nil || group == other.group)
      && (unit == nil || unit == other.unit)
  }
}
