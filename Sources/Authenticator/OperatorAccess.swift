package import AuditLog
internal import CTAP
internal import Platform
package import Policy

/// Why the operator's request was not done, in the operator's words.
package struct OperatorRefusal: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String
}

/// What the operator does with credentials, discoverable or not, besides CTAP: it needs no PIN, since the operator's
/// socket is the proof, and stands in the audit log all the same.
extension AuthenticatorEngine {
  /// Credentials in the order of their making.
  ///
  /// - Parameters:
  ///   - position: where the walk stands; nil at its start
  ///   - limit: how many at most
  ///   - caller: on the operator's socket
  /// - Returns: a page of them, and the position of the walk after it; nil at its end
  /// - Throws: ``OperatorRefusal``
  package func credentials(
    after position: Int64?, limit: Int, for caller: Caller
  ) async throws(OperatorRefusal) -> (page: [Credential], next: Int64?) {
    _ = try permit(caller)
    var page: [Credential] = []
    var position = position
    do {
      while page.count < limit, let next = try await environment.store.credential(after: position) {
        page.append(next.credential)
        position = next.position
      }
    } catch {
      throw OperatorRefusal(description: "\(error)")
    }
    return (page, page.count < limit ? nil : position)
  }

  /// One credential; nil where there is none with this ID.
  package func credential(id: [UInt8], for caller: Caller) async throws(OperatorRefusal) -> Credential? {
    _ = try permit(caller)
    do throws(Failure) {
      return try await find(id)
    } catch {
      throw OperatorRefusal(description: error.reason)
    }
  }

  /// Disables a credential, enables it again, or keeps it beside the one that takes its place. Requests that have found
  /// it already end as they began.
  ///
  /// - Returns: the credential with its new state; nil where there is none with this ID
  package func setState(
    _ state: CredentialState, of id: [UInt8], for caller: Caller
  ) async throws(OperatorRefusal) -> Credential? {
    let detail =
      switch state {
      case .enabled: "credential.enable"
      case .outgoing: "credential.outgoing"
      case .disabled: "credential.disable"
      }
    let changed = try await change(id, detail, for: caller) { $0.state = state }
    if let changed, state == .disabled { await environment.keys.evict([changed.key.binding]) }
    return changed
  }

  /// Gives a credential the operator's own name.
  ///
  /// - Parameters:
  ///   - label: at most 64 bytes of UTF-8; empty takes it away
  ///   - id: the credential ID
  ///   - caller: on the operator's socket
  /// - Returns: the credential with its new label; nil where there is none with this ID
  /// - Throws: ``OperatorRefusal``
  package func setLabel(
    _ label: String, of id: [UInt8], for caller: Caller
  ) async throws(OperatorRefusal) -> Credential? {
    guard label.utf8.count <= 64 else { throw OperatorRefusal(description: "a label has at most 64 bytes of UTF-8") }
    return try await change(id, "credential.rename", for: caller) { $0.label = label.isEmpty ? nil : label }
  }

  /// Gives a credential's key a persistent handle of the TPM, or takes it away. Recorded when it is done, or has failed:
  /// nothing is signed with it.
  ///
  /// - Parameters:
  ///   - isPinned: whether it shall have one
  ///   - id: the credential ID
  ///   - caller: on the operator's socket
  ///   - apply: does it
  /// - Returns: the credential; nil where there is none with this ID
  /// - Throws: ``OperatorRefusal``
  package func setPinned(
    _ isPinned: Bool, of id: [UInt8], for caller: Caller,
    by apply: (CredentialKey) async throws(KeyStoreError) -> Void
  ) async throws(OperatorRefusal) -> Credential? {
    let presence = try permit(caller)
    try enter()
    defer { gate.leave() }
    do throws(Failure) {
      guard let credential = try await find(id) else { return nil }
      let draft = managementDraft(presence, isPinned ? "credential.pin" : "credential.unpin", credential, caller)
      do throws(KeyStoreError) {
        try await apply(credential.key)
      } catch {
        let failure = Failure(error)
        _ = await fail(draft, failure)
        throw failure
      }
      await recordQuietly(draft)
      return credential
    } catch {
      throw OperatorRefusal(description: error.reason)
    }
  }

