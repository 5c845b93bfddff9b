internal import AuditLog
internal import CTAP
internal import Crypto
internal import Platform
internal import Policy
internal import WebAuthn

extension AuthenticatorEngine {
  /// Signs a message: authenticatorData and the client data's hash (WebAuthn section 6.3.3), or what U2F has instead.
  /// The audit record becomes durable while the TPM works; the signature is given out only when both are done.
  func sign(
    _ message: [UInt8], with credential: Credential, _ presence: consuming Presence, recording record: AuditRecord,
    for caller: Caller
  ) async throws(Failure) -> [UInt8] {
    // On the loop when this waits for the TPM, which has its command before anything is done for the log.
    let isAlone = signaturesInProgress == 0
    let ticket = Task { isAlone ? submit(record) : submitBesideOthers(record) }
    signaturesInProgress += 1
    defer { signaturesInProgress -= 1 }
    let digest =
      switch credential.key.algorithm {
      case .es256, .rs256: SHA256.hash(message)
      case .es384: SHA384.hash(message)
      }
    let signature: [UInt8]
    do {
      signature = try await environment.keys.sign(
        digest: digest, with: credential.key, caller: caller, presence: presence)
    } catch {
      // What comes of it is recorded behind it.
      _ = await ticket.value
      throw Failure(error)
    }
    try await durable(await ticket.value)
    try refuseEnded(caller)
    // What was made before is recorded, and does not leave.
    guard !gate.isRetired else { throw Failure(.notAllowed, "this runner is being decommissioned") }
    return signature
  }

  /// Hands over the record of a signature. Beside others it waits for the TPM, and until that begins with it, its record
  /// can wait too: of all that have come by then, one fdatasync(2) takes care.
  private func submitBesideOthers(_ record: AuditRecord) -> any AuditTicket {
    guard let receipt = Receipt.current else { return submit(record) }
    let ticket = submit(record, .whenWanted)
    receipt.hastenOnceWorkBegins(ticket)
    return ticket
  }

  /// Waits until a record is on disk.
  func durable(_ ticket: any AuditTicket) async throws(Failure) {
    do {
      try await ticket.durable()
    } catch {
      throw Failure(error)
    }
  }

  /// - Throws: CTAP2_ERR_OPERATION_DENIED once the caller's grant has ended: what was made in its time does not leave
  func refuseEnded(_ caller: Caller) throws(Failure) {
    guard let grant = caller.grant, !ledger.isAlive(grant, at: environment.time.monotonicNanoseconds) else { return }
    throw Failure(.operationDenied, "grant \(grant.id) has ended")
  }

  /// The signature counter for one signature of this credential.
  func counter(for mode: SignatureCounter, caller: Caller) async throws(Failure) -> UInt32 {
    // A value is spent for good, and every so many of them wear the TPM's memory: none for who no longer waits.
    try refuseCancelled()
    guard mode == .global else { return 0 }
    do {
      return try await environment.keys.nextSignatureCounter(caller: caller)
    } catch {
      throw Failure(error)
    }
  }

  /// Before anything is spent that would be spent in vain.
  ///
  /// - Throws: CTAP1_ERR_CHANNEL_BUSY, or what else ``KeyStore/checkWait(caller:)`` finds
  func refuseLongWait(_ caller: Caller) throws(Failure) {
    do {
      try environment.keys.checkWait(caller: caller)
    } catch {
      throw Failure(error)
    }
  }

  /// - Throws: CTAP2_ERR_KEEPALIVE_CANCEL once the caller has cancelled or gone
  func refuseCancelled() throws(Failure) {
    if Task.isCancelled { throw Failure(.keepaliveCancel, "cancelled") }
  }

  /// The credential with this ID, if it is here and belongs to the relying party. No TPM work: every credential has a
  /// row.
  func find(_ id: [UInt8], relyingPartyIDHash hash: [UInt8]) async throws(Failure) -> Credential? {
    guard id.count == AuthenticatorLimits.credentialIDLength else { return nil }
    do {
      return try await environment.store.credential(id: id, relyingPartyIDHash: hash)
    } catch {
      throw Failure(error)
    }
  }

  /// The credential with this ID, whosever it is.
  func find(_ id: [UInt8]) async throws(Failure) -> Credential? {
    guard id.count == AuthenticatorLimits.credentialIDLength else { return nil }
    do {
      return try await environment.store.credential(id: id)
    } catch {
      throw Failure(error)
    }
  }

  /// Makes a record durable that no signature waits for.
  func record(_ record: AuditRecord) async throws(Failure) {
    try await durable(submit(record))
  }
}
