import Authenticator
import CFaultyFiles
import Glibc
import Storage
import TestSupport
import Testing
import WebAuthn

/// Disks that fail at every single write, sync, truncation or deletion of every change.
@Suite struct FaultTests {
  enum Step: String, CaseIterable {
    case insert, replace, update, remove, save, saveSettings, firstBlobs, saveBlobs, reset
  }

  struct Fault: CustomStringConvertible {
    let name: String
    let kind: Int32
    /// How many calls fail in a row; -1 is all.
    let failures: Int
    var description: String { name }

    static let all = [
      Fault(name: "one error", kind: Int32(CS_FAULT_IO), failures: 1),
      Fault(name: "errors from now on", kind: Int32(CS_FAULT_IO), failures: -1),
      Fault(name: "full for one write", kind: Int32(CS_FAULT_FULL), failures: 1),
      Fault(name: "full from now on", kind: Int32(CS_FAULT_FULL), failures: -1),
      Fault(name: "one failed sync", kind: Int32(CS_FAULT_SYNC), failures: 1),
      Fault(name: "failing syncs", kind: Int32(CS_FAULT_SYNC), failures: -1),
    ]
  }

  /// What a store holds, as its users see it.
  struct State: Equatable, CustomTestStringConvertible {
    var credentials: [Credential]
    var count: Int
    var changes: Int64
    var record: [UInt8]?
    var settings: AuthenticatorSettings?
    var largeBlobs: [UInt8]?

    var testDescription: String {
      "\(count) with \(credentials.count) discoverable after \(changes), \(record ?? []), settings "
        + "\(settings?.generation ?? 0), \(largeBlobs?.count ?? 0) bytes of blobs"
    }

    init(of store: CredentialDatabase) async throws {
      credentials = try await store.discoverableCredentials(relyingPartyID: "example.com")
      count = try await store.count()
      changes = try await store.changes()
      record = try await store.deviceRecord()
      settings = try await store.settings()
      largeBlobs = try await store.largeBlobs()
    }
  }

  private static func take(_ step: Step, in store: CredentialDatabase) async throws {
    switch step {
    case .insert: _ = try await store.insert(sample(10))
    case .replace: _ = try await store.insert(sample(11, user: sample(2).userHandle))
    case .update: #expect(try await store.update(updated))
    case .remove: #expect(try await store.remove(id: sample(3).id) == sample(3).key.binding)
    case .save: try await store.saveDeviceRecord([2, 2])
    case .saveSettings: try await store.save(settings(2))
    case .firstBlobs, .saveBlobs: try await store.save(largeBlobs: largeBlobs(2, count: 20_000))
    case .reset: try await store.reset(to: try deviceSecret(2), record: [2, 2], settings: settings(2))
    }
  }

  /// Longer than before, so that it moves within the file.
  private static var updated: Credential {
    var credential = sample(5, protection: .userVerificationRequired)
    credential.userName = String(repeating: "longer ", count: 40)
    return credential
  }

  /// A file with some rows, and what it holds before and after the step.
  private static func prepare(_ step: Step) async throws -> (file: [UInt8], before: State, after: State) {
    let fixture = Fixture()
    let store = try await fixture.unlocked()
    try await store.saveDeviceRecord([1])
    try await store.reset(to: try deviceSecret(1), record: [1], settings: settings(1))
    for number in 1...8 { _ = try await store.insert(sample(number)) }
    if step != .firstBlobs { try await store.save(largeBlobs: largeBlobs(1, count: 30_000)) }
    let before = try await State(of: store)
    await store.close()
    let file = try #require(contents(of: fixture.file))
    let second = try await fixture.unlocked()
    try await take(step, in: second)
    let after = try await State(of: second)
    await second.close()
    return (file, before, after)
  }

  private static func place(_ file: [UInt8], in fixture: Fixture) throws {
    if mkdir(fixture.directory, 0o700) != 0, errno != EEXIST { throw Unexpected("mkdir") }
    unlink(fixture.file + "-journal")
    try overwrite(fixture.file, with: file)
  }

  @Test(arguments: Step.allCases, Fault.all)
  func everyFailureLeavesTheOldOrTheNew(_ step: Step, _ fault: Fault) async throws {
    let system = "\(step)-\(fault.kind)\(fault.failures)"
    try #require(cs_faulty_register(system) == 0)
    let (file, before, after) = try await FaultTests.prepare(step)
    let fixture = Fixture()
    // Whether the disk comes back while the daemon runs, or stays away until it is started anew.
    for recovers in [true, false] {
      var failed = 0
      for place in 0... {
        try FaultTests.place(file, in: fixture)
        let store = try await fixture.unlocked(fileSystem: system)
        cs_faulty_arm(system, fault.kind, place, fault.failures)
        var done = true
        do {
          try await FaultTests.take(step, in: store)
        } catch let error as StoreError {
          done = false
          failed += 1
          #expect(message(error).contains(fixture.file))
        }
        let reached = cs_faulty_changes(system) > place
        if recovers {
          cs_faulty_disarm(system)
          try await FaultTests.check(store, done, before, after, "\(place)")
        }
        await store.close()
        cs_faulty_disarm(system)

        // What was reported as failed may have been done, if it is whole; never the other way.
        let next = try await fixture.unlocked()
        let isNew = try await next.deviceRecord() != before.record && step == .reset
        if isNew { try await next.unlock(with: try deviceSecret(2)) }
        let state = try await State(of: next)
        var expected = [after] + (done ? [] : [before])
        if recovers { expected = expected.map { FaultTests.withOneMore($0, in: state) } }
        #expect(expected.contains(state), "\(place): \(state.testDescription)")
        await next.close()
        if !reached { break }
      }
      #expect(failed > 0, "the fault was never met")
    }
  }

