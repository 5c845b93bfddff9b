internal import AuditLog
internal import Authenticator
internal import CTAPHID
internal import Glibc
internal import IdentityTokens
internal import Platform
internal import Policy
internal import Transports

/// The grants that are alive: each has a folder with a socket of its own, and ends with its time, its count, its process,
/// its control group or the operator's word. Nothing of them outlives the daemon.
actor JobGrants {
  /// One grant's socket, and what waits for its end.
  private final class Job {
    let grant: Grant
    /// In the order of their making, from 1.
    let number: Int64
    let deadline: UInt64
    let endsAt: Int64
    let folder: String
    let server: SocketServer<JobService>
    var timer: LoopTimer?
    var sentinel: EndSentinel?

    init(
      _ grant: Grant, number: Int64, deadline: UInt64, endsAt: Int64, folder: String, server: SocketServer<JobService>
    ) {
      self.grant = grant
      self.number = number
      self.deadline = deadline
      self.endsAt = endsAt
      self.folder = folder
      self.server = server
    }
  }

  /// Grants at one time.
  private static let maximumCount = 1024
  /// Of one user: each takes turns at the TPM, and has a share of its rule's rate.
  static let maximumCountOfUser = 256
  /// Connections of one grant at one time.
  private static let connections = 16
  /// Bytes of all claims of a grant as they stand in each record of the audit log.
  private static let maximumClaims = 16_384
  /// Seconds: a week.
  static let lifetimes: ClosedRange<UInt64> = 1...604_800
  /// Who ends what ends by itself.
  private static let daemon = Caller(
    connection: 0, user: geteuid(), group: getegid(), process: getpid(), supplementaryGroups: [], unit: nil)

  nonisolated let loop: EventLoop
  private let engine: AuthenticatorEngine
  private let folder: JobsFolder
  private let settings: ServerSettings
  private let executables: MachineReader
  private let log: Logger
  /// Of the timers that end the grants too, so that a grant's end is one moment.
  private var time: any Timekeeper { loop.time }
  /// Grants since the start.
  private var made = 0
  private var issuers: [TokenIssuer]
  private var lastNumber: Int64 = 0
  /// Why none is made any more.
  private var ending: String?
  private var jobs: [String: Job] = [:]
  /// For whom one is being made that is in none of these yet.
  private var making: [UInt32] = []
  /// Those that are used up, until their last answer has left. Whatever ends a grant ends them too.
  private var spent: [String: Job] = [:]
  private var all: [Job] { Array(jobs.values) + Array(spent.values) }

  init(
    loop: EventLoop, engine: AuthenticatorEngine, folder: String, settings: ServerSettings, issuers: [TokenIssuer],
    executables: MachineReader, log: Logger
  ) {
    self.loop = loop
    self.engine = engine
    self.folder = JobsFolder(path: folder)
    self.settings = settings
    self.issuers = issuers
    self.executables = executables
    self.log = log
  }

  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

  func replaceIssuers(_ issuers: [TokenIssuer]) {
    self.issuers = issuers
  }

  /// Removes what an earlier daemon left.
  func prepare() {
    folder.clear()
  }

  // MARK: Beginning

  /// Makes a grant and its socket.
  ///
  /// - Throws: ``GrantError``, and nothing is left
  func create(_ request: GrantRequest, by administrator: Caller) async throws -> GrantReport {
    guard await engine.ruleNames.contains(request.rule) else {
      throw GrantError(
        description: "there is no rule \(quoted(request.rule, limit: 64)) in force",
        remedy: "name one of the configuration, reloading it first where it is new", isOfRequest: true)
    }
    try refuseWhenEnding()
    try reserveOne(of: request.user)
    let (job, sentinel): (Job, EndSentinel?)
    do {
      (job, sentinel) = try await begin(request, by: administrator)
    } catch {
      giveBackOne(of: request.user)
      throw error
    }
    made += 1
    watch(job, sentinel, request.lifetime * 1_000_000_000)
    let grant = job.grant
    log.info("grant \(grant.id): rule \(quoted(grant.rule, limit: 64)), uid \(grant.user), \(request.lifetime) s")
    var made = await report(job)
    let doubts = await engine.doubts(of: grant, lifetime: request.lifetime)
    made.warnings = doubts.isEmpty ? nil : doubts
    return made
  }

  /// Where it does not throw, the grant is no longer one that is being made, but one of the others.
  private func begin(_ request: GrantRequest, by administrator: Caller) async throws -> (Job, EndSentinel?) {
    let claims = try claims(of: request)
    let sentinel = try EndSentinel(process: request.process, controlGroup: request.controlGroup)
    let grant = Grant(
      id: hexadecimal(SystemRandom().bytes(16)), rule: request.rule, user: request.user,
      relyingParties: request.relyingParties, claims: claims, job: sentinel?.job)
    let nanoseconds = request.lifetime * 1_000_000_000
    let listener = try folder.makeSocket(for: grant)
    let place = folder.place(of: grant)
    lastNumber += 1
    let job = Job(
      grant, number: lastNumber, deadline: time.monotonicNanoseconds + nanoseconds,
      endsAt: time.unixMilliseconds + Int64(request.lifetime) * 1000, folder: place, server: server(for: grant))
    do {
      // Whoever may not be recorded may not begin.
      let terms = AuditRecord.GrantTerms(
        user: grant.user, process: request.process, controlGroup: request.controlGroup, end: job.endsAt)
      try await engine.begin(grant, terms, until: job.deadline, operations: request.operations, for: administrator)
      try await job.server.listen(on: listener)
      // Whoever ends them all has not seen this one.
      try refuseWhenEnding()
    } catch {
      await engine.end(grant, reason: "\(error)", for: Self.daemon)
      await job.server.abort()
      folder.remove(place)
      throw GrantError(description: "\(error)")
    }
    jobs[grant.id] = job
    giveBackOne(of: request.user)
    return (job, sentinel)
  }

  /// In one step, since even a call of this actor's own may let another in.
  private func reserveOne(of user: UInt32) throws {
    let users = all.map(\.grant.user) + making
    let remedy =
      "end some (countersign grant list, countersign grant revoke ID), or bind each to its job, so that it ends with it "
      + "(--pid, --cgroup)"
    guard users.count < Self.maximumCount else {
      throw GrantError(description: "there are \(users.count) grants: no more are made", remedy: remedy)
    }
    let count = users.count { $0 == user }
    guard count < Self.maximumCountOfUser else {
      throw GrantError(description: "there are \(count) grants of uid \(user): no more are made for it", remedy: remedy)
    }
    making.append(user)
  }

  private func giveBackOne(of user: UInt32) {
    if let index = making.firstIndex(of: user) { making.remove(at: index) }
  }

  private func refuseWhenEnding() throws {
    if let ending { throw GrantError(description: ending) }
  }

  private func claims(of request: GrantRequest) throws -> Claims {
    let claims = try unboundedClaims(of: request)
    guard AuditRecord.count(ofClaims: claims.values) <= Self.maximumClaims else {
      throw GrantError(
        description: "the claims of a grant have together at most \(Self.maximumClaims) bytes in a record",
        isOfRequest: true)
    }
    return claims
  }

  private func unboundedClaims(of request: GrantRequest) throws -> Claims {
    guard let text = request.token else { return Claims(request.claims) }
    do {
      let token = try IdentityToken(text, from: issuers, now: time.unixMilliseconds / 1000)
      return Claims(token.claims, issuer: token.issuer)
    } catch {
      throw GrantError(description: "the token proves nothing: \(error)")
    }
  }

  private func server(for grant: Grant) -> SocketServer<JobService> {
    var settings = settings
    settings.grant = grant
    settings.connectionLimit = Self.connections
    settings.connectionsPerUser = Self.connections
    let service = JobService(inner: CTAPService(engine: engine)) { [weak self] in
      await self?.endIfUsedUp(grant.id)
    }
    return SocketServer(loop: loop, service: service, settings: settings, executables: executables, log: log)
  }

  private func watch(_ job: Job, _ sentinel: EndSentinel?, _ nanoseconds: UInt64) {
    let id = job.grant.id
    job.timer = loop.after(nanoseconds: nanoseconds) { [weak self] in
      self?.assumeIsolated { $0.endLater(id, "its time is over") }
    }
    guard let sentinel else { return }
    job.sentinel = sentinel
    do {
      try sentinel.watch(on: loop) { [weak self] in self?.assumeIsolated { $0.look(at: id) } }
      // It may have changed before it was watched.
      look(at: id)
    } catch {
      endLater(id, "its end cannot be watched for (\(error))")
    }
  }

  /// Something has happened to a grant's process or control group.
  private func look(at id: String) {
    guard let sentinel = (jobs[id] ?? spent[id])?.sentinel, sentinel.hasEnded else { return }
    endLater(id, sentinel.reason)
  }

  // MARK: Ending

  /// Of a callback of the loop, which cannot wait.
  private func endLater(_ id: String, _ reason: String) {
    Task(executorPreference: loop) { await self.end(id, reason) }
  }

  /// Ends a grant at once: its connections are closed, and what is in progress fails.
  ///
  /// - Parameters:
  ///   - id: of a grant that may have ended
  ///   - reason: for the log
  ///   - administrator: whose word ends it; nil where nobody's does
  /// - Returns: whether there was one
  @discardableResult
  func end(_ id: String, _ reason: String, by administrator: Caller? = nil) async -> Bool {
    guard let job = jobs.removeValue(forKey: id) ?? spent.removeValue(forKey: id) else { return false }
    // First, so that nothing that the TPM signs from here on is given out.
    await engine.end(job.grant, reason: reason, for: administrator ?? Self.daemon)
    await job.server.abort()
    takeDown(job)
    log.info("grant \(id) has ended: \(reason)")
    return true
  }

  /// After the last operation, whose answer still has to leave.
  private func endIfUsedUp(_ id: String) async {
    guard let job = jobs[id], await engine.operationsLeft(of: job.grant) == 0, jobs[id] === job else { return }
    jobs[id] = nil
    spent[id] = job
    Task(executorPreference: loop) { await self.finish(id) }
  }

  private func finish(_ id: String) async {
    guard let job = spent[id] else { return }
    let reason = "it is used up"
    await job.server.stop(within: 10_000_000_000)
    // Unless something else has ended it meanwhile.
    guard spent.removeValue(forKey: id) != nil else { return }
    await engine.end(job.grant, reason: reason, for: Self.daemon)
    takeDown(job)
    log.info("grant \(job.grant.id) has ended: \(reason)")
  }

  private func takeDown(_ job: Job) {
    if let timer = job.timer { loop.cancel(timer) }
    job.sentinel?.unwatch(on: loop)
    job.sentinel = nil
    folder.remove(job.folder)
  }

  /// Takes no more connections and no more requests on their sockets, lets what is in progress be answered, and ends
  /// them all.
  ///
  /// - Parameter nanoseconds: after which what is still in progress fails
  func stop(within nanoseconds: UInt64) async {
    let reason = ending ?? "the daemon stops"
    ending = reason
    let servers = all.map(\.server)
    await withDiscardingTaskGroup { group in
      for server in servers { group.addTask { await server.stop(within: nanoseconds) } }
    }
    await endAll(reason)
  }

  /// Ends them all at once: what is in progress fails.
  func endAll(_ reason: String) async {
    ending = ending ?? reason
    for id in all.map(\.grant.id).sorted() { await end(id, reason) }
  }

  // MARK: For the operator

  var figures: GrantFigures {
    get async {
      var figures = GrantFigures(alive: all.count, made: made)
      for job in all { figures.connections += await job.server.connectionCount }
      return figures
    }
  }

  /// Those that were made after `number` (nil: all), oldest first, each with its number.
  func list(after number: Int64?) async -> [(number: Int64, report: GrantReport)] {
    var reports: [(number: Int64, report: GrantReport)] = []
    for job in all.sorted(by: { $0.number < $1.number }) where job.number > number ?? 0 {
      reports.append((job.number, await report(job)))
    }
    return reports
  }

  private func report(_ job: Job) async -> GrantReport {
    GrantReport(
      job.grant, socket: job.folder + "/ctap.sock", endsAt: job.endsAt,
      operationsLeft: await engine.operationsLeft(of: job.grant))
  }
}
