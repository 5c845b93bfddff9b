internal import AuditLog
internal import Crypto
internal import CTAP
internal import Platform
internal import Policy
internal import WebAuthn

/// What getNextAssertion goes on with: a position in the walk over the accounts, not the accounts, so that its size
/// does not grow with them.
struct PendingAssertions {
  let relyingPartyID: String
  let clientDataHash: [UInt8]
  let userPresent: Bool
  /// Position of the account that was given last.
  var position: Int64
  /// How many accounts are still to come.
  var remaining: Int
  /// Monotonic nanoseconds after which the walk is over (section 6.3, 30 s from one command to the next).
  var deadline: UInt64
}

extension AuthenticatorEngine {
  /// authenticatorGetAssertion (CTAP 2.1 section 6.2.2; the numbers of its steps stand beside the checks).
  func getAssertion(
    _ request: GetAssertionRequest, for caller: Caller
  ) async throws(CTAPStatus) -> (AssertionResponse, PendingAssertions?) {
    try refusePINAuthorization(request.pinUvAuthParam, protocol: request.pinUvAuthProtocol)  // 1, 2
    if request.options.uv == true { throw .invalidOption }  // 4
    if request.options.rk != nil { throw .unsupportedOption }
    guard request.allowList?.count ?? 0 <= AuthenticatorLimits.maximumCredentialsInList else { throw .limitExceeded }

    let presence = try await admit(caller, .authenticate, relyingPartyID: request.relyingPartyID)  // 9
    var draft = assertionRecord(presence, request.clientDataHash, caller)
    do throws(Failure) {
      let chosen = try await choose(request)  // 7, 11, 12; after 9, so that only who may sign learns what is here
      var response = try await assert(
        chosen.credential, request.clientDataHash, userPresent: request.options.up ?? true, presence, &draft, caller)
      if chosen.remaining > 0 { response.numberOfCredentials = chosen.remaining + 1 }
      let pending = chosen.position.map { position in
        PendingAssertions(
          relyingPartyID: request.relyingPartyID, clientDataHash: request.clientDataHash,
          userPresent: request.options.up ?? true, position: position, remaining: chosen.remaining,
          deadline: nextDeadline())
      }
      return (response, pending)
    } catch {
      throw await fail(draft, error)
    }
  }

  /// authenticatorGetNextAssertion (section 6.3).
  func getNextAssertion(
    _ state: PendingAssertions?, for caller: Caller
  ) async throws(CTAPStatus) -> (AssertionResponse, PendingAssertions?) {
    guard var pending = state, pending.remaining > 0, environment.time.monotonicNanoseconds <= pending.deadline else {
      throw .notAllowed
    }
    // Each signature is a decision of its own: the rules may have changed since the first.
    let presence = try await admit(caller, .authenticate, relyingPartyID: pending.relyingPartyID)
    var draft = assertionRecord(presence, pending.clientDataHash, caller)
    do throws(Failure) {
      guard let next = try await walk(pending.relyingPartyID, olderThan: pending.position) else {
        throw Failure(.notAllowed, "the accounts that were left are gone")
      }
      let response = try await assert(
        next.credential, pending.clientDataHash, userPresent: pending.userPresent, presence, &draft, caller)
      pending.position = next.position
      pending.remaining -= 1
      pending.deadline = nextDeadline()
      return (response, pending)
    } catch {
      throw await fail(draft, error)
    }
  }

  private func nextDeadline() -> UInt64 {
    environment.time.monotonicNanoseconds + AuthenticatorLimits.nextAssertionTime
  }

  private func assertionRecord(
    _ presence: borrowing Presence, _ clientDataHash: [UInt8], _ caller: Caller
  ) -> AuditRecord {
    var draft = AuditRecord(.allowed, Operation.authenticate.rawValue, caller, environment.time)
    draft.rule = presence.rule
    draft.relyingPartyID = presence.relyingPartyID
    draft.clientDataHash = clientDataHash
    return draft
  }

  /// The credential to use, and how many more accounts could follow.
  private func choose(
    _ request: GetAssertionRequest
  ) async throws(Failure) -> (credential: Credential, position: Int64?, remaining: Int) {
    if let list = request.allowList {
      for descriptor in list where descriptor.type == CredentialParameters.publicKeyType {
        if let credential = try await find(descriptor.id, relyingPartyID: request.relyingPartyID) {
          return (credential, nil, 0)
        }
      }
    } else if let newest = try await walk(request.relyingPartyID, olderThan: nil) {
      let others: Int
      do {
        others = try await environment.store.discoverableCount(
          relyingPartyID: request.relyingPartyID, olderThan: newest.position)
      } catch {
        throw Failure(error)
      }
      return (newest.credential, others > 0 ? newest.position : nil, others)
    }
    throw Failure(.noCredentials, "no such credential")
  }

  private func walk(
    _ relyingPartyID: String, olderThan position: Int64?
  ) async throws(Failure) -> (credential: Credential, position: Int64)? {
    do {
      return try await environment.store.discoverableCredential(relyingPartyID: relyingPartyID, olderThan: position)
    } catch {
      throw Failure(error)
    }
  }

  private func assert(
    _ credential: Credential, _ clientDataHash: [UInt8], userPresent: Bool, _ presence: consuming Presence,
    _ draft: inout AuditRecord, _ caller: Caller
  ) async throws(Failure) -> AssertionResponse {
    let data = AuthenticatorData(
      relyingPartyIDHash: SHA256.hash(Array(credential.relyingPartyID.utf8)), flags: userPresent ? [.up] : [],
      signatureCounter: try await counter(for: credential.signatureCounter, caller: caller))
    draft.credentialID = credential.id
    draft.userHandleHash = SHA256.hash(credential.userHandle)
    draft.flags = data.flags.rawValue
    draft.signatureCounter = data.signatureCounter
    let signed = data.encoded()
    let signature = try await sign(signed, clientDataHash, with: credential, presence, recording: draft, for: caller)
    // Without user verification a user's name stays here (section 6.2.3, member 0x04).
    return AssertionResponse(
      credential: CredentialDescriptor(id: credential.id), authenticatorData: signed, signature: signature,
      user: credential.isDiscoverable ? UserEntity(id: credential.userHandle) : nil)
  }
}
