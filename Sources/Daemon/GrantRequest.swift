internal import Policy

/// Why there is no grant, for the operator.
struct GrantError: Error, CustomStringConvertible {
  let description: String
  /// What to do about it, where that is known here.
  var remedy: String?
  /// Whether the request names what there is not, or asks for what no grant can be: then no other moment would do.
  var isOfRequest = false
}

/// What a grant is asked to be.
struct GrantRequest {
  var rule: String
  var user: UInt32
  /// Seconds.
  var lifetime: UInt64
  /// nil is no limit.
  var operations: Int?
  var relyingParties: [RelyingPartyPattern]
  var claims: [String: String]
  /// An OIDC ID token, from which the claims come then.
  var token: String?
  /// Ends the grant when it ends.
  var process: Int32?
  /// As in /proc/PID/cgroup; ends the grant when nothing is left in it.
  var controlGroup: String?
}
