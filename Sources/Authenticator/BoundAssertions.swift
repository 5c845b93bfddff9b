package import AuditLog
internal import CTAP
internal import Crypto
internal import Platform
package import Policy
internal import WebAuthn

/// Assertions that prove the claims of a job's grant: over client data that is composed here, and by nobody else.
extension AuthenticatorEngine {
  /// Answers a frame of command 0x41.
  ///
  /// - Parameters:
  ///   - payload: see ``CTAP/BoundAssertionRequest``, any bytes
  ///   - caller: whose channel it came from; one request at a time
  /// - Returns: a status byte, then the response; CTAP1_ERR_INVALID_COMMAND where the rule that decides binds no claims
  package func respond(toBound payload: [UInt8], from caller: Caller) async -> [UInt8] {
    await timed { await answer(bound: payload, from: caller) }
  }

  private func answer(bound payload: [UInt8], from caller: Caller) async -> [UInt8] {
    let start = environment.time.monotonicNanoseconds
    // As another command does, it ends what one has begun.
    channels[caller.connection]?.endWalk()
    do throws(CTAPStatus) {
      guard payload.count <= AuthenticatorLimits.maximumMessageSize else { throw CTAPStatus.requestTooLarge }
      let request = try BoundAssertionRequest(decoding: payload)
      try gate.enter()
      defer { gate.leave() }
      let reply = try await boundAssertion(request, for: caller).encoded()
      count("boundAssertion", from: caller, failure: nil, since: start)
      return reply
    } catch {
      count("boundAssertion", from: caller, failure: error, since: start)
      return error.encoded()
    }
  }

  private func boundAssertion(
    _ request: BoundAssertionRequest, for caller: Caller
  ) async throws(CTAPStatus) -> BoundAssertionResponse {
    let id = request.assertion.relyingPartyID
    let prospect = try await foresee(Inquiry(caller, .authenticate, .relyingParty(id)))
    guard prospect.bindsClaims, let grant = caller.grant else { throw .invalidCommand }
    let origin: Origin
    do {
      origin = try Origin(request.origin)
      try RelyingPartyID.check(id, isAllowedFor: origin)
    } catch {
      throw .invalidParameter
    }
    let claims = BoundClaims.serialized(grant.claims.values)
    let clientData = CollectedClientData(
      type: CollectedClientData.assertion,
      challenge: BoundClaims.challenge(request.challenge, boundTo: claims), origin: origin.description
    ).serialized()
    var assertion = request.assertion
    assertion.clientDataHash = SHA256.hash(clientData)
    let response = try await getAssertion(assertion, bindsClaims: true, on: channel(of: caller), for: caller)
    return BoundAssertionResponse(clientDataJSON: clientData, claims: claims, assertion: response)
  }
}

// MARK: Grants

extension AuthenticatorEngine {
  /// Lets a grant begin, once its record is on disk.
  ///
  /// - Parameters:
  ///   - grant: of which nobody knows yet
  ///   - terms: for the record
  ///   - deadline: CLOCK_BOOTTIME in nanoseconds
  ///   - operations: registrations and assertions that it may have; nil for no limit
  ///   - caller: on the operator's socket
  /// - Throws: ``OperatorRefusal``
  package func begin(
    _ grant: Grant, _ terms: AuditRecord.GrantTerms, until deadline: UInt64, operations: Int?, for caller: Caller
  ) async throws(OperatorRefusal) {
    guard caller.isOperator else { throw OperatorRefusal(description: "grants are the operator's") }
    guard !gate.isRetired else { throw OperatorRefusal(description: "this runner is being decommissioned") }
    do throws(Failure) {
      var record = grantRecord(grant, "grant.create", caller, reason: nil)
      record.grantTerms = terms
      try await self.record(record)
    } catch {
      throw OperatorRefusal(description: error.reason)
    }
    ledger.begin(grant, until: deadline, operations: operations)
  }

  /// Ends a grant at once: what is signed from here on is not given out.
  ///
  /// - Parameters:
  ///   - grant: which may have ended
  ///   - reason: for the log
  ///   - caller: whose word ends it; the daemon's own user where nobody's does
  package func end(_ grant: Grant, reason: String, for caller: Caller) async {
    ledger.end(grant: grant.id)
    await recordQuietly(grantRecord(grant, "grant.end", caller, reason: reason))
  }

  /// nil where there is no limit, or the grant has ended.
  package func operationsLeft(of grant: Grant) -> Int? {
    ledger.operationsLeft(ofGrant: grant.id)
  }

  /// Why nothing will be signed by a grant, or not all that it names, by the rules in force: for whoever makes it.
  ///
  /// - Parameters:
  ///   - grant: of one of ``ruleNames``
  ///   - lifetime: seconds from now
  /// - Returns: for people, each one sentence
  package func doubts(of grant: Grant, lifetime: UInt64) -> [String] {
    let now = environment.time.unixMilliseconds
    return judge.doubts(of: grant, from: now, until: now + Int64(lifetime) * 1000)
  }

  /// The names of the rules in force.
  package var ruleNames: Set<String> { judge.ruleNames }

  private func grantRecord(_ grant: Grant, _ detail: String, _ caller: Caller, reason: String?) -> AuditRecord {
    var record = AuditRecord(.done, .grant, caller, environment.time)
    record.detail = detail
    record.rule = grant.rule
    record.grant = grant.id
    record.claims = grant.claims.values.isEmpty ? nil : grant.claims.values
    record.reason = reason
    return record
  }
}
