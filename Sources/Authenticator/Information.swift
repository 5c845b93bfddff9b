internal import AuditLog
internal import CTAP
internal import Platform
internal import Policy
internal import WebAuthn

extension AuthenticatorEngine {
  /// authenticatorGetInfo (CTAP 2.1 section 6.4): what is true at this moment. No PIN, no user verification and no
  /// extensions are served, so their members are absent; FIDO_2_1 is not claimed because it makes some of them
  /// mandatory.
  func information() async -> AuthenticatorInfo {
    var info = AuthenticatorInfo(versions: ["FIDO_2_0"], aaguid: environment.identity.aaguid)
    info.options = ["plat": true, "rk": true, "up": true]
    info.maxMessageSize = AuthenticatorLimits.maximumMessageSize
    info.maxCredentialCountInList = AuthenticatorLimits.maximumCredentialsInList
    info.maxCredentialIDLength = AuthenticatorLimits.credentialIDLength
    info.transports = ["internal"]
    info.algorithms = environment.keys.algorithms.map { CredentialParameters(algorithm: $0.rawValue) }
    info.firmwareVersion = CountersignVersion.firmware
    // Absent where the store cannot tell: no number is better than a wrong one.
    do {
      info.remainingDiscoverableCredentials = try await environment.store.remainingDiscoverableCredentials()
    } catch {
      environment.logger.warning("getInfo: \(error)")
    }
    return info
  }

  /// authenticatorSelection (section 6.9): there is no one to tap, so a caller that some rule knows is present.
  func select(for caller: Caller) async throws(CTAPStatus) {
    guard judge.recognises(caller) else {
      var record = AuditRecord(.refused, "selection", caller, environment.time)
      record.reason = "no rule names this caller"
      await recordWithinLimits(record)
      throw .operationDenied
    }
    await recordWithinLimits(AuditRecord(.allowed, "selection", caller, environment.time))
  }
}
