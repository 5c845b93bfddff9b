internal import AuditLog
internal import Crypto
internal import CTAP
internal import Platform
internal import Policy
internal import WebAuthn

/// What every assertion of one request has in common.
struct AssertionPlan {
  let relyingPartyIDHash: [UInt8]
  let relyingPartyID: String
  let clientDataHash: [UInt8]
  let userPresent: Bool
  /// How the user was verified; nil where not.
  let source: VerificationSource?
  let extensions: AssertionExtensions
  /// Of hmac-secret, where it was asked for.
  let salts: HMACSecretSalts?
  /// What policy is asked, but for the account.
  let inquiry: Inquiry
  let prospect: Prospect

  var isVerified: Bool { source != nil }
}

extension AssertionPlan {
  /// The same under rules that may have changed.
  fileprivate func anew(_ prospect: Prospect) -> AssertionPlan {
    AssertionPlan(
      relyingPartyIDHash: relyingPartyIDHash, relyingPartyID: relyingPartyID, clientDataHash: clientDataHash,
      userPresent: userPresent, source: source, extensions: extensions, salts: salts, inquiry: inquiry,
      prospect: prospect)
  }
}

extension Inquiry {
  /// The same about the account of a credential.
  func about(_ credential: Credential) -> Inquiry {
    var inquiry = self
    inquiry.account = Account(userHandle: credential.userHandle, userName: credential.userName)
    return inquiry
  }
}

/// What getNextAssertion goes on with: a position in the walk over the accounts, not the accounts, so that its size
/// does not grow with them.
struct PendingAssertions {
  let plan: AssertionPlan
  /// Position of the account that was given last.
  var position: Int64
  /// How many accounts are still to come.
  var remaining: Int
}

extension AuthenticatorEngine {
  /// authenticatorGetAssertion (CTAP 2.1 section 6.2.2; the numbers of its steps stand beside the checks).
  func getAssertion(
    _ request: GetAssertionRequest, bindsClaims: Bool = false, on channel: ChannelState, for caller: Caller
  ) async throws(CTAPStatus) -> AssertionResponse {
    try await checkPINAuthorization(request.pinUvAuthParam, protocol: request.pinUvAuthProtocol, for: caller)  // 1, 2
    if request.options.rk != nil { throw .unsupportedOption }  // 4
    let userPresent = request.options.up ?? true
    let verification = VerificationRequest(
      operation: .authenticate, permission: .getAssertion, relyingPartyID: request.relyingPartyID,
      clientDataHash: request.clientDataHash, pinUvAuthParam: request.pinUvAuthParam,
      pinUvAuthProtocol: request.pinUvAuthProtocol, isRequested: request.options.uv ?? false)
    let byPolicy = try await wantsPolicyVerification(
      verification, isNeeded: false, appliesAlwaysUV: userPresent, for: caller)  // 4, 5
    guard request.allowList?.count ?? 0 <= AuthenticatorLimits.maximumCredentialsInList else { throw .limitExceeded }
    let extensions = try AssertionExtensions(request.extensions)
    if let wanted = extensions.largeBlobKey, !wanted { throw .invalidOption }
    // Section 12.5: the secrets ask for a present user.
    if extensions.hmacSecret != nil, !userPresent { throw .unsupportedOption }

    let inquiry = Inquiry(
      caller, .authenticate, .relyingParty(request.relyingPartyID), bindsClaims: bindsClaims)
    let prospect = try await foresee(inquiry)  // 9
    var draft = draft(.authenticate, prospect, inquiry.scope, for: caller)
    draft.clientDataHash = request.clientDataHash
    let plan: AssertionPlan
    let chosen: (credential: Credential, position: Int64?, remaining: Int)
    do throws(Failure) {
      let source = try await verify(verification, byPolicy: byPolicy, prospect, on: channel, for: caller)  // 6
      plan = try self.plan(
        request, extensions, inquiry, prospect, verifiedBy: source, userPresent: userPresent, on: channel)
      // 7, 11, 12; after 9, so that only who may sign learns what is here
      chosen = try await choose(request, plan, &draft)
      try refuseOverload(inquiry.about(chosen.credential), &draft)
      if request.pinUvAuthParam != nil, userPresent { channel.token?.spend() }  // 9
    } catch {
      throw await fail(draft, error)
    }
    // The decision itself, which depends on the account, the hour, and how often.
    let presence = try await admit(inquiry.about(chosen.credential))
    draft.rule = presence.rule
    do throws(Failure) {
      try refuseUnverified(plan, presence)
      var response = try await assert(
        chosen.credential, plan, isOneOfSeveral: chosen.remaining > 0, presence, &draft, caller)
      if chosen.remaining > 0 { response.numberOfCredentials = chosen.remaining + 1 }
      if let position = chosen.position {
        leave(
          .assertions(PendingAssertions(plan: plan, position: position, remaining: chosen.remaining)), on: channel)
      }
      return response
    } catch {
      throw await fail(draft, error)
    }
  }

