package import AuditLog
internal import CTAP
package import Platform
package import Policy

/// What the authenticator sees of the world.
package struct AuthenticatorEnvironment: Sendable {
  package var keys: any KeyStore
  package var store: any CredentialStore
  package var audit: any AuditSink
  package var time: any Timekeeper
  package var random: any RandomSource
  package var logger: Logger
  package var identity: AuthenticatorIdentity
  /// What attestation by certificate there is, and how to make it; nil where there can be none.
  package var attestation: AttestationService?

  package init(
    keys: any KeyStore, store: any CredentialStore, audit: any AuditSink, time: any Timekeeper,
    random: any RandomSource, logger: Logger, identity: AuthenticatorIdentity,
    attestation: AttestationService? = nil
  ) {
    self.keys = keys
    self.store = store
    self.audit = audit
    self.time = time
    self.random = random
    self.logger = logger
    self.identity = identity
    self.attestation = attestation
  }
}

/// The CTAP 2.1 authenticator (sections 6.1 to 6.9): messages in, messages out. Each connection is a channel with
/// state of its own; the key store, the credential store and the audit log are shared.
///
/// Actors re-enter at `await`: a channel has one request at a time (its transport sees to that), and a reset waits for
/// the requests of all others and keeps new ones out meanwhile.
package actor AuthenticatorEngine {
  let environment: AuthenticatorEnvironment
  private(set) var judge: any Judge
  /// What policy remembers between decisions.
  var ledger = Ledger()
  /// Registrations in progress, by relying party (the hash of its RP ID): those that a maximum must count already.
  var registrations: [[UInt8]: Int] = [:]
  /// For adding credentials: what one has found to make way must be what makes way.
  let adding = Turnstile()
  var channels: [UInt64: ChannelState] = [:]
  let gate = ResetGate()
  let turnstile = Turnstile()
  /// nil until it is read, and after a change of which nobody knows whether it was made.
  private(set) var knownPINState: PINState?
  /// For reading it: what one reader completes, another must not complete later.
  let pinReading = Turnstile()
  var pinMismatches = PINMismatches()
  var limiter = RecordLimiter()
  /// What has been answered since the start.
  package internal(set) var tally = RequestTally()
  /// The rule that decided last, by the connection whose request is in progress.
  var rulesInUse: [UInt64: String] = [:]
  /// Signatures that have been asked for and not been given.
  var signaturesInProgress = 0
  private let executor: any SerialExecutor

  /// - Parameters:
  ///   - environment: the ports
  ///   - judge: the policy in force at first
  ///   - executor: where the actor runs, best the event loop of the sockets
  package init(environment: AuthenticatorEnvironment, judge: any Judge, executor: any SerialExecutor) {
    self.environment = environment
    self.judge = judge
    self.executor = executor
  }

  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe executor.asUnownedSerialExecutor()
  }

  /// Puts another policy in force, for every request that has not been judged yet.
  package func replaceJudge(_ judge: any Judge) {
    self.judge = judge
    ledger.keep(rules: judge.ruleNames)
  }

  func forgetPINState() {
    knownPINState = nil
  }

  func rememberPINState(_ state: PINState) {
    knownPINState = state
  }

  /// The channel of a connection, whose state begins with its first command.
  func channel(of caller: Caller) -> ChannelState {
    if let known = channels[caller.connection] { return known }
    let channel = ChannelState()
    channels[caller.connection] = channel
    return channel
  }

  /// Lets the next command on this channel go on with what this one has begun.
  func leave(_ walk: ChannelState.Walk, on channel: ChannelState) {
    channel.leave(walk, now: environment.time.monotonicNanoseconds)
  }

  /// Forgets a channel's state, when its connection has ended and its last request has been answered.
  package func close(_ caller: Caller) {
    channels[caller.connection] = nil
    rulesInUse[caller.connection] = nil
  }

  /// Answers one CTAP2 message: a status byte, then CBOR where the status is CTAP2_OK and there is a response.
  ///
  /// - Parameters:
  ///   - message: a command byte and its parameters, any bytes
  ///   - caller: whose channel it came from; one request at a time
  /// - Returns: the reply on the wire
  package func respond(to message: [UInt8], from caller: Caller) async -> [UInt8] {
    await timed { await answer(message, from: caller) }
  }

  private func answer(_ message: [UInt8], from caller: Caller) async -> [UInt8] {
    let start = environment.time.monotonicNanoseconds
    var command: String?
    do throws(CTAPStatus) {
      guard message.count <= AuthenticatorLimits.maximumMessageSize else { throw CTAPStatus.requestTooLarge }
      let request = try CTAPRequest.decode(message)
      command = request.command.name
      let reply = try await dispatch(request, from: caller).encoded()
      count(command, from: caller, failure: nil, since: start)
      return reply
    } catch {
      count(command, from: caller, failure: error, since: start)
      // An error ends a walk as every other command does, but for a fragment out of turn, and what is to be asked again.
      if error != .invalidSeq, error != .channelBusy { channels[caller.connection]?.endWalk() }
      return error.encoded()
    }
  }

  /// Records a WINK, which does nothing else.
  package func wink(from caller: Caller) async {
    await recordWithinLimits(AuditRecord(.allowed, .wink, caller, environment.time))
  }

  private func dispatch(_ request: CTAPRequest, from caller: Caller) async throws(CTAPStatus) -> CTAPResponse {
    if case .reset = request {
      try await resetAlone(for: caller)
      return .done
    }

    try gate.enter()
    defer { gate.leave() }
    let channel = channel(of: caller)
    // Only the command that follows it goes on with what an earlier one left; each other one ends it (section 6).
    let walk = channel.takeWalk(now: environment.time.monotonicNanoseconds)
    switch request {
    case .makeCredential(let parameters):
      return .makeCredential(try await makeCredential(parameters, on: channel, for: caller))
    case .getAssertion(let parameters):
      return .assertion(try await getAssertion(parameters, on: channel, for: caller))
    case .getNextAssertion:
      return .assertion(try await getNextAssertion(walk, on: channel, for: caller))
    case .getInfo:
      return .info(try await information(for: caller))
    case .clientPIN(let parameters):
      return .clientPIN(try await clientPIN(parameters, on: channel, for: caller))
    case .credentialManagement(let parameters):
      return .credentialManagement(
        try await manageCredentials(parameters, after: walk, on: channel, for: caller))
    case .config(let parameters):
      try await configure(parameters, on: channel, for: caller)
      return .done
    case .largeBlobs(let parameters):
      return .largeBlobs(try await largeBlobs(parameters, after: walk, on: channel, for: caller))
    case .selection:
      try await select(for: caller)
      return .done
    case .reset:
      preconditionFailure("a reset does not pass the gate")
    }
  }
}

extension AuthenticatorEngine {
  /// A reset with all others kept out. Policy is asked first: who may not reset may not make others wait either. It is
  /// asked again when everyone has left, since the rules may have changed meanwhile.
  private func resetAlone(for caller: Caller) async throws(CTAPStatus) {
    try await consider(Inquiry(caller, .reset, .all))
    let wait = try gate.close()
    defer { gate.open() }
    let drained = await withTaskCancellationHandler {
      await wait.result()
    } onCancel: {
      wait.end(drained: false)
    }
    guard drained, !Task.isCancelled else { throw .keepaliveCancel }
    try await reset(for: caller)
    channels = [:]
  }
}
