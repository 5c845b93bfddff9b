internal import AuditLog
internal import CTAP
internal import Platform
internal import Policy

/// What a large-blob array that is being written goes on with: nothing of it is stored before all of it is here and
/// right.
struct PendingLargeBlobs {
  var bytes: [UInt8]
  let expected: Int
}

extension AuthenticatorEngine {
  /// authenticatorLargeBlobs (section 6.10.2). Every relying party's blobs are in the one array: who may write it may
  /// remove those of others, and so needs a rule to manage all of them. Their content is encrypted by the platforms.
  func largeBlobs(
    _ request: LargeBlobsRequest, after walk: ChannelState.Walk?, on channel: ChannelState, for caller: Caller
  ) async throws(CTAPStatus) -> LargeBlobsResponse {
    // Section 6.10.2 has this status even for what is missing.
    guard let offset = request.offset else { throw .invalidParameter }
    guard (request.get == nil) != (request.set == nil) else { throw .invalidParameter }
    if let count = request.get {
      return LargeBlobsResponse(config: try await readLargeBlobs(count, offset, request, for: caller))
    }
    guard let fragment = request.set else { throw .invalidParameter }
    try await writeLargeBlobs(fragment, offset, request, after: walk, on: channel, for: caller)
    return LargeBlobsResponse()
  }

  private func readLargeBlobs(
    _ count: UInt64, _ offset: UInt64, _ request: LargeBlobsRequest, for caller: Caller
  ) async throws(CTAPStatus) -> [UInt8] {
    guard request.length == nil, request.pinUvAuthParam == nil, request.pinUvAuthProtocol == nil else {
      throw .invalidParameter
    }
    guard count <= AuthenticatorLimits.maximumFragment else { throw .invalidLength }
    guard judge.recognises(caller) else { throw await refuse(.largeBlobs, caller, "no rule names this caller") }
    let stored: [UInt8]
    do {
      stored = try await environment.store.largeBlobs() ?? SerializedLargeBlobArray.empty
    } catch {
      throw status(for: Failure(error), of: "reading large blobs")
    }
    guard offset <= stored.count else { throw .invalidParameter }
    return Array(stored.dropFirst(Int(offset)).prefix(Int(count)))
  }

  private func writeLargeBlobs(
    _ fragment: [UInt8], _ offset: UInt64, _ request: LargeBlobsRequest, after walk: ChannelState.Walk?,
    on channel: ChannelState, for caller: Caller
  ) async throws(CTAPStatus) {
    guard fragment.count <= AuthenticatorLimits.maximumFragment else { throw .invalidLength }
    // A fragment out of turn leaves the array that is there: the platform may send the right one.
    if case .largeBlobs = walk { channel.leaveUnchanged(walk) }
    var pending = try pending(offset, request, after: walk)
    channel.endWalk()
    let draft = try await managementRecord("largeBlobs.write", caller)
    do throws(Failure) {
      try await authorize(fragment, offset, request, on: channel, for: caller)
      guard pending.bytes.count + fragment.count <= pending.expected else {
        throw Failure(.invalidParameter, "the fragments are longer than the array")
      }
      pending.bytes += fragment
      guard pending.bytes.count == pending.expected else {
        leave(.largeBlobs(pending), on: channel)
        return
      }
      guard SerializedLargeBlobArray.array(in: pending.bytes) != nil else {
        throw Failure(.integrityFailure, "the array's hash is wrong")
      }
      try await record(draft)
      do {
        try await environment.store.save(largeBlobs: pending.bytes)
      } catch {
        throw Failure(error)
      }
    } catch {
      throw await fail(draft, error)
    }
  }

  /// The write that a fragment belongs to: a new one at offset 0, else the one in progress.
  private func pending(
    _ offset: UInt64, _ request: LargeBlobsRequest, after walk: ChannelState.Walk?
  ) throws(CTAPStatus) -> PendingLargeBlobs {
    if offset == 0 {
      guard let length = request.length else { throw .invalidParameter }
      guard length <= AuthenticatorLimits.maximumLargeBlobs else { throw .largeBlobStorageFull }
      guard length >= SerializedLargeBlobArray.empty.count else { throw .invalidParameter }
      return PendingLargeBlobs(bytes: [], expected: Int(length))
    }
    guard request.length == nil else { throw .invalidParameter }
    guard case .largeBlobs(let pending)? = walk, pending.bytes.count == offset else { throw .invalidSeq }
    return pending
  }

  /// A protected authenticator wants a token with the permission.
  private func authorize(
    _ fragment: [UInt8], _ offset: UInt64, _ request: LargeBlobsRequest, on channel: ChannelState,
    for caller: Caller
  ) async throws(Failure) {
    guard let code = request.pinUvAuthParam else {
      let state = try await pinState()
      guard !isProtected(state, caller, .manage, .all), !state.settings.alwaysUV else {
        throw Failure(.puatRequired, "large blobs ask for a pinUvAuthToken")
      }
      return
    }
    try managementToken(
      code, protocol: request.pinUvAuthProtocol,
      of: LargeBlobsRequest.authenticatedMessage(writing: fragment, at: offset), needing: .largeBlobWrite, on: channel,
      for: caller)
  }
}
