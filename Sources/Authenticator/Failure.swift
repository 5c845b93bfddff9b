internal import AuditLog
internal import CTAP

/// Why an allowed operation was not done: the status for the caller, the reason for the operator. The one place where
/// a port's error becomes a status of CTAP (the exit status of a daemon that cannot start is another matter).
struct Failure: Error {
  let status: CTAPStatus
  let reason: String
  /// Whether the operator must act, or it is in the caller's hands.
  let isFault: Bool

  init(_ status: CTAPStatus, _ reason: String) {
    self.status = status
    self.reason = reason
    isFault = false
  }

  /// To the caller as if the credential were not there.
  static let disabledCredential = Failure(.noCredentials, "credential disabled")

  /// Runs what throws a status of its own.
  static func translated<Result: ~Copyable>(
    _ body: () throws(CTAPStatus) -> Result
  ) throws(Failure) -> Result {
    do {
      return try body()
    } catch {
      throw Failure(error, "\(error)")
    }
  }

  init(_ error: KeyStoreError) {
    reason = "\(error)"
    switch error {
    case .unavailable, .failed, .bootState: (status, isFault) = (.tpmUnavailable, true)
    case .unsupportedAlgorithm: (status, isFault) = (.unsupportedAlgorithm, false)
    // The one status of section 8.2 that asks the client to come again after a while.
    case .busy, .overloaded: (status, isFault) = (.channelBusy, false)
    // Not CTAP2_ERR_USER_ACTION_TIMEOUT: nobody was asked to do anything.
    case .timedOut: (status, isFault) = (.timeout, false)
    case .cancelled: (status, isFault) = (.keepaliveCancel, false)
    // No status of the standard fits; a relying party would take a counter that starts again for a clone.
    case .counterExhausted: (status, isFault) = (.other, true)
    }
  }

  init(_ error: StoreError) {
    reason = "\(error)"
    switch error {
    case .full: (status, isFault) = (.keyStoreFull, true)
    case .unavailable: (status, isFault) = (.storageUnavailable, true)
    case .conflict: (status, isFault) = (.notAllowed, false)
    }
  }

  init(_ error: AuditError) {
    (status, reason, isFault) = (.auditUnavailable, "\(error)", true)
  }
}
