internal import AuditLog
internal import CTAP
internal import Platform
internal import Policy

extension AuthenticatorEngine {
  /// authenticatorReset (CTAP 2.1 section 6.6). A rule stands for the gesture, and the ten seconds after power-up do
  /// not apply. The device secret is replaced too, so that copies of the old records are of no use to the new state.
  func reset(for caller: Caller) async throws(CTAPStatus) {
    let presence = try await admit(caller, .reset, relyingPartyID: nil)
    var draft = AuditRecord(.allowed, Operation.reset.rawValue, caller, environment.time)
    draft.rule = presence.rule
    do throws(Failure) {
      try await replaceEverything(presence, draft, for: caller)
    } catch {
      throw await fail(draft, error)
    }
    environment.logger.notice("reset by uid \(caller.user): every credential is gone")
  }

  private func replaceEverything(
    _ presence: borrowing Presence, _ record: AuditRecord, for caller: Caller
  ) async throws(Failure) {
    do {
      try await environment.audit.submit(record).durable()
    } catch {
      throw Failure(error)
    }
    let made: (secret: DeviceSecret, record: [UInt8])
    do {
      made = try await environment.keys.makeDeviceSecret(caller: caller, presence: presence)
    } catch {
      throw Failure(error)
    }
    do {
      try await environment.store.reset(to: made.secret, record: made.record)
    } catch {
      throw Failure(error)
    }
    await environment.keys.adopt(made.secret)
  }
}
