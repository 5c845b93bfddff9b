internal import CTAP
internal import Platform
internal import Policy

/// The settings and the PIN's attempts, as the store and the TPM have them.
struct PINState {
  /// Wrong attempts until the PIN is blocked (CTAP 2.1 section 6.5.2.2).
  static let maximumRetries = 8

  var settings: AuthenticatorSettings
  var record: RetryRecord
  /// Whether the settings are an older copy than the TPM knows of: somebody has restored or removed a file. The PIN is
  /// blocked then.
  var isRolledBack = false
  /// Whether the last failure counted in the TPM is an attempt that was right in the end. It pays for the next one, so
  /// that only wrong PINs, and the first right one after a start, wear the TPM's memory.
  var isPaid = false

  /// Whether a PIN protects the authenticator. It does too where an older copy knows of none.
  var hasPIN: Bool { settings.pin != nil || isRolledBack }

  var retries: Int {
    isRolledBack ? 0 : max(0, PINState.maximumRetries - Int(record.failures) + (isPaid ? 1 : 0))
  }
}

/// Who has been wrong how often in a row since the daemon started. That is what CTAP calls the power cycle: no message
/// brings it about, and neither do a new connection, INIT or a reload of the configuration.
struct PINMismatches {
  /// Wrong attempts of one user before they have to stop (section 6.5.5.7).
  private static let maximumByUser = 3
  /// Of all users: so many of the eight are left for the operator whatever the jobs do.
  private static let maximum = 5
  /// Not in a row: a job that knows the PIN would otherwise give each guesser beside it fresh attempts for ever.
  private static let maximumSinceStart = 30

  private var byUser: [UInt32: Int] = [:]
  private var inARow = 0
  private var sinceStart = 0

  func isBlocked(_ caller: Caller) -> Bool {
    inARow >= PINMismatches.maximum || sinceStart >= PINMismatches.maximumSinceStart
      || byUser[caller.user, default: 0] >= PINMismatches.maximumByUser
  }

  mutating func add(_ caller: Caller) {
    byUser[caller.user, default: 0] += 1
    inARow += 1
    sinceStart += 1
  }

  /// This user was right, which says nothing of the others.
  mutating func clear(_ caller: Caller) {
    byUser[caller.user] = nil
    inARow = 0
  }
}

extension AuthenticatorEngine {
  /// Reads the settings and the attempts, once: nobody else changes them. While they change, the old ones hold.
  func pinState() async throws(Failure) -> PINState {
    if let known = knownPINState { return known }
    guard await pinReading.enter() else { throw Failure(.keepaliveCancel, "cancelled") }
    defer { pinReading.leave() }
    if let known = knownPINState { return known }
    let state = try await loadPINState()
    rememberPINState(state)
    return state
  }

  private func loadPINState() async throws(Failure) -> PINState {
    let stored: AuthenticatorSettings?
    let record: RetryRecord
    do {
      stored = try await environment.store.settings()
    } catch {
      throw Failure(error)
    }
    do {
      record = try await environment.keys.retryRecord(caller: .daemon)
    } catch {
      throw Failure(error)
    }
    let settings =
      stored
      ?? AuthenticatorSettings(deviceIdentifier: environment.random.bytes(AuthenticatorSettings.identifierCount))
    var state = PINState(settings: settings, record: record)
    if stored != nil, record.generation < .max, settings.generation == record.generation + 1 {
      // A change that was interrupted between the store and the TPM.
      state.record.generation += 1
      try await save(state.record)
    } else if settings.generation != record.generation {
      state.isRolledBack = true
      environment.logger.error(
        "the settings are older than the TPM knows of (a restored backup?): the PIN is blocked until the operator "
          + "sets one by the admin socket, or resets")
    }
    return state
  }

  /// In the daemon's own turn at the TPM, as reading it: others wait for it, whom a caller's other work there must not
  /// hold up.
  private func save(_ record: RetryRecord) async throws(Failure) {
    do {
      try await environment.keys.save(record, caller: .daemon)
    } catch {
      throw Failure(error)
    }
  }

