internal import AuditLog
internal import CTAP
internal import Crypto
internal import Policy

/// What a caller may manage, and no look at anything else.
extension AuthenticatorEngine {
  func mayManage(_ relyingPartyID: String, _ caller: Caller) -> Bool {
    (try? judge.judge(caller, .manage, .relyingParty(relyingPartyID))) != nil
  }

  /// What is not there is recorded as a refusal is, unless the caller may know: if one took longer to answer than the
  /// other, it would tell what is there.
  func notThere(_ caller: Caller, _ scope: Scope, _ reason: String) async -> Failure {
    if (try? judge.judge(caller, .manage, scope)) == nil { _ = await refuse(.manage, caller, reason) }
    return Failure(.noCredentials, reason)
  }

  /// The credential with this ID among those that the caller may manage. No other is looked up, so that neither the time
  /// nor what the store keeps at hand tells a stranger which are here.
  ///
  /// - Parameters:
  ///   - id: of the credential
  ///   - relyingPartyID: to which the token is bound: looked at first
  ///   - caller: who asks
  /// - Returns: nil where there is none
  /// - Throws: ``Failure``
  func manageable(
    _ id: [UInt8], boundTo relyingPartyID: String?, for caller: Caller
  ) async throws(Failure) -> Credential? {
    if (try? judge.judge(caller, .manage, .all)) != nil { return try await find(id) }
    if let bound = relyingPartyID, mayManage(bound, caller),
      let found = try await find(id, relyingPartyIDHash: SHA256.hash(Array(bound.utf8)))
    {
      return found
    }
    var position: Int64?
    while let next = try await relyingParty(after: position, for: caller) {
      if let found = try await find(id, relyingPartyIDHash: SHA256.hash(Array(next.id.utf8))) { return found }
      position = next.position
    }
    return nil
  }

  /// The newest credential of a relying party of which the request tells the hash: rules for suffixes know it by its name
  /// only, which is looked for among those that the caller may manage.
  func manageableNewest(
    _ hash: [UInt8], for caller: Caller
  ) async throws(Failure) -> (credential: Credential, position: Int64)? {
    if (try? judge.judge(caller, .manage, .application(hash))) == nil {
      var next = try await relyingParty(after: nil, for: caller)
      while let found = next, SHA256.hash(Array(found.id.utf8)) != hash {
        next = try await relyingParty(after: found.position, for: caller)
      }
      if next == nil { return nil }
    }
    return try await discoverable(hash, olderThan: nil)
  }
}
