internal import CTAP
internal import CTAPHID
internal import Client
internal import Platform
internal import WebAuthn

/// How a load's clients choose among its credentials.
enum Choice: Equatable {
  /// All sign with one: its key stays loaded.
  case one
  /// Each client goes through all of them in turn, so that none is loaded when its turn comes.
  case inTurn
  /// Each client has its own, as jobs do.
  case ownEach
}

/// What clients measured.
struct LoadResult {
  let samples: Samples
  /// Assertions of each client.
  let counts: [Int]
}

/// Jobs that sign over the socket, each on a thread and a connection of its own.
struct Jobs {
  static let relyingPartyID = "bench.example"
  /// For one assertion: what waits so long is a failure and no figure.
  private static let patience: UInt32 = 60_000

  let socket: String

  /// - Throws: `ClientError`
  func connect() throws -> SocketConnection {
    try SocketConnection(path: socket, until: Deadline(milliseconds: Jobs.patience))
  }

  /// Registers credentials, one user each.
  ///
  /// - Returns: their IDs
  func register(_ count: Int) throws -> [[UInt8]] {
    let client = try AuthenticatorClient(
      try connect(), until: Deadline(milliseconds: UInt32(count) * Jobs.patience))
    return try (0..<count).map { number in
      let request = MakeCredentialRequest(
        clientDataHash: .init(repeating: 1, count: 32), relyingParty: RelyingPartyEntity(id: Jobs.relyingPartyID),
        user: UserEntity(id: Array("user \(number)".utf8)), parameters: [CredentialParameters(algorithm: -7)],
        options: RequestOptions(rk: true))
      let response = try client.makeCredential(request)
      guard let made = try AuthenticatorData.decode(response.authenticatorData).attestedCredential else {
        throw BenchFailure("the daemon has registered no credential")
      }
      return made.credentialID
    }
  }

  /// Signs `count` times in turn, so that keys are loaded and the daemon is warm.
  func warm(_ credentials: [[UInt8]], count: Int) throws {
    let job = Job(try connect(), Jobs.requests(credentials))
    for _ in 0..<count { try job.sign() }
  }

  /// Has `clients` sign at the same time for a while.
  ///
  /// - Parameters:
  ///   - credentials: IDs
  ///   - choice: how they are shared out
  ///   - clients: 1 or more
  ///   - nanoseconds: how long
  ///   - ending: asked between assertions whether to end early
  /// - Returns: what they measured
  /// - Throws: `ClientError`, ``BenchFailure`` where the daemon refuses, ``Interrupted``
  func sign(
    with credentials: [[UInt8]], _ choice: Choice, clients: Int, nanoseconds: UInt64, _ ending: Interruption
  ) throws -> LoadResult {
    let requests = Jobs.requests(credentials)
    let jobs = try (0..<clients).map { number in
      switch choice {
      case .one: Job(try connect(), [requests[0]])
      case .ownEach: Job(try connect(), [requests[number % requests.count]])
      // Apart from each other, so that they do not load a key for one another.
      case .inTurn: Job(try connect(), requests, from: number * requests.count / clients)
      }
    }
    let outcomes = Lock<[Result<[UInt64], any Error>]>([])
    let waiting = Lock(Jobs.Handover(jobs))
    let ended = try EventCounter()
    let clock = SystemTime()
    let begin = clock.monotonicNanoseconds
    for _ in 0..<clients {
      try startThread(named: "client") {
        let outcome = Result { try waiting.withLock { $0.next() }.run(from: begin, nanoseconds, ending) }
        let isLast = outcomes.withLock {
          $0.append(outcome)
          return $0.count == clients
        }
        if isLast { ended.signal() }
      }
    }
    ended.wait()
    let elapsed = clock.monotonicNanoseconds - begin
    let each = try outcomes.withLock { $0 }.map { try $0.get() }
    return LoadResult(samples: Samples(each.flatMap(\.self), elapsed: elapsed), counts: each.map(\.count))
  }

  /// Connections that have signed once and stay open while `body` runs.
  func holding<Result>(_ count: Int, with credential: [UInt8], _ body: () throws -> Result) throws -> Result {
    let jobs = try (0..<count).map { _ in Job(try connect(), Jobs.requests([credential])) }
    for job in jobs { try job.sign() }
    return try withExtendedLifetime(jobs) { try body() }
  }

  /// Encoded once: what is measured is the daemon, not the making of requests.
  private static func requests(_ credentials: [[UInt8]]) -> [Frame] {
    credentials.map { credential in
      Frame(
        .cbor,
        CTAPRequest.getAssertion(
          GetAssertionRequest(
            relyingPartyID: relyingPartyID, clientDataHash: .init(repeating: 2, count: 32),
            allowList: [CredentialDescriptor(id: credential)])
        ).encoded())
    }
  }

  /// Gives each thread one job.
  private struct Handover: @unchecked Sendable {
    private var jobs: [Job]

    init(_ jobs: [Job]) { self.jobs = jobs }

    mutating func next() -> Job { jobs.removeLast() }
  }

  /// One client.
  private final class Job: @unchecked Sendable {
    private let connection: SocketConnection
    private let requests: [Frame]
    private var turn: Int

    init(_ connection: SocketConnection, _ requests: [Frame], from first: Int = 0) {
      self.connection = connection
      self.requests = requests
      turn = first
    }

    func sign() throws {
      let answer = try connection.exchange(
        requests[turn % requests.count], until: Deadline(milliseconds: Jobs.patience))
      turn += 1
      guard let status = answer.payload.first, status == 0 else {
        throw BenchFailure("the daemon has refused to sign (status \(answer.payload.first ?? 0xff))")
      }
    }

    /// - Returns: the time of each assertion
    func run(from begin: UInt64, _ nanoseconds: UInt64, _ ending: Interruption) throws -> [UInt64] {
      try timed(from: begin, for: nanoseconds, ending, sign)
    }
  }
}