  /// Changes what is the operator's of a credential. What is so already is neither written nor recorded.
  private func change(
    _ id: [UInt8], _ detail: String, for caller: Caller, _ apply: (inout Credential) -> Void
  ) async throws(OperatorRefusal) -> Credential? {
    let presence = try permit(caller)
    try enter()
    defer { gate.leave() }
    do throws(Failure) {
      guard let before = try await find(id) else { return nil }
      var credential = before
      apply(&credential)
      guard credential != before else { return before }
      return try await replace(credential, managementDraft(presence, detail, credential, caller)) ? credential : nil
    } catch {
      throw OperatorRefusal(description: error.reason)
    }
  }

  private func enter() throws(OperatorRefusal) {
    do throws(CTAPStatus) {
      try gate.enter()
    } catch {
      throw OperatorRefusal(
        description: error == .notAllowed ? "this runner is being decommissioned" : "a reset is in progress")
    }
  }

  /// Removes a credential: nobody can sign with it from then on.
  ///
  /// - Returns: what has been removed; nil where there is none with this ID
  package func removeCredential(id: [UInt8], for caller: Caller) async throws(OperatorRefusal) -> Credential? {
    let presence = try permit(caller)
    try enter()
    defer { gate.leave() }
    do throws(Failure) {
      guard let credential = try await find(id) else { return nil }
      try await remove(credential, managementDraft(presence, "credential.delete", credential, caller))
      return credential
    } catch {
      throw OperatorRefusal(description: error.reason)
    }
  }

  /// Records what the operator has done outside of this module, before it is done; once more where that fails.
  ///
  /// - Parameters:
  ///   - operation: of the operator's
  ///   - detail: which of its kind, e.g. `attestation.request`
  ///   - caller: on the operator's socket
  ///   - failure: why what was recorded before was not done
  /// - Throws: ``OperatorRefusal``: without its record nothing may be done
  package func recordOperatorAct(
    _ operation: AuditRecord.Operation, _ detail: String, for caller: Caller, failure: String? = nil
  ) async throws(OperatorRefusal) {
    guard caller.isOperator else { throw OperatorRefusal(description: "this is the operator's") }
    guard !gate.isRetired else { throw OperatorRefusal(description: "this runner is being decommissioned") }
    var record = AuditRecord(failure == nil ? .done : .failed, operation, caller, environment.time)
    record.detail = detail
    record.reason = failure
    do throws(Failure) {
      try await self.record(record)
    } catch {
      throw OperatorRefusal(description: error.reason)
    }
  }

  /// Which rule in force decides, and why. Signs nothing, changes nothing and is not recorded.
  package func explain(_ inquiry: Inquiry) -> Explanation {
    judge.explain(inquiry, at: Moment(environment.time))
  }

  /// Refuses every request from now on, and waits until those in progress have ended. They fail, unless they have been
  /// answered.
  ///
  /// - Throws: ``OperatorRefusal`` while a reset is in progress
  package func retire() async throws(OperatorRefusal) {
    let wait: Wait
    do throws(CTAPStatus) {
      wait = try gate.retire()
    } catch {
      throw OperatorRefusal(description: "a reset is in progress")
    }
    _ = await wait.result()
  }

  /// Disables every credential that can be read, after ``retire()``: each has its record.
  ///
  /// - Returns: how many were not disabled before
  /// - Throws: ``OperatorRefusal``; it can be called again
  package func disableEverything(for caller: Caller) async throws(OperatorRefusal) -> Int {
    precondition(gate.isRetired, "others might enable it again")
    var count = 0
    var position: Int64?
    while true {
      let (page, next) = try await credentials(after: position, limit: 50, for: caller)
      for var credential in page where credential.state != .disabled {
        let presence = try permit(caller)
        credential.state = .disabled
        do throws(Failure) {
          _ = try await replace(credential, managementDraft(presence, "credential.disable", credential, caller))
        } catch {
          throw OperatorRefusal(description: error.reason)
        }
        count += 1
      }
      guard let next else { return count }
      position = next
    }
  }

  private func permit(_ caller: Caller) throws(OperatorRefusal) -> Presence {
    do {
      return try ledger.admit(try judge.judge(caller, .manage, .all), at: Moment(environment.time))
    } catch {
      throw OperatorRefusal(description: error.reason)
    }
  }
}