  /// The store goes on: it gives the old or the new, and takes one more.
  private static func check(
    _ store: CredentialDatabase, _ done: Bool, _ before: State, _ after: State, _ place: Comment
  ) async throws {
    do {
      let state = try await State(of: store)
      #expect(state == after || (!done && state == before), place)
      _ = try await store.insert(sample(20))
    } catch let error as StoreError {
      // A reset that was reported as failed and has happened: only a new start knows the secret.
      #expect(!done && message(error).contains("start countersignd again"), place)
    }
  }

  private static func withOneMore(_ state: State, in found: State) -> State {
    guard let newest = found.credentials.first, newest == sample(20) else { return state }
    var state = state
    state.credentials.insert(newest, at: 0)
    state.count += 1
    state.changes += 1
    return state
  }

  @Test(arguments: Fault.all) func creationIsWholeOrNothing(_ fault: Fault) async throws {
    let system = "create-\(fault.kind)\(fault.failures)"
    try #require(cs_faulty_register(system) == 0)
    for place in 0... {
      let fixture = Fixture()
      let store = try fixture.store(fileSystem: system)
      cs_faulty_arm(system, fault.kind, place, fault.failures)
      var done = true
      do throws(StoreError) { try await store.open() } catch { done = false }
      let reached = cs_faulty_changes(system) > place
      cs_faulty_disarm(system)
      #expect(done || reached)
      try await store.unlock(with: try deviceSecret())
      _ = try await store.insert(sample(1))
      await store.close()
      let next = try await fixture.unlocked()
      #expect(try await next.count() == 1)
      if !reached { break }
    }
  }

  @Test func aFullDiskIsSaidAndPasses() async throws {
    let fixture = Fixture()
    let system = "full"
    try #require(cs_faulty_register(system) == 0)
    let store = try await fixture.unlocked(fileSystem: system)
    _ = try await store.insert(sample(1))
    cs_faulty_arm(system, Int32(CS_FAULT_FULL), 0, -1)
    for _ in 0..<3 {
      let error = await #expect(throws: StoreError.self) { try await store.insert(sample(2)) }
      guard case .full(let text) = error else { throw Unexpected(message(error)) }
      #expect(text.contains("free some room"))
      #expect(try await store.credential(id: sample(1).id) == sample(1))
    }
    cs_faulty_disarm(system)
    _ = try await store.insert(sample(2))
    #expect(try await store.count() == 2)
  }

  /// A change whose last step fails is asked of the file: it says what has happened.
  @Test(arguments: Step.allCases) func aChangeThatWasMadeIsNotReportedAsFailed(_ step: Step) async throws {
    let system = "last-\(step)"
    try #require(cs_faulty_register(system) == 0)
    let (file, _, after) = try await FaultTests.prepare(step)
    let fixture = Fixture()
    try FaultTests.place(file, in: fixture)
    let count = try await {
      let store = try await fixture.unlocked(fileSystem: system)
      cs_faulty_arm(system, Int32(CS_FAULT_IO), .max, 0)
      try await FaultTests.take(step, in: store)
      let count = cs_faulty_changes(system)
      await store.close()
      return count
    }()
    // The last is the journal's fsync(2), after it has been emptied: the change stands, and SQLite calls it failed.
    try FaultTests.place(file, in: fixture)
    let store = try await fixture.unlocked(fileSystem: system)
    cs_faulty_arm(system, Int32(CS_FAULT_IO), count - 1, 1)
    if step == .save {
      // The caller of this one looks for himself at the next start.
      _ = try? await FaultTests.take(step, in: store)
    } else {
      try await FaultTests.take(step, in: store)
    }
    #expect(cs_faulty_changes(system) >= count)
    cs_faulty_disarm(system)
    #expect(try await State(of: store) == after)
  }

  @Test func anExchangedFileIsNoticed() async throws {
    let fixture = Fixture()
    let system = "exchanged"
    try #require(cs_faulty_register(system) == 0)
    let store = try await fixture.unlocked(fileSystem: system)
    try await store.saveDeviceRecord([1])
    _ = try await store.insert(sample(1))
    // A failure makes the store open the file anew; by then it depends on another device secret.
    cs_faulty_arm(system, Int32(CS_FAULT_FULL), 0, -1)
    await #expect(throws: StoreError.self) { try await store.saveDeviceRecord([2]) }
    cs_faulty_disarm(system)
    try fixture.alter("UPDATE device SET record = x'09'")
    let error = await #expect(throws: StoreError.self) { try await store.insert(sample(2)) }
    #expect(message(error).contains("start countersignd again"))
    await #expect(throws: StoreError.self) {
      try await store.credential(id: sample(1).id)
    }
  }

  @Test func aReadOnlyDiskIsSaidAndPasses() async throws {
    let fixture = Fixture()
    let system = "read-only"
    try #require(cs_faulty_register(system) == 0)
    let first = try await fixture.unlocked()
    _ = try await first.insert(sample(1))
    await first.close()

    cs_faulty_set_read_only(system, 1)
    let store = try await fixture.unlocked(fileSystem: system)
    #expect(fixture.log.all.contains { $0.contains("can be read only") })
    #expect(try await store.credential(id: sample(1).id) == sample(1))
    let error = await #expect(throws: StoreError.self) { try await store.insert(sample(2)) }
    guard case .unavailable(let text) = error else { throw Unexpected(message(error)) }
    #expect(text.contains("make the disk and the file writable"))
    #expect(try await store.discoverableCredentials(relyingPartyID: "example.com") == [sample(1)])

    cs_faulty_set_read_only(system, 0)
    _ = try await store.insert(sample(2))
    #expect(try await store.count() == 2)
  }
}
