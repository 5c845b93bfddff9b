internal import AuditLog
internal import CTAP
internal import Platform
internal import Policy

extension AuthenticatorEngine {
  /// authenticatorReset (CTAP 2.1 section 6.6). A rule stands for the gesture, and the ten seconds after power-up do
  /// not apply. The device secret is replaced too, so that copies of the old records are of no use to the new state.
  func reset(for caller: Caller) async throws(CTAPStatus) {
    let presence = try await admit(caller, .reset, .all)
    let draft = draft(.reset, presence, for: caller)
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
    try await self.record(record)
    var retries: RetryRecord
    do {
      retries = try await environment.keys.retryRecord(caller: caller)
    } catch {
      throw Failure(error)
    }
    retries = RetryRecord(generation: retries.generation + 1)
    var settings = AuthenticatorSettings(
      deviceIdentifier: environment.random.bytes(AuthenticatorSettings.identifierCount))
    settings.generation = retries.generation
    let made: (secret: DeviceSecret, record: [UInt8])
    do {
      made = try await environment.keys.makeDeviceSecret(caller: caller, presence: presence)
    } catch {
      throw Failure(error)
    }
    do {
      try await environment.store.reset(to: made.secret, record: made.record, settings: settings)
    } catch {
      throw Failure(error)
    }
    forgetPINState()
    pinMismatches = PINMismatches()
    await environment.keys.adopt(made.secret)
    do {
      try await environment.keys.save(retries, caller: caller)
    } catch {
      // The credentials are gone; what is left is done when the settings are read next.
      environment.logger.warning("reset: the TPM's record of PIN attempts follows later: \(error)")
    }
  }
}
