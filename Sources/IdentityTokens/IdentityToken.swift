internal import WebAuthn

/// Why a token proves nothing; for the operator.
package struct TokenError: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// Somebody whose tokens are believed, because the operator has pinned the keys.
package struct TokenIssuer: Equatable, Sendable {
  /// The claim `iss`, byte for byte.
  package let issuer: String
  /// What the claim `aud` must name.
  package let audience: String
  package let keys: [TokenKey]

  package init(issuer: String, audience: String, keys: [TokenKey]) {
    self.issuer = issuer
    self.audience = audience
    self.keys = keys
  }
}

/// What a continuous-integration service says of a job: an OIDC ID token as a signed JWT (RFC 7519, RFC 7515), verified.
package struct IdentityToken: Equatable, Sendable {
  package let issuer: String
  /// Those of ``claimNames`` that are there, as texts.
  package let claims: [String: String]

  /// Bytes of the longest token.
  package static let maximumLength = 16_384
  /// How many seconds the clocks of issuer and machine may be apart.
  package static let toleratedSkew: Int64 = 60

  /// What GitHub and GitLab say of the job itself.
  package static let claimNames: Set<String> = [
    "iss", "sub", "aud", "ref", "ref_type", "sha", "environment", "runner_environment",
    // GitHub
    "repository", "repository_id", "repository_owner", "repository_visibility", "workflow", "workflow_ref",
    "job_workflow_ref", "event_name", "run_id", "run_number", "run_attempt", "actor",
    // GitLab
    "project_id", "project_path", "namespace_path", "ref_path", "ref_protected", "pipeline_id", "pipeline_source",
    "job_id", "environment_protected", "user_login", "ci_config_ref_uri",
  ]

  /// Verifies a token.
  ///
  /// - Parameters:
  ///   - text: in the compact serialization (RFC 7515 section 3.1)
  ///   - issuers: who is believed
  ///   - now: seconds since 1970 by this machine's clock
  /// - Throws: ``TokenError``, with the skew where it is about time
  package init(_ text: String, from issuers: [TokenIssuer], now: Int64) throws(TokenError) {
    guard text.utf8.count <= Self.maximumLength else {
      throw TokenError("it is longer than \(Self.maximumLength) bytes")
    }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 3, let header = Self.object(parts[0]), let payload = Self.object(parts[1]),
      let signature = Base64URL.decode(parts[2])
    else { throw TokenError("it is no signed JWT") }
    guard case .string(let issuer)? = payload["iss"],
      let known = issuers.first(where: { $0.issuer.utf8.elementsEqual(issuer.utf8) })
    else { throw TokenError("its issuer is none of those in the configuration") }
    let key = try Self.key(header, of: known)
    guard key.verifies(signature, of: Array("\(parts[0]).\(parts[1])".utf8)) else {
      throw TokenError("its signature is wrong")
    }
    try Self.checkAudience(payload["aud"], known.audience)
    try Self.checkTimes(payload, now)
    self.issuer = issuer
    claims = try Self.claims(payload, audience: known.audience)
  }

  private static func object(_ part: String) -> [String: JSONValue]? {
    guard let bytes = Base64URL.decode(part), case .object(let members) = try? JSONValue.parse(bytes) else {
      return nil
    }
    return members
  }

  /// The key says which algorithm it is for; a token that says another one (`none`) is refused, and not believed.
  private static func key(
    _ header: [String: JSONValue], of issuer: TokenIssuer
  ) throws(TokenError) -> TokenKey {
    // Extensions that must be understood (RFC 7515 section 4.1.11): none is.
    if header["crit"] != nil { throw TokenError("it has a critical extension") }
    let candidates: [TokenKey]
    switch header["kid"] {
    case .string(let id)?: candidates = issuer.keys.filter { $0.id.map { $0.utf8.elementsEqual(id.utf8) } ?? false }
    case nil: candidates = issuer.keys
    default: candidates = []
    }
    guard candidates.count == 1, let key = candidates.first else {
      throw TokenError("its key is none of the issuer's: is the file of keys older than the issuer's newest?")
    }
    guard header["alg"] == .string(key.algorithm) else {
      throw TokenError("its algorithm is not \(key.algorithm), which its key is for")
    }
    return key
  }

  private static func checkAudience(_ value: JSONValue?, _ audience: String) throws(TokenError) {
    let wanted = JSONValue.string(audience)
    switch value {
    case wanted?: return
    case .array(let list)? where list.contains(wanted): return
    default: throw TokenError("it is for another audience")
    }
  }

  private static func checkTimes(_ payload: [String: JSONValue], _ now: Int64) throws(TokenError) {
    func seconds(_ name: String) throws(TokenError) -> Int64? {
      switch payload[name] {
      case nil: return nil
      case .integer(let value)?: return value
      // NumericDate may have a fraction (RFC 7519 section 2).
      case .number(let value)? where value.magnitude < 1e15: return Int64(value.rounded(.down))
      default: throw TokenError("its \(name) is no time")
      }
    }
    func apart(_ seconds: Int64) -> String {
      "\(seconds) s by this machine's clock, of which \(toleratedSkew) are tolerated"
    }
    guard let end = try seconds("exp") else { throw TokenError("it never ends: exp is missing") }
    // Subtractions of what no clock shows must not overflow.
    func difference(_ a: Int64, _ b: Int64) -> Int64 {
      let (value, overflow) = a.subtractingReportingOverflow(b)
      return overflow ? (a < b ? .min : .max) : value
    }
    let late = difference(now, end)
    if late >= toleratedSkew { throw TokenError("it has ended, \(apart(late))") }
    for (name, word) in [("nbf", "it is not valid yet"), ("iat", "it was issued in the future")] {
      guard let begin = try seconds(name) else { continue }
      let early = difference(begin, now)
      if early > toleratedSkew { throw TokenError("\(word), \(apart(early))") }
    }
  }

  private static func claims(
    _ payload: [String: JSONValue], audience: String
  ) throws(TokenError) -> [String: String] {
    var claims: [String: String] = [:]
    for name in claimNames {
      switch payload[name] {
      case .string(let text)?:
        guard text.utf8.count <= 1024 else { throw TokenError("its claim \(name) is longer than 1024 bytes") }
        claims[name] = text
      case .integer(let number)?: claims[name] = String(number)
      case .boolean(let boolean)?: claims[name] = boolean ? "true" : "false"
      default: break
      }
    }
    claims["aud"] = audience
    return claims
  }
}
