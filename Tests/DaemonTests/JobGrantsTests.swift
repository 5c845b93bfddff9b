import AuditLog
import Authenticator
import CBOR
import CTAPHID
import Glibc
import Platform
import Policy
import TestSupport
import Testing
import Transports

@testable import Daemon

/// How grants end, by a clock that the tests move.
@Suite(.timeLimit(.minutes(2))) struct JobGrantsTests {
  private let fixture: AdminFixture
  private static let operatorCaller = Caller(
    connection: 1, user: 7, group: 0, process: nil, supplementaryGroups: [], unit: nil, isOperator: true)

  init() throws {
    fixture = try AdminFixture(rules: [
      Rule(
        name: "job", callers: [CallerPattern(user: geteuid())], relyingParties: [try RelyingPartyPattern("*")],
        operations: [.register])
    ])
  }

  private func make(
    operations: Int? = nil, process: Int32? = nil, controlGroup: String? = nil
  ) async throws -> GrantReport {
    try await fixture.grants.create(
      GrantRequest(
        rule: "job", user: geteuid(), lifetime: 60, operations: operations, relyingParties: [], claims: [:],
        process: process, controlGroup: controlGroup), by: Self.operatorCaller)
  }

  private static let creation: [UInt8] = {
    let parameters: CBORMap = [
      1: .bytes([UInt8](repeating: 1, count: 32)), 2: .map(["id": "example.com"]), 3: .map(["id": .bytes([1])]),
      4: .array([.map(["alg": -7, "type": "public-key"])]),
    ]
    return Frame(.cbor, [1] + CanonicalCBOR.encode(.map(parameters))).encoded()
  }()

  private func client(_ grant: GrantReport) throws -> Descriptor {
    let socket = try UnixSocket.connect(to: grant.socket)
    try UnixSocket.setTimeLimits(socket, milliseconds: 60_000)
    return socket
  }

  /// A grant by which a signature is waited for.
  private func requestInProgress() async throws -> (GrantReport, Client) {
    let grant = try await make()
    await fixture.keys.hold()
    let socket = Client(socket: try client(grant))
    try socket.socket.sendAll(Self.creation)
    await fixture.keys.arrival()
    return (grant, socket)
  }

  /// What a stop closes first.
  private func waitForNoListener(of grant: GrantReport) async {
    while !Task.isCancelled, (try? UnixSocket.isListening(at: grant.socket)) == true { await Task.yield() }
  }

  /// For what is returned together with others.
  private final class Client: Sendable {
    let socket: Descriptor

    init(socket: consuming Descriptor) {
      self.socket = socket
    }
  }

  /// The frames up to so many or to the end of the connection, without keepalives.
  private func frames(_ socket: borrowing Descriptor, upTo count: Int = .max) throws -> [Frame] {
    var reader = FrameReader()
    var frames: [Frame] = []
    while frames.count < count, let part = try? socket.read(upTo: 4096), !part.isEmpty {
      var rest = part[...]
      while let frame = try reader.next(from: &rest) { if frame.code != 0x3b { frames.append(frame) } }
    }
    return frames
  }

  private func move(_ duration: Duration) {
    fixture.time.advance(by: duration)
    fixture.loop.wake()
  }

  /// Returns once there is no grant any more, and nothing of it.
  private func waitForTheEnd(of grant: GrantReport) async {
    while await !fixture.grants.list(after: nil).isEmpty || access(grant.socket, F_OK) == 0 {
      if Task.isCancelled { return }
      await Task.yield()
    }
  }

  private var ends: [String?] {
    fixture.audit.records.filter { $0.detail == "grant.end" }.map(\.reason)
  }

  /// Who reads the log learns for whom it was, and how long, though it has never been used.
  @Test func theRecordOfItsMaking() async throws {
    let grant = try await make(process: getpid())
    let made = try #require(fixture.audit.records.first { $0.detail == "grant.create" })
    let end = try #require(made.grantTerms?.end)
    #expect(made.grantTerms?.user == geteuid() && made.grantTerms?.process == getpid())
    #expect(Timestamp.text(unixMilliseconds: end) == grant.endsAt)
    await fixture.grants.end(grant.id, "again")
    #expect(fixture.audit.records.last?.grantTerms == nil)
  }

  /// Each is one more job that takes turns: one user's are bounded, and those of one process are one.
  @Test func aUserHasSoManyAndAProcessIsOneJob() async throws {
    let child = try ChildProcess("sleep", arguments: ["600"], descriptors: [])
    var jobs: [String?] = []
    for process in [child.identifier, child.identifier, nil] {
      let socket = try client(try await make(process: process))
      try socket.sendAll(Self.creation)
      #expect(try frames(socket, upTo: 1).first?.payload.first == 0)
      jobs.append(await fixture.keys.lastCaller?.grant?.job)
    }
    #expect(jobs == ["process \(child.identifier)", "process \(child.identifier)", nil])
    // All at once, and as many as there is room for get theirs.
    let results = await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<JobGrants.maximumCountOfUser {
        group.addTask { (try? await make()) != nil }
      }
      return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
    }
    #expect(results == JobGrants.maximumCountOfUser - jobs.count)
    await #expect { try await make() } throws: { error in
      "\(error)" == "there are 256 grants of uid \(geteuid()): no more are made for it"
        && (error as? GrantError)?.remedy?.contains("grant revoke") == true
    }
    child.end(within: 0)
    while await fixture.grants.list(after: nil).count > 254, !Task.isCancelled { await Task.yield() }
    _ = try await make()
  }

  @Test func byItsTime() async throws {
    let grant = try await make()
    let socket = try client(grant)
    move(.seconds(59))
    // Whatever the timer had begun would have been done by the second of these.
    for _ in 0..<3 { #expect(await fixture.grants.list(after: nil).count == 1 && access(grant.socket, F_OK) == 0) }
    move(.seconds(1))
    await waitForTheEnd(of: grant)
    #expect(try frames(socket).isEmpty)
    #expect(ends == ["its time is over"])
  }

  /// The answer to the last operation leaves before the socket goes.
  @Test func byItsCount() async throws {
    let grant = try await make(operations: 2)
    #expect(grant.signaturesLeft == 2)
    let socket = try client(grant)
    try socket.sendAll(Self.creation)
    #expect(try frames(socket, upTo: 1).map(\.code) == [0x10])
    try socket.sendAll(Self.creation)
    let answers = try frames(socket)
    #expect(answers.map(\.code) == [0x10] && answers.first?.payload.first == 0)
    await waitForTheEnd(of: grant)
    #expect(ends == ["it is used up"])
  }

  @Test func byItsProcess() async throws {
    let child = try ChildProcess("sleep", arguments: ["600"], descriptors: [])
    let grant = try await make(process: child.identifier)
    #expect(await fixture.grants.list(after: nil).count == 1)
    child.end(within: 0)
    await waitForTheEnd(of: grant)
    #expect(ends == ["its process has ended"])
  }

  /// Where control groups of version 2 can be made; nil where that is not for us.
  private static let controlGroups = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].first {
    access($0 + "/cgroup.controllers", F_OK) == 0 && access($0, W_OK) == 0
  }

  @Test(.enabled(if: controlGroups != nil, "control groups can be made here"))
  func byItsControlGroup() async throws {
    let name = "/countersign-test-\(getpid())"
    let folder = try #require(Self.controlGroups) + name
    try #require(mkdir(folder, 0o755) == 0)
    defer { rmdir(folder) }
    let child = try ChildProcess("sleep", arguments: ["600"], descriptors: [])
    try Descriptor(opening: folder + "/cgroup.procs", flags: O_WRONLY).write(Array("\(child.identifier)".utf8))
    let grant = try await make(controlGroup: name)
    child.end(within: 0)
    await waitForTheEnd(of: grant)
    #expect(ends == ["its control group is empty"])
  }

  @Test func byTheOperatorsWord() async throws {
    let grant = try await make()
    #expect(await fixture.grants.end(grant.id, "it was revoked by uid 7", by: Self.operatorCaller))
    #expect(access(grant.socket, F_OK) != 0)
    #expect(await !fixture.grants.end(grant.id, "again"))
    #expect(ends == ["it was revoked by uid 7"])
  }

  /// What is in progress is still answered, and nobody else is let in meanwhile.
  @Test func aStopInOrder() async throws {
    let (grant, socket) = try await requestInProgress()
    async let stopped: Void = fixture.grants.stop(within: 10_000_000_000)
    await waitForNoListener(of: grant)
    await #expect(throws: GrantError.self) { try await make() }
    await fixture.keys.letGo()
    await stopped
    let answers = try frames(socket.socket)
    #expect(answers.map(\.code) == [0x10] && answers.first?.payload.first == 0)
    await waitForTheEnd(of: grant)
    #expect(ends == ["the daemon stops"])
  }

  /// But not for ever, and then no signature leaves.
  @Test func aStopWithATPMThatHangs() async throws {
    let (grant, socket) = try await requestInProgress()
    async let stopped: Void = fixture.grants.stop(within: 10_000_000_000)
    await waitForNoListener(of: grant)
    // One second more for what does not heed that it is cancelled.
    move(.seconds(12))
    await stopped
    #expect(try frames(socket.socket).allSatisfy { $0.code != 0x10 || $0.payload.first != 0 })
    await fixture.keys.letGo()
    #expect(ends == ["the daemon stops"])
  }
}

@Suite(.timeLimit(.minutes(1))) struct PatienceTests {
  @Test func waitsForWorkThatEnds() async throws {
    let loop = try EventLoop(name: "patience", time: ManualTime())
    let done = Lock(false)
    #expect(await waitAtMost(1_000_000_000, on: loop) { done.withLock { $0 = true } })
    #expect(done.withLock { $0 })
    loop.stop()
  }

  @Test func leavesWhatHangs() async throws {
    let time = ManualTime()
    let loop = try EventLoop(name: "patience", time: time)
    let (begun, end) = (AsyncStream.makeStream(of: Void.self), AsyncStream.makeStream(of: Void.self))
    async let inTime = waitAtMost(1_000_000_000, on: loop) {
      begun.continuation.yield()
      for await _ in end.stream { return }
    }
    for await _ in begun.stream { break }
    time.advance(by: .seconds(1))
    loop.wake()
    #expect(await !inTime)
    end.continuation.yield()
    loop.stop()
  }
}
