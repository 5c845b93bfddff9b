import Authenticator
import Glibc
import Policy
import Storage
import TestSupport
import Testing
import WebAuthn

@Suite struct CredentialDatabaseTests {
  let fixture = Fixture()

  @Test func everyFieldComesBackAfterAReopening() async throws {
    var plain = sample(4, discoverable: false, publicKey: .rs256(modulus: [0x80] + [1, 2], exponent: [1, 0, 1]))
    plain.relyingPartyName = nil
    plain.userName = nil
    plain.userDisplayName = nil
    plain.signatureCounter = .zero
    plain.createdAt = -1
    var empty = sample(5, relyingParty: "ü.example")
    empty.userName = ""
    empty.userDisplayName = "a\u{0}\n\u{2028}'"
    empty.userHandle = [UInt8](repeating: 0xFF, count: 64)
    var extended = sample(6, relyingParty: "d.example", protection: .userVerificationRequired)
    extended.hasHMACSecret = true
    extended.hasLargeBlobKey = true
    extended.blob = []
    var stored = sample(7, discoverable: false, protection: .userVerificationOptionalWithCredentialIDList)
    stored.blob = [UInt8](repeating: 0xCB, count: 32)
    let credentials = [
      extended, stored, sampleByU2F(8), sample(1), sample(2, discoverable: false),
      sample(
        3, publicKey: .es384(x: [UInt8](repeating: 3, count: 48), y: [UInt8](repeating: 4, count: 48))),
      plain, empty,
    ]
    let first = try await fixture.unlocked()
    for credential in credentials { #expect(try await first.insert(credential).isEmpty) }
    try await first.saveDeviceRecord([1, 2, 3])
    await first.close()

    let second = try await fixture.unlocked()
    for credential in credentials {
      let found = try await second.credential(id: credential.id)
      #expect(found == credential)
    }
    #expect(try await second.allCredentials() == credentials)
    #expect(try await second.count() == 8)
    #expect(try await second.deviceRecord() == [1, 2, 3])
    #expect(fixture.log.all.isEmpty)
  }

  @Test func onlyTheRelyingPartyThatItBelongsTo() async throws {
    let store = try await fixture.unlocked()
    _ = try await store.insert(sample(1))
    #expect(try await store.credential(id: sample(2).id) == nil)
    #expect(try await store.credential(id: []) == nil)
    #expect(try await store.discoverableCredentials(relyingPartyID: "example.org").isEmpty)
  }

  @Test func discoverableOnesComeNewestFirst() async throws {
    let store = try await fixture.unlocked()
    for number in 1...10 { _ = try await store.insert(sample(number)) }
    _ = try await store.insert(sample(11, discoverable: false))
    _ = try await store.insert(sample(12, relyingParty: "example.org"))
    let found = try await store.discoverableCredentials(relyingPartyID: "example.com")
    #expect(found == (1...10).reversed().map { sample($0) })
  }

  @Test func aSecondRegistrationReplacesTheFirst() async throws {
    let store = try await fixture.unlocked()
    let user: [UInt8] = [1, 2, 3]
    let first = sample(1, user: user)
    #expect(try await store.insert(first).isEmpty)
    #expect(try await store.insert(sample(2)).isEmpty)
    #expect(try await store.insert(sample(3, user: user, discoverable: false)).isEmpty, "not discoverable")
    #expect(try await store.insert(sample(4, relyingParty: "example.org", user: user)).isEmpty, "another party")
    #expect(try await store.insert(sample(5, user: user)) == [first.key.binding])
    #expect(try await store.credential(id: first.id) == nil)
    #expect(
      try await store.discoverableCredentials(relyingPartyID: "example.com").map(\.id) == [5, 2].map { sample($0).id })
    #expect(try await store.count() == 4)
  }

