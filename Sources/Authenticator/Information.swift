internal import AuditLog
internal import CTAP
internal import Crypto
internal import Platform
internal import Policy
internal import Secrets
internal import WebAuthn

extension AuthenticatorEngine {
  /// authenticatorGetInfo (CTAP 2.1 section 6.4): what is true at this moment, for this caller. FIDO_2_2 is not claimed:
  /// of its members and extensions those are here that serve machines.
  func information(for caller: Caller) async throws(CTAPStatus) -> AuthenticatorInfo {
    let state = try await knownState()
    let settings = state.settings
    var info = AuthenticatorInfo(
      // U2F knows no user verification, so it ends where that is always wanted.
      versions: (settings.alwaysUV ? [] : ["U2F_V2"]) + ["FIDO_2_0", "FIDO_2_1"], aaguid: environment.identity.aaguid)
    info.extensions = [
      ExtensionName.credBlob, ExtensionName.credProtect, ExtensionName.hmacSecret, ExtensionName.hmacSecretMC,
      ExtensionName.largeBlobKey, ExtensionName.minPINLength,
    ]
    info.options = options(state, for: caller)
    info.maxMessageSize = AuthenticatorLimits.maximumMessageSize
    info.pinUvAuthProtocols = [PINUVAuthProtocol.two.rawValue, PINUVAuthProtocol.one.rawValue]
    info.maxCredentialCountInList = AuthenticatorLimits.maximumCredentialsInList
    info.maxCredentialIDLength = AuthenticatorLimits.credentialIDLength
    info.transports = ["internal"]
    info.algorithms = environment.keys.algorithms.map { CredentialParameters(algorithm: $0.rawValue) }
    info.maxSerializedLargeBlobArray = AuthenticatorLimits.maximumLargeBlobs
    info.forcePINChange = settings.forcePINChange
    info.minPINLength = settings.minPINLength
    info.maxPINLength = AuthenticatorLimits.maximumPINLength
    info.firmwareVersion = CountersignVersion.firmware
    info.maxCredBlobLength = AuthenticatorLimits.maximumBlobLength
    info.maxRPIDsForSetMinPINLength = AuthenticatorLimits.maximumMinPINLengthRelyingParties
    info.preferredPlatformUvAttempts = 1
    info.attestationFormats = AttestationChoice.formats(installed: environment.attestation?.inService())
    info.authenticatorConfigCommands = ConfigSubcommand.allCases.filter(isServed).map(\.rawValue)
    // Absent where the store cannot tell: no number is better than a wrong one.
    do {
      info.remainingDiscoverableCredentials = try await environment.store.remainingDiscoverableCredentials()
      try await addIdentifiers(to: &info, state)
    } catch {
      environment.logger.warning("getInfo: \(error)")
    }
    return info
  }

  private func options(_ state: PINState, for caller: Caller) -> [String: Bool] {
    let settings = state.settings
    var options = [
      "plat": true, "rk": true, "up": true,
      // A rule verifies, and only those callers that it names.
      "uv": judge.verifies(caller),
      "clientPin": state.hasPIN, "pinUvAuthToken": true, "credMgmt": true, "perCredMgmtRO": true,
      "authnrCfg": true, "setMinPINLength": true, "largeBlobs": true, "alwaysUv": settings.alwaysUV,
      "makeCredUvNotRqd": !settings.alwaysUV,
    ]
    // Ours alone: tells the callers of such a rule that frame command 0x41 may be the one to ask by.
    if judge.bindsClaims(caller) { options["bindClaims"] = true }
    if judge.offersEnterpriseAttestation { options["ep"] = settings.enterpriseAttestation }
    return options
  }

  /// encIdentifier and encCredStoreState (CTAP 2.2 and 2.3): only who holds the persistent token can read them.
  private func addIdentifiers(to info: inout AuthenticatorInfo, _ state: PINState) async throws {
    guard let token = try knownPersistentToken(state) else { return }
    info.encIdentifier = try encrypted(state.settings.deviceIdentifier, "encIdentifier", token)
    let changes = try await environment.store.changes()
    let number = (0..<8).map { UInt8(truncatingIfNeeded: changes >> (56 - 8 * $0)) }
    let storeState = SHA256.hash(Array("credential store state".utf8) + state.settings.deviceIdentifier + number)
    info.encCredStoreState = try encrypted(Array(storeState.prefix(16)), "encCredStoreState", token)
  }

  private func encrypted(_ identifier: [UInt8], _ label: String, _ token: borrowing SecretBytes) throws -> [UInt8] {
    let key = try HKDF.derive(
      from: token, salt: [UInt8](repeating: 0, count: 32), info: Array(label.utf8), count: 16)
    let vector = environment.random.bytes(AESCBC.blockCount)
    return vector + (try AESCBC.encrypt(identifier.span, key: key, initializationVector: vector))
  }

  /// authenticatorSelection (section 6.9): there is no one to tap, so a caller that some rule knows is present.
  func select(for caller: Caller) async throws(CTAPStatus) {
    guard judge.recognises(caller) else {
      var record = AuditRecord(.refused, .selection, caller, environment.time)
      record.reason = "no rule names this caller"
      record.result = "\(CTAPStatus.operationDenied)"
      await recordWithinLimits(record)
      throw .operationDenied
    }
    await recordWithinLimits(AuditRecord(.allowed, .selection, caller, environment.time))
  }
}
