internal import Platform
internal import Policy

/// A grant as the admin socket describes it.
struct GrantReport: Codable, Equatable {
  var id: String
  var socket: String
  var rule: String
  var uid: UInt32
  /// RFC 3339, UTC; by the clock at its making.
  var endsAt: String
  /// nil is no limit.
  var signaturesLeft: Int?
  var rpIds: [String]
  var claims: [String: String]
  /// Whose token the claims come from; nil where they were asserted.
  var claimsIssuer: String?
  /// Of one that has just been made: why nothing will be signed by it, or not all that it names. nil where nothing is
  /// known against it.
  var warnings: [String]?

  init(_ grant: Grant, socket: String, endsAt: Int64, operationsLeft: Int?) {
    id = grant.id
    self.socket = socket
    rule = grant.rule
    uid = grant.user
    self.endsAt = Timestamp.text(unixMilliseconds: endsAt)
    signaturesLeft = operationsLeft
    rpIds = grant.relyingParties.map(\.description)
    claims = grant.claims.values
    claimsIssuer = grant.claims.issuer
  }
}