  /// Writes what the TPM keeps of a state, which is in force then. Only behind the turnstile.
  ///
  /// - Throws: the failure of the TPM; what is in force is read anew then
  private func save(_ state: PINState) async throws(Failure) {
    do throws(Failure) {
      try await save(state.record)
    } catch {
      forgetPINState()
      throw error
    }
    rememberPINState(state)
  }

  /// Changes the settings: in the store first, then the generation in the TPM. Only behind the turnstile.
  ///
  /// - Parameters:
  ///   - state: as it is
  ///   - forgivesFailures: whether the attempts begin again
  ///   - change: what to change
  /// - Throws: the failure of the store or the TPM; what is in force is read anew then
  func changeSettings(
    _ state: PINState, forgivingFailures forgivesFailures: Bool = false,
    _ change: (inout AuthenticatorSettings) -> Void
  ) async throws(Failure) {
    // To save an older copy would make it the newest, and an old PIN right again. A new PIN replaces it.
    guard !state.isRolledBack || forgivesFailures else {
      throw Failure(.pinBlocked, "the settings are an older copy: set a PIN by the admin socket, or reset")
    }
    var changed = state
    change(&changed.settings)
    changed.record.generation += 1
    changed.settings.generation = changed.record.generation
    changed.isRolledBack = false
    if forgivesFailures {
      changed.record.failures = 0
      changed.isPaid = false
    }
    do {
      try await environment.store.save(changed.settings)
    } catch {
      forgetPINState()
      throw Failure(error)
    }
    try await save(changed)
  }

  /// Counts an attempt before it is checked, so that no crash forgets it. Only behind the turnstile.
  ///
  /// - Throws: CTAP2_ERR_PIN_NOT_SET, CTAP2_ERR_PIN_BLOCKED, CTAP2_ERR_PIN_AUTH_BLOCKED
  func countAttempt(for caller: Caller) async throws(Failure) -> (state: PINState, pin: AuthenticatorSettings.PIN) {
    var state = try await pinState()
    guard state.hasPIN else { throw Failure(.pinNotSet, "no PIN is set") }
    guard state.retries > 0, let pin = state.settings.pin else {
      throw Failure(.pinBlocked, state.isRolledBack ? "the settings are an older copy" : "the PIN is blocked")
    }
    guard !pinMismatches.isBlocked(caller) else {
      throw Failure(.pinAuthBlocked, "too many wrong PINs in a row: blocked until countersignd starts again")
    }
    if state.isPaid {
      state.isPaid = false
      rememberPINState(state)
    } else {
      state.record.failures += 1
      try await save(state)
    }
    return (state, pin)
  }

  /// The attempt that has been counted was right.
  func forgiveAttempts(_ state: PINState, for caller: Caller) async throws(Failure) {
    var state = state
    pinMismatches.clear(caller)
    state.isPaid = true
    if state.record.failures > 1 {
      state.record.failures = 1
      try await save(state)
    } else {
      rememberPINState(state)
    }
  }

  /// Reads what no request should have to wait for: called when the daemon starts. A failure is told to who asks next.
  package func prepare() async {
    do throws(Failure) {
      _ = try await pinState()
    } catch {
      environment.logger.warning("the settings cannot be read: \(error.reason)")
    }
  }

  /// Gives back the attempt that is paid for: called when the daemon stops.
  package func settle() async {
    guard await turnstile.enter() else { return }
    defer { turnstile.leave() }
    guard var state = knownPINState, state.isPaid, state.record.failures > 0 else { return }
    state.isPaid = false
    state.record.failures -= 1
    do throws(Failure) {
      try await save(state)
    } catch {
      environment.logger.warning("the last PIN attempt stays counted: \(error.reason)")
    }
  }
}

extension Caller {
  /// The daemon itself, which is nobody's caller: no rule matches it.
  static let daemon = Caller(
    connection: 0, user: .max, group: .max, process: nil, supplementaryGroups: [], unit: nil)

  /// Whether the daemon itself asks, which nobody's deadline stops. No user has this number (POSIX: (uid_t)-1).
  package var isDaemon: Bool { user == .max }
}
