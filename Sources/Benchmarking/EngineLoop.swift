internal import AuditLog
internal import Authenticator
internal import CTAP
internal import Glibc
internal import Platform
internal import Policy
internal import Storage
internal import TPMKeyStore

/// How an authenticator is set up of which nothing but its engine is measured.
struct EngineForm: Equatable {
  enum Log: Equatable {
    case none
    case file(String)
    case oneByOne(String)
  }

  /// Whether a rule book judges each request, or has judged them all before.
  let isJudged: Bool
  let log: Log
  /// Milliseconds that each fdatasync(2) of the log is made to take longer.
  var slower: UInt32 = 0
}

/// What one form gave in one round.
struct EngineFigures {
  let figures: Figures
  /// Audit records that shared one fdatasync(2), at 16 clients; nil where there is no log.
  let recordsPerSynchronization: Double?
}

/// The authenticator in this process, over the TPM and the store of the run, asked without a socket. Only here can policy
/// and audit be left out: the daemon has no way to do without them.
struct EngineLoop {
  static let clients = 16
  /// Of these the last one decides, with a rate and hours to keep.
  static let rules = 20
  /// Above what any TPM can sign, and what any disk takes.
  private static let preparedPerSecond = 50_000
  private static let warming = 20

  let stateDirectory: String
  let tcti: String
  /// The ID of a credential of ``Jobs/relyingPartyID``.
  let credential: [UInt8]
  /// Of each load.
  let nanoseconds: UInt64
  let ending: Interruption

  /// Measures each form with 1 client and with 16, one form after the other. The daemon must not run.
  ///
  /// - Returns: figures of each form
  /// - Throws: ``Interrupted``, ``BenchFailure``, and the errors of TPM, store, log and system
  func run(_ forms: [EngineForm]) throws -> [EngineFigures] {
    try withDevice(stateDirectory, tcti: tcti) { database, keys in
      var found: [EngineFigures] = []
      for form in forms { found.append(try await measure(form, database, keys)) }
      return found
    }
  }

  private func measure(
    _ form: EngineForm, _ database: CredentialDatabase, _ keys: TPMKeyStore
  ) async throws -> EngineFigures {
    let file: AuditFile? =
      switch form.log {
      case .none: nil
      case .file(let path), .oneByOne(let path):
        try AuditFile(
          path: path, medium: form.slower > 0 ? SlowMedium(milliseconds: form.slower) : SystemMedium(), log: .silent)
      }
    defer { file?.close() }
    let sink: any AuditSink =
      if let file {
        if case .oneByOne = form.log { OneByOneLog(file) } else { file }
      } else {
        NoLog()
      }
    let book = try EngineLoop.book()
    let prepared = form.isJudged ? nil : try PreparedJudge(book, for: EngineLoop.inquiry(EngineLoop.caller(0)))
    let loop = try EventLoop(name: "sockets")
    defer { loop.stop() }
    let environment = AuthenticatorEnvironment(
      keys: keys, store: database, audit: sink, time: SystemTime(), random: SystemRandom(), logger: .silent,
      identity: .software)
    let engine = AuthenticatorEngine(environment: environment, judge: prepared ?? book, executor: loop)

    func load(_ clients: Int) async throws -> Samples {
      try prepared?.prepare(Int(nanoseconds / 1_000_000) * EngineLoop.preparedPerSecond / 1000 + EngineLoop.warming)
      return try await self.load(engine, on: loop, clients: clients)
    }
    let one = try await load(1)
    let before = file?.figures
    let many = try await load(EngineLoop.clients)
    let shared = file.flatMap { file in
      before.flatMap { before in
        ratio(
          Double(file.figures.records - before.records),
          Double(file.figures.synchronizations - before.synchronizations))
      }
    }
    return EngineFigures(
      figures: Figures(latency: one.percentile(0.5), throughput: many.perSecond), recordsPerSynchronization: shared)
  }

  /// Each client is a task of the loop, as a request of the daemon is.
  private func load(
    _ engine: AuthenticatorEngine, on loop: EventLoop, clients: Int
  ) async throws -> Samples {
    let request = CTAPRequest.getAssertion(
      GetAssertionRequest(
        relyingPartyID: Jobs.relyingPartyID, clientDataHash: .init(repeating: 2, count: 32),
        allowList: [CredentialDescriptor(id: credential)])
    ).encoded()
    @Sendable func sign(_ caller: Caller) async throws {
      let reply = await engine.respond(to: request, from: caller)
      guard reply.first == 0 else {
        throw BenchFailure("the authenticator has refused to sign (status \(reply.first ?? 0xff))")
      }
    }
    for _ in 0..<EngineLoop.warming { try await sign(EngineLoop.caller(0)) }
    let clock = SystemTime()
    let begin = clock.monotonicNanoseconds
    let values = try await withThrowingTaskGroup(of: [UInt64].self) { group in
      for number in 0..<clients {
        group.addTask(executorPreference: loop) { [ending, nanoseconds] in
          var values: [UInt64] = []
          var now = clock.monotonicNanoseconds
          // At least one each, however slow the machine.
          while values.isEmpty || now - begin < nanoseconds {
            try ending.check()
            let before = now
            try await sign(EngineLoop.caller(number))
            now = clock.monotonicNanoseconds
            values.append(now - before)
          }
          return values
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    return Samples(values, elapsed: clock.monotonicNanoseconds - begin)
  }

  static func caller(_ number: Int) -> Caller {
    Caller(
      connection: UInt64(number) + 1, user: getuid(), group: getgid(), process: getpid(), supplementaryGroups: [],
      unit: nil)
  }

  static func inquiry(_ caller: Caller) -> Inquiry {
    Inquiry(caller, .authenticate, .relyingParty(Jobs.relyingPartyID), bindsClaims: false)
  }

  /// What an operator may write, and what every request then has to pass.
  static func book() throws -> RuleBook {
    let user = CallerPattern(user: getuid())
    var terms = Terms()
    terms.rate = Rate(perMinute: 60_000, burst: 60_000)
    terms.hours = [try Hours("Mon-Sun 00:00-24:00 UTC")]
    let others = try (1..<rules).map { number in
      Rule(
        name: "other-\(number)", callers: [user], relyingParties: [try RelyingPartyPattern("site-\(number).example")],
        operations: [.authenticate])
    }
    return try RuleBook(
      others + [
        Rule(
          name: "bench", callers: [user], relyingParties: [try RelyingPartyPattern(Jobs.relyingPartyID)],
          operations: [.authenticate], terms: terms)
      ])
  }
}
