internal import AuditLog
internal import Crypto
internal import CTAP
internal import Platform
internal import Policy
internal import Secrets
internal import WebAuthn

/// What enumerateRPsGetNextRP goes on with.
struct PendingRelyingParties {
  /// Position of the relying party that was given last.
  var position: Int64
  var remaining: Int
}

/// What enumerateCredentialsGetNextCredential goes on with.
struct PendingCredentials {
  let relyingPartyID: String
  let relyingPartyIDHash: [UInt8]
  /// Position of the credential that was given last.
  var position: Int64
  var remaining: Int
}

extension AuthenticatorEngine {
  /// authenticatorCredentialManagement (CTAP 2.1 section 6.8), only within the RP IDs that the caller's rules cover.
  func manageCredentials(
    _ request: CredentialManagementRequest, after walk: ChannelState.Walk?, on channel: ChannelState,
    for caller: Caller
  ) async throws(CTAPStatus) -> CredentialManagementResponse {
    guard let subcommand = CredentialManagementSubcommand(rawValue: request.subCommand) else {
      throw .invalidSubcommand
    }
    guard judge.recognises(caller, .manage) else {
      throw await refuse(.manage, caller, "no rule lets this caller manage credentials")
    }
    do throws(Failure) {
      switch subcommand {
      case .enumerateRPsGetNextRP: return try await nextRelyingParty(walk, on: channel, for: caller)
      case .enumerateCredentialsGetNextCredential: return try await nextCredential(walk, on: channel, for: caller)
      case .getCredsMetadata, .enumerateRPsBegin, .enumerateCredentialsBegin, .deleteCredential,
        .updateUserInformation:
        return try await manage(request, subcommand, on: channel, for: caller)
      }
    } catch {
      throw status(for: error, of: "credential management")
    }
  }

  /// The RP ID that a token is bound to, where it is.
  private struct Binding {
    let relyingPartyID: String?

    func covers(_ id: String?) -> Bool {
      guard let relyingPartyID else { return true }
      return id?.utf8.elementsEqual(relyingPartyID.utf8) ?? false
    }

    /// - Throws: CTAP2_ERR_PIN_AUTH_INVALID for a token of one relying party
    func requireNone() throws(Failure) {
      guard relyingPartyID == nil else {
        throw Failure(.pinAuthInvalid, "the pinUvAuthToken is for one relying party")
      }
    }
  }

  /// Does what asks for a token.
  private func manage(
    _ request: CredentialManagementRequest, _ subcommand: CredentialManagementSubcommand, on channel: ChannelState,
    for caller: Caller
  ) async throws(Failure) -> CredentialManagementResponse {
    guard let code = request.pinUvAuthParam else {
      throw Failure(.puatRequired, "credential management asks for a pinUvAuthToken")
    }
    let version = try Failure.translated { () throws(CTAPStatus) in try protocolVersion(request.pinUvAuthProtocol) }
    // The standard looks for what is missing before it looks at pinUvAuthParam.
    guard let action = ManagementAction(subcommand, request.parameters ?? CredentialManagementParameters()) else {
      throw Failure(.missingParameter, "a member of subCommandParams is missing")
    }
    let binding = try await authorize(action, request, code, version, on: channel, for: caller)
    switch action {
    case .metadata: return try await metadata(binding, for: caller)
    case .relyingParties: return try await firstRelyingParty(binding, on: channel, for: caller)
    case .credentials(let hash): return try await firstCredential(hash, binding, on: channel, for: caller)
    case .delete(let id): try await deleteCredential(id, binding, for: caller)
    case .update(let id, let user): try await updateUser(user, of: id, binding, for: caller)
    }
    return CredentialManagementResponse()
  }

  /// Checks pinUvAuthParam: the channel's token, or the persistent one for what only reads.
  private func authorize(
    _ action: ManagementAction, _ request: CredentialManagementRequest, _ code: [UInt8], _ version: PINUVAuthProtocol,
    on channel: ChannelState, for caller: Caller
  ) async throws(Failure) -> Binding {
    let message = request.authenticatedMessage
    if action.isReadOnly, let token = try knownPersistentToken(try await pinState()),
      version.verify(code, of: message, key: token)
    {
      return Binding(relyingPartyID: nil)
    }
    let token = try managementToken(
      code, protocol: request.pinUvAuthProtocol, of: message, needing: .credentialManagement, on: channel, for: caller)
    return Binding(relyingPartyID: token.relyingPartyID)
  }

  /// Policy's yes for one relying party. A refusal is recorded, and looks to the caller as if nothing were there.
  private func permit(_ caller: Caller, _ relyingPartyID: String, _ detail: String) async throws(Failure) -> Presence {
    do {
      return try await admit(caller, .manage, .relyingParty(relyingPartyID), detail: detail)
    } catch {
      throw Failure(.noCredentials, "no rule lets this caller manage that relying party")
    }
  }

  // MARK: Metadata and relying parties

