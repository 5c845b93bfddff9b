internal import AuditLog
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

  /// Removes a credential: nobody can sign with it from then on.
  ///
  /// - Returns: what has been removed; nil where there is none with this ID
  package func removeCredential(id: [UInt8], for caller: Caller) async throws(OperatorRefusal) -> Credential? {
    let presence = try permit(caller)
    do throws(CTAPStatus) {
      try gate.enter()
    } catch {
      throw OperatorRefusal(description: "a reset is in progress")
    }
    defer { gate.leave() }
    do throws(Failure) {
      guard let credential = try await find(id) else { return nil }
      try await remove(credential, managementDraft(presence, "credential.delete", credential, caller))
      return credential
    } catch {
      throw OperatorRefusal(description: error.reason)
    }
  }

  /// Which rule in force decides, and why. Signs nothing, changes nothing and is not recorded.
  package func explain(_ inquiry: Inquiry) -> Explanation {
    judge.explain(inquiry, at: Moment(environment.time))
  }

  private func permit(_ caller: Caller) throws(OperatorRefusal) -> Presence {
    do {
      return try ledger.admit(try judge.judge(caller, .manage, .all), at: Moment(environment.time))
    } catch {
      throw OperatorRefusal(description: error.reason)
    }
  }
}