  private func plan(
    _ request: GetAssertionRequest, _ extensions: AssertionExtensions, _ inquiry: Inquiry, _ prospect: Prospect,
    verifiedBy source: VerificationSource?, userPresent: Bool, on channel: ChannelState
  ) throws(Failure) -> AssertionPlan {
    var checked: HMACSecretSalts?
    if let input = extensions.hmacSecret {
      checked = try Failure.translated { () throws(CTAPStatus) in try salts(input, on: channel) }
    }
    return AssertionPlan(
      relyingPartyIDHash: SHA256.hash(Array(request.relyingPartyID.utf8)), relyingPartyID: request.relyingPartyID,
      clientDataHash: request.clientDataHash, userPresent: userPresent, source: source, extensions: extensions,
      salts: checked, inquiry: inquiry, prospect: prospect)
  }

  /// authenticatorGetNextAssertion (section 6.3).
  func getNextAssertion(
    _ walk: ChannelState.Walk?, on channel: ChannelState, for caller: Caller
  ) async throws(CTAPStatus) -> AssertionResponse {
    guard case .assertions(var pending)? = walk, pending.remaining > 0 else { throw .notAllowed }
    // Each signature is a decision of its own: the rules may have changed since the first.
    let plan = pending.plan.anew(try await foresee(pending.plan.inquiry))
    var draft = draft(.authenticate, plan.prospect, plan.inquiry.scope, for: caller)
    draft.clientDataHash = plan.clientDataHash
    let next: (credential: Credential, position: Int64)
    do throws(Failure) {
      guard let found = try await self.walk(plan, olderThan: pending.position) else {
        throw Failure(.notAllowed, "the accounts that were left are gone")
      }
      next = found
      try refuseOverload(plan.inquiry.about(next.credential), &draft)
    } catch {
      if error.status == .channelBusy { channel.leaveUnchanged(walk) }
      throw await fail(draft, error)
    }
    let presence = try await admit(plan.inquiry.about(next.credential))
    draft.rule = presence.rule
    do throws(Failure) {
      try refuseUnverified(plan, presence)
      let response = try await assert(next.credential, plan, isOneOfSeveral: true, presence, &draft, caller)
      pending.position = next.position
      pending.remaining -= 1
      leave(.assertions(pending), on: channel)
      return response
    } catch {
      throw await fail(draft, error)
    }
  }

  /// - Throws: CTAP2_ERR_NOT_ALLOWED where a rule verified that no longer does
  private func refuseUnverified(_ plan: AssertionPlan, _ presence: borrowing Presence) throws(Failure) {
    guard plan.source != .policy || presence.userVerification else {
      throw Failure(.notAllowed, "rule \(presence.rule) no longer lets this caller count as verified")
    }
  }

  /// Whether policy lets the caller sign for this credential's account. An account that it does not is as if it were not
  /// here.
  func isAllowed(
    _ credential: Credential, _ inquiry: Inquiry, _ prospect: Prospect, verifiedBy source: VerificationSource?
  ) -> Bool {
    guard prospect.dependsOnAccount else { return true }
    guard let verdict = try? judge.judge(inquiry.about(credential)) else { return false }
    return source != .policy || verdict.userVerification
  }

  private func isAllowed(_ credential: Credential, _ plan: AssertionPlan) -> Bool {
    isAllowed(credential, plan.inquiry, plan.prospect, verifiedBy: plan.source)
  }