  private func metadata(_ binding: Binding, for caller: Caller) async throws(Failure) -> CredentialManagementResponse {
    try binding.requireNone()
    var existing = 0
    var position: Int64?
    while let next = try await relyingParty(after: position, for: caller) {
      position = next.position
      do {
        existing += try await environment.store.discoverableCount(
          relyingPartyIDHash: SHA256.hash(Array(next.id.utf8)), olderThan: nil, verified: true)
      } catch {
        throw Failure(error)
      }
    }
    do {
      var response = CredentialManagementResponse()
      response.existingResidentCredentialsCount = existing
      response.maxPossibleRemainingResidentCredentialsCount =
        try await environment.store.remainingDiscoverableCredentials()
      return response
    } catch {
      throw Failure(error)
    }
  }

  private func firstRelyingParty(
    _ binding: Binding, on channel: ChannelState, for caller: Caller
  ) async throws(Failure) -> CredentialManagementResponse {
    try binding.requireNone()
    guard let first = try await relyingParty(after: nil, for: caller) else {
      throw Failure(.noCredentials, "no relying party that this caller may manage")
    }
    var total = 1
    var position = first.position
    while let next = try await relyingParty(after: position, for: caller) {
      total += 1
      position = next.position
    }
    if total > 1 {
      leave(.relyingParties(PendingRelyingParties(position: first.position, remaining: total - 1)), on: channel)
    }
    return response(first.id, first.name, total: total)
  }

  private func nextRelyingParty(
    _ walk: ChannelState.Walk?, on channel: ChannelState, for caller: Caller
  ) async throws(Failure) -> CredentialManagementResponse {
    guard case .relyingParties(var pending)? = walk, pending.remaining > 0,
      let next = try await relyingParty(after: pending.position, for: caller)
    else { throw Failure(.notAllowed, "no enumeration to go on with") }
    pending.position = next.position
    pending.remaining -= 1
    leave(.relyingParties(pending), on: channel)
    return response(next.id, next.name, total: nil)
  }

  /// The next one that the caller may manage.
  func relyingParty(
    after start: Int64?, for caller: Caller
  ) async throws(Failure) -> (id: String, name: String?, position: Int64)? {
    var position = start
    while let next = try await storedRelyingParty(after: position) {
      if mayManage(next.id, caller) { return next }
      position = next.position
    }
    return nil
  }

  /// For walks as long as the store, which whoever has gone must not leave behind: ended connections have no limit.
  private func storedRelyingParty(
    after position: Int64?
  ) async throws(Failure) -> (id: String, name: String?, position: Int64)? {
    try refuseCancelled()
    do {
      return try await environment.store.relyingParty(after: position)
    } catch {
      throw Failure(error)
    }
  }

  private func response(_ id: String, _ name: String?, total: Int?) -> CredentialManagementResponse {
    var response = CredentialManagementResponse()
    response.relyingParty = RelyingPartyEntity(id: id, name: name)
    response.relyingPartyIDHash = SHA256.hash(Array(id.utf8))
    response.totalRPs = total
    return response
  }

  // MARK: Credentials

  private func firstCredential(
    _ hash: [UInt8], _ binding: Binding, on channel: ChannelState, for caller: Caller
  ) async throws(Failure) -> CredentialManagementResponse {
    guard hash.count == SHA256.count else { throw Failure(.noCredentials, "no hash of an RP ID") }
    guard let newest = try await manageableNewest(hash, for: caller), let id = newest.credential.relyingPartyID else {
      throw await notThere(caller, .application(hash), "no credential of that relying party")
    }
    _ = try await permit(caller, id, "credential.list")
    guard binding.covers(id) else { throw Failure(.pinAuthInvalid, "the pinUvAuthToken is for another relying party") }
    let total: Int
    do {
      total = try await environment.store.discoverableCount(relyingPartyIDHash: hash, olderThan: nil, verified: true)
    } catch {
      throw Failure(error)
    }
    if total > 1 {
      let pending = PendingCredentials(
        relyingPartyID: id, relyingPartyIDHash: hash, position: newest.position, remaining: total - 1)
      leave(.credentials(pending), on: channel)
    }
    return try response(newest.credential, total: total)
  }

  private func nextCredential(
    _ walk: ChannelState.Walk?, on channel: ChannelState, for caller: Caller
  ) async throws(Failure) -> CredentialManagementResponse {
    guard case .credentials(var pending)? = walk, pending.remaining > 0, mayManage(pending.relyingPartyID, caller),
      let next = try await discoverable(pending.relyingPartyIDHash, olderThan: pending.position)
    else { throw Failure(.notAllowed, "no enumeration to go on with") }
    pending.position = next.position
    pending.remaining -= 1
    leave(.credentials(pending), on: channel)
    return try response(next.credential, total: nil)
  }

