internal import Platform

/// One entry of a rule's `callers`: every field that is given must match (all of).
package struct CallerPattern: Hashable, Sendable {
  /// Which container a process must be in.
  package enum Container: Hashable, Sendable {
    /// `*`: any.
    case any
    /// 64 hexadecimal digits.
    case id(String)
  }

  /// Effective user at connect(2).
  package let user: UInt32?
  /// The caller's group at connect(2) or one of its supplementary groups, as the kernel tells them; the group database
  /// has no say.
  package let group: UInt32?
  /// systemd unit, e.g. `actions.runner.service`; compared exactly.
  package let unit: String?
  /// The slice that the unit is in, e.g. `ci.slice`; compared exactly.
  package let slice: String?
  package let container: Container?
  /// Absolute path.
  package let executable: String?
  /// SHA-256 of the executable.
  package let executableDigest: [UInt8]?
  /// Name of the listening socket.
  package let socket: String?
  /// Whether the caller must come by a grant's socket, made for this very rule.
  package let byGrant: Bool

  package init(
    user: UInt32? = nil, group: UInt32? = nil, unit: String? = nil, slice: String? = nil,
    container: Container? = nil, executable: String? = nil, executableDigest: [UInt8]? = nil, socket: String? = nil,
    byGrant: Bool = false
  ) {
    self.user = user
    self.group = group
    self.unit = unit
    self.slice = slice
    self.container = container
    self.executable = executable
    self.executableDigest = executableDigest
    self.socket = socket
    self.byGrant = byGrant
  }

  /// What the caller could not be asked (nil) never matches. A pattern without fields matches nobody.
  func matches(_ caller: Caller, ofRule rule: String) -> Bool {
    !namesNobody && mismatch(caller, ofRule: rule) == nil
  }

  /// The first field that does not match, in the words of the configuration, with what the caller has instead; nil
  /// where all do.
  func mismatch(_ caller: Caller, ofRule rule: String) -> (field: String, found: String?)? {
    if let user, user != caller.user { return ("user", Caller.text(ofNumber: caller.user)) }
    if let group, group != caller.group, !caller.supplementaryGroups.contains(group) {
      let known = ([caller.group] + caller.supplementaryGroups.prefix(15)).compactMap(Caller.text(ofNumber:))
      return ("group", known.isEmpty ? nil : known.joined(separator: ", "))
    }
    if let unit, !isSame(unit, caller.unit) { return ("unit", caller.unit) }
    if let slice, !isSame(slice, caller.slice) { return ("slice", caller.slice) }
    switch container {
    case .any where caller.container == nil: return ("container", nil)
    case .id(let id) where !isSame(id, caller.container): return ("container", caller.container)
    default: break
    }
    if let executable, !isSame(executable, caller.executable) { return ("executable", caller.executable) }
    if let executableDigest, executableDigest != caller.executableDigest {
      return ("executableSHA256", caller.executableDigest.map { hexadecimal($0) })
    }
    if let socket, !isSame(socket, caller.socket) { return ("socket", caller.socket) }
    if byGrant, caller.grant?.rule.utf8.elementsEqual(rule.utf8) != true {
      return ("grant", caller.grant.map { "one for rule " + quoted($0.rule, limit: 64) })
    }
    return nil
  }

  /// Bytes are compared, not Strings: Swift holds canonically equivalent texts for equal.
  func isSame(_ wanted: String, _ found: String?) -> Bool {
    found.map { wanted.utf8.elementsEqual($0.utf8) } ?? false
  }

  var namesNobody: Bool { fields == 0 }

  /// Which fields are given: the one that tells most has the highest bit.
  private var fields: Int {
    var exactContainer = false
    if case .id = container { exactContainer = true }
    let given = [
      byGrant, executableDigest != nil, exactContainer, executable != nil, unit != nil, user != nil, socket != nil,
      container == .any, slice != nil, group != nil,
    ]
    return given.reduce(0) { $0 << 1 | ($1 ? 1 : 0) }
  }

  /// More fields are more specific; of equally many, those that tell more. Equal only where the same fields are given.
  var specificity: Int { fields.nonzeroBitCount << 16 | fields }

  /// The same without the one field of which a caller can have several values.
  var withoutGroup: CallerPattern {
    CallerPattern(
      user: user, unit: unit, slice: slice, container: container, executable: executable,
      executableDigest: executableDigest, socket: socket, byGrant: byGrant)
  }
}
