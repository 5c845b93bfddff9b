import Authenticator
import Storage
import TestSupport
import Testing
import WebAuthn

/// What credential management and credProtect ask of the store.
@Suite struct ManagementTests {
  let fixture = Fixture()

  // MARK: Protection

  @Test func thoseThatAskForVerificationAreSkipped() async throws {
    let store = try await fixture.unlocked()
    let credentials = (1...9).map { number in
      sample(number, protection: CredentialProtection.allCases[number % 3])
    }
    for credential in credentials { _ = try await store.insert(credential) }
    let open = credentials.filter { $0.protection == .userVerificationOptional }
    #expect(open.count == 3)
    #expect(try await store.discoverableCredentials(relyingPartyID: "example.com") == credentials.reversed())
    #expect(
      try await store.discoverableCredentials(relyingPartyID: "example.com", verified: false) == open.reversed())
    // By ID they are there for everybody: the engine judges.
    for credential in credentials {
      #expect(try await store.credential(id: credential.id) == credential)
    }
  }

  @Test func countsGoWithTheWalk() async throws {
    let store = try await fixture.unlocked()
    for number in 1...9 {
      _ = try await store.insert(sample(number, protection: CredentialProtection.allCases[number % 3]))
    }
    _ = try await store.insert(sample(10, discoverable: false))
    _ = try await store.insert(sample(11, relyingParty: "example.org"))
    for verified in [true, false] {
      var left = verified ? 9 : 3
      var position: Int64?
      while true {
        #expect(
          try await store.discoverableCount(
            relyingPartyIDHash: hash("example.com"), olderThan: position, verified: verified) == left)
        guard
          let next = try await store.discoverableCredential(
            relyingPartyIDHash: hash("example.com"), olderThan: position, verified: verified)
        else { break }
        position = next.position
        left -= 1
      }
      #expect(left == 0)
    }
    #expect(try await store.discoverableCount(relyingPartyIDHash: [], olderThan: nil, verified: true) == 0)
  }

  // MARK: State

  @Test func disabledOnesAreOnNoWalkAlsoWhenOpenedAgain() async throws {
    var store = try await fixture.unlocked()
    for number in 1...3 { _ = try await store.insert(sample(number)) }
    var credential = sample(2)
    credential.state = .disabled
    credential.label = "old"
    #expect(try await store.update(credential))
    for _ in 0..<2 {
      #expect(try await store.discoverableCredentials(relyingPartyID: "example.com") == [sample(3), sample(1)])
      #expect(
        try await store.discoverableCount(
          relyingPartyIDHash: hash("example.com"), olderThan: nil, verified: true) == 2)
      #expect(try await store.credential(id: credential.id) == credential)
      #expect(try await store.allCredentials() == [sample(1), credential, sample(3)])
      await store.close()
      store = try await fixture.unlocked()
    }
    #expect(try await store.update(sample(2)))
    #expect(
      try await store.discoverableCount(
        relyingPartyIDHash: hash("example.com"), olderThan: nil, verified: true) == 3)
  }

  @Test(arguments: [CredentialState.outgoing, .disabled])
  func whatIsSetAsideMakesNoWayForANewOne(_ state: CredentialState) async throws {
    let store = try await fixture.unlocked()
    var old = sample(1)
    _ = try await store.insert(old)
    old.state = state
    #expect(try await store.update(old))
    var new = sample(2)
    new.userHandle = old.userHandle
    #expect(try await store.insert(new).isEmpty)
    #expect(try await store.allCredentials() == [old, new])
    old.state = .enabled
    await #expect(throws: StoreError.conflict("another credential of the same user is enabled: disable that one first"))
    {
      _ = try await store.update(old)
    }
    _ = try await store.remove(id: new.id)
    #expect(try await store.update(old))
  }

  // MARK: Walks

  @Test func everyRelyingPartyComesOnce() async throws {
    let store = try await fixture.unlocked()
    #expect(try await store.relyingParties().isEmpty)
    for number in 1...60 { _ = try await store.insert(sample(number, relyingParty: "\(number % 20).example")) }
    _ = try await store.insert(sample(61, relyingParty: "not-discoverable.example", discoverable: false))
    _ = try await store.insert(sampleByU2F(62))
    var renamed = sample(63, relyingParty: "7.example", protection: .userVerificationRequired)
    renamed.relyingPartyName = "Seven"
    _ = try await store.insert(renamed)
    var nameless = sample(64, relyingParty: "8.example")
    nameless.relyingPartyName = nil
    _ = try await store.insert(nameless)
    var expected = Dictionary(uniqueKeysWithValues: (0..<20).map { ("\($0).example", "Example") })
    expected["7.example"] = "Seven"
    expected["8.example"] = "no name"
    #expect(try await store.relyingParties() == expected)
    #expect(try await store.relyingParty(after: .max) == nil)
  }

  @Test func relyingPartiesComeInTheOrderOfTheirFirstCredentials() async throws {
    let store = try await fixture.unlocked()
    let names = ["c.example", "a.example", "b.example"]
    for (number, name) in (names + names.reversed() + ["d.example"]).enumerated() {
      _ = try await store.insert(sample(number + 1, relyingParty: name))
    }
    var found: [String] = []
    var position: Int64?
    while let next = try await store.relyingParty(after: position) {
      found.append(next.id)
      position = next.position
    }
    #expect(found == names + ["d.example"])
  }

  @Test func allOfThemComeOldestFirst() async throws {
    let store = try await fixture.unlocked()
    #expect(try await store.credential(after: nil) == nil)
    let credentials = [
      sample(3), sample(1, discoverable: false), sampleByU2F(2), sample(4, relyingParty: "example.org"),
    ]
    for credential in credentials { _ = try await store.insert(credential) }
    #expect(try await store.allCredentials() == credentials)
    #expect(try await store.credential(after: .max) == nil)
  }

  @Test func aWalkGoesOnWhereItStood() async throws {
    let store = try await fixture.unlocked()
    for number in 1...4 { _ = try await store.insert(sample(number)) }
    let first = try #require(try await store.credential(after: nil))
    _ = try await store.remove(id: sample(1).id)
    _ = try await store.remove(id: sample(2).id)
    #expect(try await store.credential(after: first.position)?.credential == sample(3))
  }

  // MARK: Changes

  @Test func anUpdateKeepsItsPlace() async throws {
    let first = try await fixture.unlocked()
    let credentials = [sample(1), sample(2), sample(3), sample(4, discoverable: false), sampleByU2F(5)]
    for credential in credentials { _ = try await first.insert(credential) }
    var changed = credentials
    for index in [1, 3, 4] {
      changed[index].userName = "another name"
      changed[index].userDisplayName = nil
      changed[index].protection = .userVerificationRequired
      changed[index].blob = [1]
      #expect(try await first.update(changed[index]))
    }
    await first.close()
    let second = try await fixture.unlocked()
    #expect(try await second.allCredentials() == changed)
    #expect(try await second.discoverableCredentials(relyingPartyID: "example.com") == changed[0...2].reversed())
    #expect(
      try await second.discoverableCredentials(relyingPartyID: "example.com", verified: false) == [
        changed[2], changed[0],
      ])
    #expect(try await second.count() == 5)
    // Registering anew still replaces it.
    #expect(try await second.insert(sample(6, user: changed[1].userHandle)) == [changed[1].key.binding])
  }

  @Test func whatIsNotThereIsNotUpdated() async throws {
    let store = try await fixture.unlocked()
    _ = try await store.insert(sample(1))
    #expect(try await !store.update(sample(2)))
    #expect(try await store.allCredentials() == [sample(1)])
    #expect(try await store.changes() == 1)
  }

  @Test func anUpdateChangesNoKeyAndNoOwner() async throws {
    let store = try await fixture.unlocked()
    let good = sample(1)
    _ = try await store.insert(good)
    var key = good
    key.key = CredentialKey(algorithm: .es256, binding: good.key.binding, blob: [1])
    var publicKey = good
    publicKey.publicKey = sample(2).publicKey
    var party = sample(1, relyingParty: "example.org")
    party.userHandle = good.userHandle
    var nameless = sampleByU2F(1, relyingParty: "example.com")
    nameless.userHandle = good.userHandle
    var user = good
    user.userHandle = [9]
    var hidden = good
    hidden.isDiscoverable = false
    for credential in [key, publicKey, party, nameless, user, hidden] {
      let error = await #expect(throws: StoreError.self) { try await store.update(credential) }
      guard case .unavailable(let text) = error else { throw Unexpected(message(error)) }
      #expect(text.contains("cannot be changed"))
    }
    #expect(try await store.allCredentials() == [good])
    #expect(try await store.changes() == 1)
  }

  @Test func anUpdateLeavesNothingOfTheOldRecord() async throws {
    let store = try await fixture.unlocked()
    for number in 1...3 { _ = try await store.insert(sample(number)) }
    await store.close()
    let sealed = try records()
    let again = try await fixture.unlocked()
    var changed = sample(2)
    changed.userName = String(repeating: "longer ", count: 50)
    #expect(try await again.update(changed))
    // Even where nothing changes, the seal is another: a nonce is used once.
    #expect(try await again.update(sample(3)))
    await again.close()
    let after = try records()
    #expect(after[0] == sealed[0])
    #expect(Set((sealed + after).map { $0.prefix(12) }).count == 5)
    let file = try #require(contents(of: fixture.file))
    #expect(find(sealed[0], in: file))
    for old in sealed[1...] { #expect(!find(Array(old.prefix(100)), in: file)) }
  }

  private func records() throws -> [[UInt8]] {
    try fixture.rows("SELECT record FROM credential ORDER BY sequence")
  }

  @Test func aRemovedOneIsGone() async throws {
    let store = try await fixture.unlocked(maximum: 3)
    for credential in [sample(1), sample(2, discoverable: false), sampleByU2F(3)] {
      _ = try await store.insert(credential)
    }
    #expect(try await store.remainingDiscoverableCredentials() == 0)
    #expect(try await store.remove(id: sample(9).id) == nil)
    #expect(try await store.remove(id: []) == nil)
    for credential in [sample(1), sample(2), sampleByU2F(3)] {
      #expect(try await store.remove(id: credential.id) == credential.key.binding)
      #expect(try await store.remove(id: credential.id) == nil)
    }
    #expect(try await store.count() == 0)
    #expect(try await store.remainingDiscoverableCredentials() == 3)
    #expect(try await store.relyingParties().isEmpty)
    await store.close()
    let file = try #require(contents(of: fixture.file))
    for number in 1...3 { #expect(!find(sample(number).id, in: file)) }
  }

  @Test func everyChangeIsCounted() async throws {
    let first = try await fixture.unlocked()
    #expect(try await first.changes() == 0)
    _ = try await first.insert(sample(1, user: [1]))
    _ = try await first.insert(sample(2, user: [1]))
    #expect(try await first.changes() == 2, "a replacement is one change")
    #expect(try await first.update(sample(2, user: [1])))
    #expect(try await first.changes() == 3)
    _ = try await first.remove(id: sample(2).id)
    #expect(try await first.changes() == 4)
    // Nothing of this changes a credential.
    _ = try await first.remove(id: sample(2).id)
    _ = try await first.update(sample(2))
    try await first.save(settings(1))
    try await first.save(largeBlobs: [1])
    try await first.saveDeviceRecord([1])
    #expect(try await first.changes() == 4)
    await first.close()

    let second = try await fixture.unlocked()
    #expect(try await second.changes() == 4)
    try await second.reset(to: try deviceSecret(2), record: [2], settings: settings(2))
    #expect(try await second.changes() == 5)
  }

  @Test func aRefusedChangeIsNotCounted() async throws {
    let store = try await fixture.unlocked(maximum: 1)
    _ = try await store.insert(sample(1))
    await #expect(throws: StoreError.self) { try await store.insert(sample(2)) }
    #expect(try await store.changes() == 1)
    #expect(try await store.count() == 1)
  }

  @Test func theGreatestNumberOfChangesIsNoTrap() async throws {
    let store = try await fixture.unlocked()
    _ = try await store.insert(sample(1))
    await store.close()
    try fixture.alter("UPDATE tally SET changes = 9223372036854775807")
    let again = try await fixture.unlocked()
    for attempt in [
      { _ = try await again.insert(sample(2)) },
      { _ = try await again.update(sample(1)) },
      { _ = try await again.remove(id: sample(1).id) },
      { try await again.reset(to: try deviceSecret(2), record: [2], settings: settings(2)) },
    ] as [() async throws -> Void] {
      let error = await #expect(throws: StoreError.self) { try await attempt() }
      #expect(message(error).contains("number of changes is too great"))
    }
    #expect(try await again.allCredentials() == [sample(1)])
    #expect(try await again.count() == 1)
  }
}
