internal import Platform

/// What a rule says of what it allows. None of it chooses the rule: the rule that is chosen refuses what its terms do
/// not allow, and no other is asked then.
package struct Terms: Hashable, Sendable {
  /// Whether these callers may count as verified (UV).
  package var userVerification = false
  /// What credentials that these callers register count.
  package var signatureCounter = SignatureCounter.global
  /// Whether the TPM checks the machine's boot at every signature of credentials that these callers register, not at the
  /// start of the daemon alone.
  package var checksBootState = false
  /// The attestation that registrations may get, the most preferred first; nil for any.
  package var attestation: [AttestationFormat]?
  /// Whether a relying party that asks for it is told which device this is.
  package var enterpriseAttestation = false
  /// nil is no limit.
  package var rate: Rate?
  /// Under this rule nothing is registered for an RP ID that has so many credentials; nil is no limit.
  package var maximumRegistrations: Int?
  /// Any of these; empty for always.
  package var hours: [Hours] = []
  /// Whether only callers that come by a grant are allowed.
  package var requiresGrant = false
  /// By name: any of these. Whoever comes without a grant has no claims.
  package var requiredClaims: [String: [ClaimPattern]] = [:]
  /// Whether assertions are over client data that the daemon composed, with the grant's claims inside, and no other.
  package var bindsClaims = false

  package init() {}

  /// Why a caller may not what its rule is for; nil where it may.
  func refusal(of caller: Caller, by rule: String) -> String? {
    if let grant = caller.grant {
      if !grant.rule.utf8.elementsEqual(rule.utf8) {
        return
          "grant \(grant.id) is for rule \(quoted(grant.rule, limit: 64)), and here rule \(quoted(rule, limit: 64)) "
          + "decides"
      }
      if grant.user != caller.user {
        return "grant \(grant.id) is uid \(grant.user)'s, the caller is uid \(caller.user)"
      }
    } else if requiresGrant || bindsClaims {
      return "rule \(quoted(rule, limit: 64)) requires a grant, and the caller comes without one"
    }
    return claimRefusals(of: caller.grant?.claims.values ?? [:], by: rule).first
  }

  /// What is missing of the claims that are required, and which others must be other ones; in the order of their names.
  func claimRefusals(of claims: [String: String], by rule: String) -> [String] {
    requiredClaims.sorted { $0.key < $1.key }.compactMap { name, patterns in
      guard let value = claims[name] else {
        return "rule \(quoted(rule, limit: 64)) requires the claim \(quoted(name, limit: 64)), and the caller has none"
      }
      if patterns.contains(where: { $0.matches(value) }) { return nil }
      return "rule \(quoted(rule, limit: 64)) requires another claim \(quoted(name, limit: 64)) than "
        + quoted(value, limit: 128)
    }
  }
}

/// What a registration can be attested by, in the words of the configuration.
package enum AttestationFormat: String, CaseIterable, Sendable {
  case tpm
  /// By the operator's certificate.
  case packed
  /// By the credential's own key.
  case packedSelf = "packed-self"
  case none
}