  @Test func theMaximumIsKept() async throws {
    let store = try await fixture.unlocked(maximum: 2)
    #expect(try await store.remainingDiscoverableCredentials() == 2)
    _ = try await store.insert(sample(1))
    _ = try await store.insert(sample(2, discoverable: false))
    #expect(try await store.remainingDiscoverableCredentials() == 0)
    let error = await #expect(throws: StoreError.self) { try await store.insert(sample(3)) }
    guard case .full = error else { throw Unexpected("\(message(error))") }
    #expect(
      try await store.insert(sample(4, user: sample(1).userHandle)) == [sample(1).key.binding],
      "replacing needs no room")
    #expect(try await store.count() == 2)
  }

  @Test func nothingWorksBeforeTheSecretIsThere() async throws {
    let store = try fixture.store()
    try await store.open()
    #expect(try await store.deviceRecord() == nil)
    for attempt in [
      { _ = try await store.insert(sample(1)) },
      { _ = try await store.credential(id: [1]) },
      { _ = try await store.discoverableCredentials(relyingPartyID: "a") },
      { _ = try await store.discoverableCount(relyingPartyIDHash: [], olderThan: nil, verified: true) },
      { _ = try await store.relyingParty(after: nil) },
      { _ = try await store.credential(after: nil) },
      { _ = try await store.update(sample(1)) },
      { _ = try await store.remove(id: sample(1).id) },
      { _ = try await store.settings() },
      { try await store.save(settings(1)) },
      { _ = try await store.largeBlobs() },
      { try await store.save(largeBlobs: []) },
    ] as [() async throws -> Void] {
      let error = await #expect(throws: StoreError.self) { try await attempt() }
      #expect(message(error).contains("not been unsealed"))
    }
    try await store.unlock(with: try deviceSecret())
    _ = try await store.insert(sample(1))
  }

  @Test func aResetLeavesNothing() async throws {
    let store = try await fixture.unlocked()
    try await store.saveDeviceRecord(Array("the first device record".utf8))
    for number in 1...50 { _ = try await store.insert(sample(number)) }
    await store.close()
    let before = try #require(contents(of: fixture.file))

    let again = try await fixture.unlocked()
    try await again.reset(
      to: try deviceSecret(2), record: Array("the second device record".utf8), settings: settings(2))
    #expect(try await again.count() == 0)
    #expect(try await again.credential(id: sample(1).id) == nil)
    #expect(try await again.deviceRecord() == Array("the second device record".utf8))
    _ = try await again.insert(sample(51))
    #expect(try await again.credential(id: sample(51).id) == sample(51))
    await again.close()

    // What was in the pages is overwritten.
    let after = try #require(contents(of: fixture.file))
    #expect(find("the first device record", in: before))
    #expect(!find("the first device record", in: after))
    let id = sample(20).id
    #expect(find(id, in: before))
    #expect(!find(id, in: after))

    // An old file with the new secret is worth nothing.
    try overwrite(fixture.file, with: before)
    let old = try await fixture.unlocked(2)
    #expect(try await old.credential(id: sample(1).id) == nil)
    #expect(try await old.discoverableCredentials(relyingPartyID: "example.com").isEmpty)
  }

  @Test func aReplacedRecordIsOverwritten() async throws {
    let store = try await fixture.unlocked()
    _ = try await store.insert(sample(1, user: [1]))
    _ = try await store.insert(sample(2, user: [1]))
    await store.close()
    #expect(!find(sample(1).id, in: try #require(contents(of: fixture.file))))
  }

  @Test func theFileTellsNoNames() async throws {
    let store = try await fixture.unlocked()
    var credential = sample(1, relyingParty: "secret-party.example", user: Array("secret-handle".utf8))
    credential.userName = "secret-name"
    _ = try await store.insert(credential)
    await store.close()
    for name in names(in: fixture.directory) {
      #expect(!find("secret-", in: contents(of: fixture.directory + "/" + name) ?? []))
    }
  }

  @Test func onlyTheOwnerMayRead() async throws {
    let mask = umask(0)
    defer { umask(mask) }
    let store = try await fixture.unlocked()
    _ = try await store.insert(sample(1))
    #expect(mode(fixture.directory) == 0o700)
    for name in names(in: fixture.directory) { #expect(mode(fixture.directory + "/" + name) == 0o600, "\(name)") }
    #expect(names(in: fixture.directory).contains("credentials.db-journal"))
  }

  @Test func laxPermissionsAreSaid() async throws {
    let first = try await fixture.unlocked()
    await first.close()
    #expect(fixture.log.all.isEmpty)
    #expect(chmod(fixture.directory, 0o755) == 0 && chmod(fixture.file, 0o640) == 0)
    let second = try await fixture.unlocked()
    #expect(try await second.count() == 0)
    #expect(
      fixture.log.all == [
        "\(fixture.directory) is open to others than its owner: chmod 700 it",
        "\(fixture.file) is open to others than its owner: chmod 600 it",
      ])
  }

  @Test func oneDaemonPerDirectory() async throws {
    let first = try await fixture.unlocked()
    let error = #expect(throws: StoreError.self) { _ = try fixture.store() }
    #expect(message(error).contains("in use by process \(getpid())"))
    #expect(message(error).contains("--state-directory"))
    _ = try await first.insert(sample(1))
    await first.close()
    await #expect(throws: StoreError.self) { try await first.count() }
    let second = try await fixture.unlocked()
    #expect(try await second.count() == 1)
  }

  @Test func aMissingParentIsSaid() throws {
    let error = #expect(throws: StoreError.self) {
      _ = try CredentialDatabase(
        stateDirectory: fixture.directory + "/a/b", executor: storeThread, log: fixture.log.logger)
    }
    #expect(message(error).contains("No such file or directory"))
  }

  @Test func whatDoesNotBelongTogetherIsRefused() async throws {
    let store = try await fixture.unlocked()
    var another = sample(1)
    another.relyingPartyID = "example.org"
    var nameless = sample(1)
    nameless.relyingPartyID = nil
    var short = sampleByU2F(1)
    short.key = CredentialKey(
      algorithm: .es256, binding: KeyBinding(credentialID: short.id, relyingPartyIDHash: [1, 2, 3]), blob: [])
    var algorithm = sample(1)
    algorithm.publicKey = .rs256(modulus: [1], exponent: [3])
    for credential in [another, nameless, short, algorithm] {
      await #expect(throws: StoreError.self) { try await store.insert(credential) }
      await #expect(throws: StoreError.self) { try await store.update(credential) }
    }
    #expect(try await store.count() == 0)
    #expect(try await store.changes() == 0)
  }

  @Test(arguments: [true, false]) func theSameIDTwiceIsRefused(_ isDiscoverable: Bool) async throws {
    let store = try await fixture.unlocked()
    let first = sample(1, discoverable: isDiscoverable)
    _ = try await store.insert(first)
    var second = first
    second.userHandle = [9]
    await #expect(throws: StoreError.self) { try await store.insert(second) }
    if !isDiscoverable { await #expect(throws: StoreError.self) { try await store.insert(first) } }
    #expect(try await store.credential(id: second.id) == first)
    #expect(try await store.count() == 1)
    #expect(try await store.changes() == 1)
  }
}

struct Unexpected: Error {
  let text: String

  init(_ text: String) { self.text = text }
}

func find(_ text: String, in bytes: [UInt8]) -> Bool { find(Array(text.utf8), in: bytes) }

func find(_ needle: [UInt8], in bytes: [UInt8]) -> Bool {
  guard let first = needle.first, bytes.count >= needle.count else { return false }
  return (0...bytes.count - needle.count).contains { start in
    bytes[start] == first && bytes[start..<start + needle.count].elementsEqual(needle)
  }
}

func mode(_ path: String) -> UInt32 {
  var status = stat()
  return stat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
}
