import AuditLog
import Authenticator
import CTAP
import Policy
import Platform
import TestSupport
import WebAuthn

/// Nine connections of seven users and the operator; one request at a time on each, as the transport sees to it, and
/// several in flight while the key store holds its signatures back.
final class EngineStory {
  let keys: MemoryKeyStore
  let store: MemoryStore
  let audit = MemoryAudit()
  let time = ManualTime()
  private var engine: AuthenticatorEngine
  private let environment: AuthenticatorEnvironment
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
  /// What the platform on each connection has agreed on, the newest last.
  private var agreements: [UInt64: [Agreement]] = [:]
  /// A copy of the settings that somebody has kept.
  private var copy: AuthenticatorSettings?

  static let callers =
    [1000, 1000, 1001, 0, 1003, 1002, 1004, 1005].enumerated().map { index, user in
      Caller(
        connection: UInt64(index + 1), user: UInt32(user), group: UInt32(user), process: 4711,
        supplementaryGroups: [], unit: nil)
    } + [
      Caller(
        connection: 9, user: 0, group: 0, process: 4711, supplementaryGroups: [], unit: nil, isOperator: true)
    ]

  init(_ script: inout Script) throws {
    let details = script.byte()
    keys = MemoryKeyStore(algorithms: details & 1 == 0 ? [.es256, .es384, .rs256] : [.es256])
    store = MemoryStore(capacity: details & 2 == 0 ? 12 : 3)
    book = try EngineStory.book(0)
    environment = AuthenticatorEnvironment(
      keys: keys, store: store, audit: audit, time: time, random: SeededRandom(seed: 7), logger: .silent,
      identity: .software)
    engine = AuthenticatorEngine(environment: environment, judge: book, executor: StepExecutor.Serial(executor))
  }

  /// 1003 is in no rule; 1004 counts as verified for some, 1005 may manage less than others.
  private static func book(_ number: Int) throws -> RuleBook {
    func rule(
      _ user: UInt32, _ relyingParties: [String], _ operations: Set<Policy.Operation>,
      _ counter: SignatureCounter = .global, verified: Bool = false
    ) throws -> Rule {
      Rule(
        name: "\(user) \(relyingParties)", callers: [CallerPattern(user: user)],
        relyingParties: try relyingParties.map { text in try RelyingPartyPattern(text) }, operations: operations,
        userVerification: verified, signatureCounter: counter)
    }
    let signing: Set<Policy.Operation> = [.register, .authenticate]
    switch number {
    case 1: return .empty
    case 2: return try RuleBook([rule(1000, ["example.com"], [.register]), rule(1001, ["*"], [.reset])])
    default:
      return try RuleBook([
        rule(1000, ["example.com", "*.example.org"], signing.union([.manage]), verified: number == 3),
        rule(1001, ["example.com"], [.authenticate]), rule(1002, ["zero.example"], signing, .zero),
        rule(1004, ["example.com"], signing.union([.manage]), verified: number == 0),
        rule(1004, ["a.example.org"], signing), rule(1005, ["*"], signing), rule(1005, ["a.example.org"], [.manage]),
        rule(0, ["*"], signing.union([.manage, .reset]), verified: number == 3),
      ])
    }
  }

  private func writer(for caller: Caller) -> RequestWriter {
    RequestWriter(
      known: witness.known, grants: witness.pin.grants, agreements: agreements[caller.connection] ?? [],
      connection: caller.connection)
  }

