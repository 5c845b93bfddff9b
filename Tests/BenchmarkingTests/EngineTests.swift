import AuditLog
import Authenticator
import CTAP
import Platform
import Policy
import Storage
import TPMKeyStore
import TestSupport
import Testing
import WebAuthn

@testable import Benchmarking

struct PreparedJudgeTests {
  private let inquiry = EngineLoop.inquiry(EngineLoop.caller(0))

  /// The name of the rule whose yes it is; nil where there is none.
  private func decision(_ judge: some Judge, _ ledger: inout Ledger) -> String? {
    do throws(Refusal) {
      let verdict = try judge.judge(inquiry)
      return try ledger.admit(verdict, at: Moment(SystemTime())).rule
    } catch {
      return nil
    }
  }

  @Test func givesOutEachYesOnce() throws {
    let judge = try PreparedJudge(try EngineLoop.book(), for: inquiry)
    var ledger = Ledger()
    #expect(decision(judge, &ledger) == nil)
    try judge.prepare(2)
    #expect((0..<3).map { _ in decision(judge, &ledger) } == ["bench", "bench", nil])
    #expect(try judge.foresee(inquiry).rule == "bench")
  }

  @Test func whatTheBookRefusesCannotBePrepared() throws {
    #expect(throws: Refusal.self) { try PreparedJudge(.empty, for: inquiry) }
    let stranger = Inquiry(EngineLoop.caller(0), .register, .relyingParty(Jobs.relyingPartyID))
    #expect(throws: Refusal.self) { try PreparedJudge(try EngineLoop.book(), for: stranger) }
  }

  @Test func theBookHasItsRules() throws {
    let book = try EngineLoop.book()
    #expect(book.rules.count == EngineLoop.rules && book.rules.last?.name == "bench")
    #expect(book.rules.last?.terms.rate != nil && book.rules.last?.terms.hours.isEmpty == false)
  }
}

struct BenchLogTests {
  private func record(_ number: UInt64) -> AuditRecord {
    AuditRecord(
      time: 0, outcome: .allowed, operation: .authenticate, connection: number, user: 1, group: 1)
  }

  /// In order, and none shares its fdatasync(2) with another, however many wait.
  @Test func oneByOneIsOneByOne() async throws {
    let folder = TemporaryDirectory()
    let file = try AuditFile(path: folder.path("audit.jsonl"), log: .silent)
    let log = OneByOneLog(file)
    let tickets = (1...40).map { log.submit(record($0)) }
    for ticket in tickets { try await ticket.durable() }
    #expect(file.figures.records == 40 && file.figures.synchronizations == 40)
    file.close()
    let text = String(
      decoding: try Descriptor(opening: folder.path("audit.jsonl"), flags: 0).read(upTo: 1 << 20), as: UTF8.self)
    let connections = text.split(separator: "\n").compactMap { line in
      line.firstRange(of: "\"connection\":").flatMap { UInt64(line[$0.upperBound...].prefix { $0.isNumber }) }
    }
    #expect(connections == Array(1...40))
    await #expect(throws: AuditError.self) { try await log.submit(record(41)).durable() }
  }
}

struct EngineLoopTests {
  /// Over a software TPM: every form signs, the log of each has what was signed, and no more is left out than is said.
  @Test func everyFormSigns() async throws {
    try await onItsOwnThread { try Self.measureEveryForm() }
  }

  private static func measureEveryForm() throws {
    let tpm = try SoftwareTPMFixture()
    let folder = TemporaryDirectory()
    let state = folder.path("state")
    let credential = try withDevice(state, tcti: tpm.tcti) { database, keys in
      let loop = try EventLoop(name: "sockets")
      defer { loop.stop() }
      let rule = Rule(
        name: "enrol", callers: [CallerPattern(user: EngineLoop.caller(0).user)],
        relyingParties: [try RelyingPartyPattern(Jobs.relyingPartyID)], operations: [.register])
      let engine = AuthenticatorEngine(
        environment: AuthenticatorEnvironment(
          keys: keys, store: database, audit: NoLog(), time: SystemTime(), random: SystemRandom(), logger: .silent,
          identity: .software), judge: try RuleBook([rule]), executor: loop)
      let request = MakeCredentialRequest(
        clientDataHash: .init(repeating: 1, count: 32), relyingParty: RelyingPartyEntity(id: Jobs.relyingPartyID),
        user: UserEntity(id: [1]), parameters: [CredentialParameters(algorithm: -7)])
      let reply = await engine.respond(to: CTAPRequest.makeCredential(request).encoded(), from: EngineLoop.caller(0))
      guard case .makeCredential(let made) = try CTAPResponse.decode(reply, to: .makeCredential) else {
        throw BenchFailure("no credential")
      }
      return try AuthenticatorData.decode(made.authenticatorData).attestedCredential?.credentialID
    }
    let disk = folder.path("engine.jsonl")
    let loop = EngineLoop(
      stateDirectory: state, tcti: tpm.tcti, credential: try #require(credential), nanoseconds: 100_000_000,
      ending: Interruption())
    let forms: [EngineForm] = [
      EngineForm(isJudged: false, log: .none), EngineForm(isJudged: true, log: .none),
      EngineForm(isJudged: true, log: .file(disk)), EngineForm(isJudged: true, log: .oneByOne(disk)),
      EngineForm(isJudged: true, log: .oneByOne(disk), slower: 20),
    ]
    let found = try loop.run(forms)
    #expect(found.count == forms.count && found.allSatisfy { $0.figures.latency > 0 && $0.figures.throughput > 0 })
    #expect(found.prefix(2).allSatisfy { $0.recordsPerSynchronization == nil })
    #expect(try #require(found[2].recordsPerSynchronization) >= 1)
    #expect(found[3].recordsPerSynchronization == 1 && found[4].recordsPerSynchronization == 1)
    #expect(found[4].figures.latency >= 20_000_000 && found[4].figures.throughput <= 50)
    // A credential that is not there: nothing is measured that was not signed.
    let other = EngineLoop(
      stateDirectory: state, tcti: tpm.tcti, credential: [UInt8](repeating: 0, count: 16), nanoseconds: 1,
      ending: Interruption())
    #expect(throws: BenchFailure.self) { try other.run([forms[0]]) }
  }
}