  /// The credential to use, and how many more accounts could follow. An empty list denotes nothing, as if it were absent
  /// (section 6.2.2 step 7: "present and non-empty"); platforms send it.
  private func choose(
    _ request: GetAssertionRequest, _ plan: AssertionPlan, _ draft: inout AuditRecord
  ) async throws(Failure) -> (credential: Credential, position: Int64?, remaining: Int) {
    var disabled: [UInt8]?
    if let list = request.allowList, !list.isEmpty {
      for descriptor in list where descriptor.type == CredentialParameters.publicKeyType {
        try refuseCancelled()
        if let credential = try await find(descriptor.id, relyingPartyIDHash: plan.relyingPartyIDHash),
          plan.isVerified || credential.protection < .userVerificationRequired, isAllowed(credential, plan)
        {
          guard credential.state == .disabled else { return (credential, nil, 0) }
          disabled = credential.id
        }
      }
    } else if let newest = try await walk(plan, olderThan: nil) {
      let others = try await count(plan, olderThan: newest.position)
      return (newest.credential, others > 0 ? newest.position : nil, others)
    }
    draft.credentialID = disabled
    throw disabled == nil ? Failure(.noCredentials, "no such credential") : .disabledCredential
  }

  /// The accounts that the walk has still to come to. Where rules name accounts, each has to be looked at.
  private func count(_ plan: AssertionPlan, olderThan position: Int64) async throws(Failure) -> Int {
    if plan.prospect.dependsOnAccount {
      var count = 0
      var position = position
      while let next = try await walk(plan, olderThan: position) {
        count += 1
        position = next.position
      }
      return count
    }
    do {
      return try await environment.store.discoverableCount(
        relyingPartyIDHash: plan.relyingPartyIDHash, olderThan: position, verified: plan.isVerified)
    } catch {
      throw Failure(error)
    }
  }

  private func walk(
    _ plan: AssertionPlan, olderThan position: Int64?
  ) async throws(Failure) -> (credential: Credential, position: Int64)? {
    var position = position
    while let next = try await nextCredential(plan, olderThan: position) {
      if isAllowed(next.credential, plan) { return next }
      position = next.position
    }
    return nil
  }

  private func nextCredential(
    _ plan: AssertionPlan, olderThan position: Int64?
  ) async throws(Failure) -> (credential: Credential, position: Int64)? {
    // There may be any number of them, and no rate counts what is only looked at.
    try refuseCancelled()
    do {
      return try await environment.store.discoverableCredential(
        relyingPartyIDHash: plan.relyingPartyIDHash, olderThan: position, verified: plan.isVerified)
    } catch {
      throw Failure(error)
    }
  }

  private func assert(
    _ credential: Credential, _ plan: AssertionPlan, isOneOfSeveral: Bool, _ presence: consuming Presence,
    _ draft: inout AuditRecord, _ caller: Caller
  ) async throws(Failure) -> AssertionResponse {
    var secrets: [UInt8]?
    if let salts = plan.salts, credential.hasHMACSecret {
      secrets = try hmacSecret(salts, of: credential.key.binding, verified: plan.isVerified)
    }
    var largeBlobKey: [UInt8]?
    if plan.extensions.largeBlobKey == true, credential.hasLargeBlobKey {
      largeBlobKey = try self.largeBlobKey(of: credential)
    }
    var flags: AuthenticatorDataFlags = plan.userPresent ? [.up] : []
    if plan.isVerified { flags.insert(.uv) }
    let data = AuthenticatorData(
      relyingPartyIDHash: plan.relyingPartyIDHash, flags: flags,
      signatureCounter: try await counter(for: credential.signatureCounter, caller: caller),
      extensions: outputs(of: plan.extensions, for: credential, hmacSecret: secrets))
    draft.credentialID = credential.id
    draft.userHandleHash = credential.userHandle.isEmpty ? nil : SHA256.hash(credential.userHandle)
    draft.flags = data.flags.rawValue
    draft.signatureCounter = data.signatureCounter
    let signed = data.encoded()
    let signature = try await sign(
      signed + plan.clientDataHash, with: credential, presence, recording: draft, for: caller)
    return AssertionResponse(
      credential: CredentialDescriptor(id: credential.id), authenticatorData: signed, signature: signature,
      user: credential.isDiscoverable && !credential.userHandle.isEmpty
        ? user(of: credential, named: plan.isVerified && isOneOfSeveral) : nil,
      largeBlobKey: largeBlobKey)
  }

  /// Names help to choose between several accounts, and are for verified users only (section 6.2.3, member 0x04).
  private func user(of credential: Credential, named: Bool) -> UserEntity {
    UserEntity(
      id: credential.userHandle, name: named ? credential.userName : nil,
      displayName: named ? credential.userDisplayName : nil)
  }
}
