import Authenticator
import Platform
import TestSupport
import Testing
import WebAuthn

@testable import Storage

/// What is remembered of look-ups never differs from what the file says.
@Suite(.timeLimit(.minutes(2))) struct RecentCredentialTests {
  /// Holds up a thread until it is let go.
  private actor Holder {
    private let executor: ThreadExecutor
    private let isHolding: EventCounter
    private let release: EventCounter

    init(_ executor: ThreadExecutor, isHolding: EventCounter, until release: EventCounter) {
      (self.executor, self.isHolding, self.release) = (executor, isHolding, release)
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    func hold() {
      isHolding.signal()
      release.wait()
    }
  }

  @Test func whoAsksAgainDoesNotWaitForTheStore() async throws {
    let fixture = Fixture()
    let thread = try ThreadExecutor(name: "held-store")
    let store = try CredentialDatabase(stateDirectory: fixture.directory, executor: thread, log: fixture.log.logger)
    try await store.unlock(with: try deviceSecret())
    _ = try await store.insert(sample(1))
    #expect(try await store.credential(id: sample(1).id) == sample(1))
    let (isHolding, release) = (try EventCounter(), try EventCounter())
    let holder = Holder(thread, isHolding: isHolding, until: release)
    async let held: Void = holder.hold()
    try await onItsOwnThread { isHolding.wait() }
    // Whoever waits for the store is let go after a while, and too late.
    let answered = try EventCounter()
    let inTime = Lock(false)
    try startThread(named: "release") {
      let isAnswered = waitUntilReadable([answered.raw], within: 20_000) != nil
      inTime.withLock { $0 = isAnswered }
      release.signal()
    }
    #expect(try await store.credential(id: sample(1).id) == sample(1))
    answered.signal()
    await held
    #expect(inTime.withLock { $0 })
    await store.close()
    thread.stop()
  }

  enum Change: String, CaseIterable {
    case update, disable, remove, replace, reset, removeEverything, close
  }

  @Test(arguments: Change.allCases) func everyChangeIsSeen(_ change: Change) async throws {
    let fixture = Fixture()
    let store = try await fixture.unlocked()
    _ = try await store.insert(sample(1))
    // Twice: read, and remembered.
    for _ in 0..<2 { #expect(try await store.credential(id: sample(1).id) == sample(1)) }
    var expected: Credential?
    switch change {
    case .update, .disable:
      var changed = sample(1)
      changed.userName = "another"
      if change == .disable { changed.state = .disabled }
      #expect(try await store.update(changed))
      expected = changed
    case .remove: _ = try await store.remove(id: sample(1).id)
    case .replace: _ = try await store.insert(sample(2, user: sample(1).userHandle))
    case .reset: try await store.reset(to: try deviceSecret(2), record: [2], settings: settings(1))
    case .removeEverything: try await store.removeEverything(leaving: [2])
    case .close: await store.close()
    }
    if change == .removeEverything || change == .close {
      await #expect(throws: StoreError.self) { try await store.credential(id: sample(1).id) }
    } else {
      for _ in 0..<2 { #expect(try await store.credential(id: sample(1).id) == expected) }
    }
    await store.close()
  }

  /// A caller of another relying party neither puts one in, nor is answered from there.
  @Test func itIsTheRelyingPartysOwn() async throws {
    let fixture = Fixture()
    let store = try await fixture.unlocked()
    let credential = sample(1)
    let (own, other) = (credential.key.binding.relyingPartyIDHash, [UInt8](repeating: 9, count: 32))
    _ = try await store.insert(credential)
    #expect(try await store.credential(id: credential.id, relyingPartyIDHash: other) == nil)
    #expect(store.recent[credential.id] == nil)
    #expect(try await store.credential(id: credential.id, relyingPartyIDHash: own) == credential)
    #expect(store.recent[credential.id] == credential)
    #expect(try await store.credential(id: credential.id, relyingPartyIDHash: other) == nil)
    await store.close()
  }

  @Test func anotherSecretOpensNothing() async throws {
    let fixture = Fixture()
    let store = try await fixture.unlocked()
    _ = try await store.insert(sample(1))
    #expect(try await store.credential(id: sample(1).id) == sample(1))
    try await store.unlock(with: try deviceSecret(2))
    #expect(try await store.credential(id: sample(1).id) == nil)
    await store.close()
  }

  private final class Count: Sendable {
    private let value = Lock(0)

    var now: Int { value.withLock { $0 } }

    func set(_ number: Int) { value.withLock { $0 = number } }
  }

  /// Readers and a writer at the same time: nobody who asks after a change has been made sees what was before.
  @Test func nobodySeesWhatIsPast() async throws {
    let fixture = Fixture()
    let store = try await fixture.unlocked()
    _ = try await store.insert(sample(1))
    let made = Count()
    let rounds = 200
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          while made.now < rounds, !Task.isCancelled {
            let least = made.now
            let found = try await store.credential(id: sample(1).id)
            let number = Int(found?.label ?? "0") ?? -1
            #expect(number >= least)
            // What is remembered is found without waiting, and the writer needs a thread too.
            await Task.yield()
          }
        }
      }
      group.addTask {
        for number in 1...rounds {
          var changed = sample(1)
          changed.label = String(number)
          _ = try await store.update(changed)
          made.set(number)
        }
      }
      // Where one fails, the others end.
      do { try await group.waitForAll() } catch {
        group.cancelAll()
        throw error
      }
    }
    await store.close()
  }

  private func row(_ credential: Credential, bytes: Int = 100) -> SealedRow {
    SealedRow(
      sequence: 1, id: credential.id, relyingPartyTag: [], userTag: [], isDiscoverable: true, protection: 1,
      record: [UInt8](repeating: 0, count: bytes))
  }

  @Test func theyAreBounded() {
    let recent = RecentCredentials()
    for number in 1...(2 * RecentCredentials.limit) { recent.keep(sample(number), of: row(sample(number))) }
    #expect((1...(2 * RecentCredentials.limit)).count { recent[sample($0).id] != nil } == RecentCredentials.limit)
    #expect(recent[sample(2 * RecentCredentials.limit).id] != nil)
    // One that is there already makes nothing go.
    recent.removeAll()
    for number in 1...RecentCredentials.limit { recent.keep(sample(number), of: row(sample(number))) }
    recent.keep(sample(1), of: row(sample(1)))
    #expect((1...RecentCredentials.limit).allSatisfy { recent[sample($0).id] != nil })
  }

  @Test func aLongRecordIsNotKept() {
    let recent = RecentCredentials()
    recent.keep(sample(1), of: row(sample(1), bytes: RecentCredentials.maximumRecord + 1))
    #expect(recent[sample(1).id] == nil)
    recent.keep(sample(1), of: row(sample(1), bytes: RecentCredentials.maximumRecord))
    #expect(recent[sample(1).id] == sample(1))
  }
}