  func discoverable(
    _ hash: [UInt8], olderThan position: Int64?
  ) async throws(Failure) -> (credential: Credential, position: Int64)? {
    do {
      return try await environment.store.discoverableCredential(
        relyingPartyIDHash: hash, olderThan: position, verified: true)
    } catch {
      throw Failure(error)
    }
  }

  private func response(_ credential: Credential, total: Int?) throws(Failure) -> CredentialManagementResponse {
    var response = CredentialManagementResponse()
    response.user = UserEntity(
      id: credential.userHandle, name: credential.userName, displayName: credential.userDisplayName)
    response.credentialID = CredentialDescriptor(id: credential.id)
    response.publicKey = credential.publicKey
    response.totalCredentials = total
    response.credProtect = UInt64(credential.protection.rawValue)
    response.largeBlobKey = credential.hasLargeBlobKey ? try largeBlobKey(of: credential) : nil
    return response
  }

  // MARK: Changes

  private func deleteCredential(_ id: [UInt8], _ binding: Binding, for caller: Caller) async throws(Failure) {
    let (credential, draft) = try await changeable(id, binding, "credential.delete", for: caller)
    try await remove(credential, draft)
  }

  /// Records the removal of a credential, and then removes it.
  func remove(_ credential: Credential, _ draft: AuditRecord) async throws(Failure) {
    try await record(draft)
    let removed: KeyBinding?
    do {
      removed = try await environment.store.remove(id: credential.id)
    } catch {
      throw await recorded(Failure(error), draft)
    }
    if let removed { await environment.keys.evict([removed]) }
  }

  private func updateUser(
    _ user: UserEntity, of id: [UInt8], _ binding: Binding, for caller: Caller
  ) async throws(Failure) {
    var (credential, draft) = try await changeable(id, binding, "credential.update", for: caller)
    guard user.id == credential.userHandle else { throw Failure(.invalidParameter, "the user handle is another") }
    credential.userName = user.name.flatMap { $0.isEmpty ? nil : truncated($0) }
    credential.userDisplayName = user.displayName.flatMap { $0.isEmpty ? nil : truncated($0) }
    guard try await replace(credential, draft) else {
      throw Failure(.noCredentials, "the credential has gone meanwhile")
    }
  }

  /// Records the change of a credential, and then makes it.
  ///
  /// - Returns: whether it was there
  func replace(_ credential: Credential, _ draft: AuditRecord) async throws(Failure) -> Bool {
    try await record(draft)
    do {
      return try await environment.store.update(credential)
    } catch {
      throw await recorded(Failure(error), draft)
    }
  }

  private func recorded(_ failure: Failure, _ draft: AuditRecord) async -> Failure {
    _ = await fail(draft, failure)
    return failure
  }

  /// The discoverable credential that a request names, if the caller may manage it.
  private func changeable(
    _ id: [UInt8], _ binding: Binding, _ detail: String, for caller: Caller
  ) async throws(Failure) -> (Credential, AuditRecord) {
    guard let credential = try await manageable(id, boundTo: binding.relyingPartyID, for: caller), credential.isOnWalks,
      let relyingPartyID = credential.relyingPartyID
    else { throw await notThere(caller, .all, "no such credential") }
    let presence = try await permit(caller, relyingPartyID, detail)
    guard binding.covers(relyingPartyID) else {
      throw Failure(.pinAuthInvalid, "the pinUvAuthToken is for another relying party")
    }
    return (credential, managementDraft(presence, detail, credential, caller))
  }

  /// The beginning of a record about one credential.
  func managementDraft(
    _ presence: borrowing Presence, _ detail: String, _ credential: Credential, _ caller: Caller
  ) -> AuditRecord {
    var draft = draft(.manage, presence, for: caller, detail: detail)
    draft.relyingPartyID = credential.relyingPartyID
    draft.credentialID = credential.id
    return draft
  }
}

/// A subcommand that asks for a token, with the members that it asks for.
private enum ManagementAction {
  case metadata
  case relyingParties
  case credentials(relyingPartyIDHash: [UInt8])
  case delete(credentialID: [UInt8])
  case update(credentialID: [UInt8], user: UserEntity)

  /// nil where a member is missing, and for what goes on with an enumeration.
  init?(_ subcommand: CredentialManagementSubcommand, _ parameters: CredentialManagementParameters) {
    switch (subcommand, parameters.relyingPartyIDHash, parameters.credentialID?.id, parameters.user) {
    case (.getCredsMetadata, _, _, _): self = .metadata
    case (.enumerateRPsBegin, _, _, _): self = .relyingParties
    case (.enumerateCredentialsBegin, let hash?, _, _): self = .credentials(relyingPartyIDHash: hash)
    case (.deleteCredential, _, let id?, _): self = .delete(credentialID: id)
    case (.updateUserInformation, _, let id?, let user?): self = .update(credentialID: id, user: user)
    default: return nil
    }
  }

  /// Whether the persistent token is enough for it.
  var isReadOnly: Bool {
    switch self {
    case .metadata, .relyingParties, .credentials: true
    case .delete, .update: false
    }
  }
}