  /// Does what the script says next.
  func step(_ script: inout Script) throws {
    let kind = script.choice(32)
    let caller = script.choice(of: EngineStory.callers)
    let writer = writer(for: caller)
    switch kind {
    case 0, 1, 2: try send(writer.makeCredential(&script), from: caller)
    case 3, 4, 5: try send(writer.getAssertion(&script), from: caller)
    case 6, 7: try send(Written(message: [8]), from: caller)
    case 8: try send(Written(message: [script.choice(of: [4, 7, 7, 11])]), from: caller)
    case 9: try send(Written(message: script.bytes(Int(script.byte()))), from: caller)
    case 10: time.advance(by: .milliseconds(Int(script.byte()) * 250))
    case 11: try fail(&script)
    case 12: try close(caller)
    case 13: try hold(script.byte())
    case 14: try change(to: EngineStory.book(script.choice(4)))
    case 15: try cancelOrWink(caller)
    case 16, 17, 18, 19: try speakOfPIN(&script, caller)
    case 20, 21: try send(writer.credentialManagement(&script), from: caller)
    case 22: try send(writer.config(&script), from: caller)
    case 23, 24: try send(writer.largeBlobs(&script), from: caller)
    case 25, 26: try send(Written(message: writer.u2f(&script)), isU2F: true, from: caller)
    case 27: try send(Written(message: CTAPRequest.clientPIN(ClientPINRequest(subCommand: 1)).encoded()), from: caller)
    case 28: try restart(script.byte())
    case 29: try operate(&script, caller)
    case 30: _ = try agree(.two, caller)
    default: time.advance(by: .seconds(Int(script.byte()) * 4))
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

  // MARK: Requests

  private func send(_ written: Written, isU2F: Bool = false, from caller: Caller) throws {
    guard flights[caller.connection] == nil else { return }
    let request = EngineRequest(
      written, isU2F: isU2F, caller: caller, books: [book], firstRecord: audit.records.count,
      time: time.monotonicNanoseconds)
    witness.begin(request)
    let (engine, replies, message) = (engine, replies, written.message)
    let task = Task(executorPreference: executor) {
      let reply =
        isU2F ? await engine.respond(toU2F: message, from: caller) : await engine.respond(to: message, from: caller)
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
    try answers.forEach(learn)
    let keys = keys
    try witness.pin.checkMemory(failures: try executor.get { await keys.retries.failures })
    guard flights.isEmpty else { return }
    let store = store
    try witness.checkStore(try executor.get { await store.credentials })
  }

  /// What the platform does with an answer.
  private func learn(_ answer: EngineAnswer) throws {
    let (connection, isOK) = (answer.request.caller.connection, answer.reply.first == 0)
    switch answer.request.decoded {
    case .reset where isOK: agreements.values.forEach { $0.forEach { $0.isCurrent = false } }
    case .clientPIN(let parameters):
      let status = CTAPStatus(rawValue: answer.reply.first ?? 0)
      // It may have another key from now on; one that is known to be old may still be tried.
      if [.pinInvalid, .pinBlocked, .pinAuthBlocked].contains(status) {
        agreements[connection]?.removeAll(where: \.isCurrent)
      }
      guard isOK, parameters.subCommand == 2,
        let version = parameters.pinUvAuthProtocol.flatMap(PINUVAuthProtocol.init(rawValue:)),
        case .clientPIN(let response)? = try? CTAPResponse.decode(answer.reply, to: .clientPIN)
      else { return }
      let point = try require(response.keyAgreement, "a key agreement has a key")
      agreements[connection, default: []].append(try Agreement(version, with: point))
    case .largeBlobs(let parameters) where isOK && parameters.set != nil:
      let store = store
      let stored = try executor.get { try? await store.largeBlobs() }
      if let stored { try EngineWitness.checkLargeBlobs(stored) }
    default: break
    }
  }

  private func speakOfPIN(_ script: inout Script, _ caller: Caller) throws {
    let details = script.byte()
    let version: PINUVAuthProtocol = details & 1 == 0 ? .two : .one
    let known = agreements[caller.connection]?.last { $0.version == version && ($0.isCurrent || details & 14 == 14) }
    guard let agreement = try known ?? agree(version, caller) else { return }
    try send(writer(for: caller).clientPIN(&script, agreement), from: caller)
  }

  /// nil where it is refused.
  private func agree(_ version: PINUVAuthProtocol, _ caller: Caller) throws -> Agreement? {
    let request = ClientPINRequest(subCommand: 2, pinUvAuthProtocol: version.rawValue)
    try send(Written(message: CTAPRequest.clientPIN(request).encoded()), from: caller)
    return agreements[caller.connection]?.last { $0.version == version && $0.isCurrent }
  }

  // MARK: What else happens

  private func fail(_ script: inout Script) throws {
    let port = script.choice(of: [keys.faults, store.faults, audit.faults, keys.lateFaults])
    port.fail(at: 1 + script.choice(8))
    if port === audit.faults { witness.auditMayFail = true }
    let error = script.choice(of: [
      KeyStoreError.unavailable("injected"), .failed("injected"), .bootState("injected"), .busy, .cancelled,
      .counterExhausted, .unsupportedAlgorithm, .overloaded("injected"), .timedOut("injected"),
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
    agreements[caller.connection]?.forEach { $0.isCurrent = false }
  }

  /// The daemon ends, in order or at once, and another one begins over the same TPM and store; meanwhile somebody may
  /// have put back the settings that were kept.
  private func restart(_ details: UInt8) throws {
    guard flights.isEmpty else { return }
    let (engine, store, keys) = (engine, store, keys)
    if details & 1 != 0 { try executor.get { await engine.settle() } }
    witness.restart()
    if details & 2 != 0 {
      copy = try executor.get { try? await store.settings() }
    } else if details & 4 != 0 {
      let generation = try executor.get { await keys.retries.generation }
      if copy?.generation ?? 0 < generation {
        let copy = copy
        try executor.get { await store.restore(settings: copy) }
        witness.pin.restore(copy)
      }
    }
    self.engine = AuthenticatorEngine(environment: environment, judge: book, executor: StepExecutor.Serial(executor))
    agreements.values.forEach { $0.forEach { $0.isCurrent = false } }
    let started = self.engine
    if details & 8 != 0 { try executor.get { await started.prepare() } }
  }

  /// What the admin socket does with credentials, besides CTAP.
  private func operate(_ script: inout Script, _ caller: Caller) throws {
    guard flights.isEmpty else { return }
    let (choice, engine) = (script.byte(), engine)
    let first = audit.records.count
    let known = witness.known
    let id = known.isEmpty ? [1] : known[Int(choice) % known.count]
    if choice & 1 == 0 {
      let page = try executor.get { try? await engine.credentials(after: nil, limit: 2, for: caller) }
      try require(page == nil || mayManageAll(caller), "only who may manage everything sees everything")
      try require(page.map { $0.page.count <= 2 } ?? true, "a page is as long as asked for")
      return
    }
    let removed = try executor.get { try? await engine.removeCredential(id: id, for: caller) }
    guard let removed, removed.id == id else { return }
    try require(mayManageAll(caller), "only who may manage everything removes anything")
    try require(
      audit.records[first...].contains { $0.detail == "credential.delete" && $0.credentialID == id },
      "a removed credential has a record")
    witness.remove(id)
  }

  private func mayManageAll(_ caller: Caller) -> Bool {
    (try? book.judge(caller, .manage, .all)) != nil
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
