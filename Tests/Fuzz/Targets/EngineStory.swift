import AuditLog
import Authenticator
import CTAP
import Policy
import Platform
import TestSupport
import WebAuthn

/// Six connections of five users; one request at a time on each, as the transport sees to it, and several in flight
/// while the key store holds its signatures back.
final class EngineStory {
  let keys: MemoryKeyStore
  let store: MemoryStore
  let audit = MemoryAudit()
  let time = ManualTime()
  private let engine: AuthenticatorEngine
  private let executor = StepExecutor()
  private var witness = EngineWitness()

  private struct Flight {
    let request: EngineRequest
    let task: Task<Void, Never>
  }

  private var flights: [UInt64: Flight] = [:]
  private let replies = Box<(connection: UInt64, reply: [UInt8])>()
  private var isHeld = false
  /// The policy in force.
  private var book: RuleBook

  static let callers = [1000, 1000, 1001, 0, 1003, 1002].enumerated().map { index, user in
    Caller(
      connection: UInt64(index + 1), user: UInt32(user), group: UInt32(user), process: 4711, supplementaryGroups: [],
      unit: nil)
  }

  init(_ script: inout Script) throws {
    let details = script.byte()
    keys = MemoryKeyStore(algorithms: details & 1 == 0 ? [.es256, .es384, .rs256] : [.es256])
    store = MemoryStore(capacity: details & 2 == 0 ? 12 : 3)
    book = try EngineStory.book(0)
    let environment = AuthenticatorEnvironment(
      keys: keys, store: store, audit: audit, time: time, random: SeededRandom(seed: 7), logger: .silent,
      identity: .software)
    engine = AuthenticatorEngine(
      environment: environment, judge: book, executor: StepExecutor.Serial(executor))
  }

  private static func book(_ number: Int) throws -> RuleBook {
    func rule(
      _ user: UInt32, _ relyingParties: [String], _ operations: Set<Policy.Operation>,
      _ counter: SignatureCounter = .global
    ) throws -> Rule {
      Rule(
        name: "\(user) \(relyingParties)", callers: [CallerPattern(user: user)],
        relyingParties: try relyingParties.map { text in try RelyingPartyPattern(text) }, operations: operations,
        signatureCounter: counter)
    }
    switch number {
    case 1: return .empty
    case 2: return try RuleBook([rule(1000, ["example.com"], [.register]), rule(1001, ["*"], [.reset])])
    default:
      return try RuleBook([
        rule(1000, ["example.com", "*.example.org"], [.register, .authenticate, .manage]),
        rule(1001, ["example.com"], [.authenticate]), rule(1002, ["zero.example"], [.register, .authenticate], .zero),
        rule(0, ["*"], [.register, .authenticate, .manage, .reset]),
      ])
    }
  }

  /// Does what the script says next.
  func step(_ script: inout Script) throws {
    let kind = script.choice(16)
    let caller = script.choice(of: EngineStory.callers)
    let writer = RequestWriter(known: witness.known)
    switch kind {
    case 0, 1, 2: try send(writer.makeCredential(&script), from: caller)
    case 3, 4, 5: try send(writer.getAssertion(&script), from: caller)
    case 6, 7: try send([8], from: caller)
    case 8: try send([script.choice(of: [4, 7, 7, 11])], from: caller)
    case 9: try send(script.bytes(Int(script.byte())), from: caller)
    case 10: time.advance(by: .milliseconds(Int(script.byte()) * 250))
    case 11: try fail(&script)
    case 12: try close(caller)
    case 13: try hold(script.byte())
    case 14: try change(to: EngineStory.book(script.choice(4)))
    default: try cancelOrWink(caller)
    }
  }

  /// Lets everything come to its end, which it must.
  func end() throws {
    try letGo()
    executor.run()
    try collect()
    try require(flights.isEmpty, "every request is answered")
    try witness.checkRecords(audit.records)
  }

  private func send(_ message: [UInt8], from caller: Caller) throws {
    guard flights[caller.connection] == nil else { return }
    let request = EngineRequest(
      message: message, caller: caller, books: [book], firstRecord: audit.records.count,
      time: time.monotonicNanoseconds)
    witness.begin(request)
    let (engine, replies) = (engine, replies)
    let task = Task(executorPreference: executor) {
      let reply = await engine.respond(to: message, from: caller)
      replies.put((caller.connection, reply))
    }
    flights[caller.connection] = Flight(request: request, task: task)
    executor.run()
    try collect()
  }

  /// Looks at what has been answered since the last time.
  private func collect() throws {
    let arrived = replies.take()
    guard !arrived.isEmpty else { return }
    let answers = try arrived.map { connection, reply in
      let flight = try require(flights.removeValue(forKey: connection), "a request has one reply")
      return EngineAnswer(request: flight.request, reply: reply)
    }
    try witness.take(answers, audit.records, now: time.monotonicNanoseconds)
    guard flights.isEmpty else { return }
    let store = store
    try witness.checkStore(try executor.get { await store.credentials })
  }

  private func fail(_ script: inout Script) throws {
    let port = script.choice(of: [keys.faults, store.faults, audit.faults])
    port.fail(at: 1 + script.choice(8))
    if port === audit.faults { witness.auditMayFail = true }
    let error = script.choice(of: [
      KeyStoreError.unavailable("injected"), .failed("injected"), .busy, .cancelled, .counterExhausted,
      .unsupportedAlgorithm,
    ])
    let keys = keys
    try executor.get { await keys.fail(with: error) }
  }

  private func close(_ caller: Caller) throws {
    // A transport closes a channel when its last request has been answered.
    guard flights[caller.connection] == nil else { return }
    let engine = engine
    try executor.get { await engine.close(caller) }
    witness.end(caller.connection)
  }

  private func hold(_ details: UInt8) throws {
    guard details & 1 == 0 else { return try letGo() }
    let keys = keys
    try executor.get { await keys.hold() }
    isHeld = true
  }

  private func letGo() throws {
    guard isHeld else { return }
    isHeld = false
    let keys = keys
    try executor.get { await keys.letGo() }
    executor.run()
    try collect()
  }

  private func change(to book: RuleBook) throws {
    self.book = book
    for flight in flights.values { flight.request.books.append(book) }
    let engine = engine
    try executor.get { await engine.replaceJudge(book) }
  }

  private func cancelOrWink(_ caller: Caller) throws {
    guard let flight = flights[caller.connection] else {
      let engine = engine
      return try executor.get { await engine.wink(from: caller) }
    }
    flight.request.isCancelled = true
    flight.task.cancel()
    if flight.request.decoded == .reset {
      let (replies, connection) = (replies, caller.connection)
      try require(
        executor.run { replies.contains { $0.connection == connection } },
        "a cancelled reset waits for nobody")
    }
    executor.run()
    try collect()
  }
}
