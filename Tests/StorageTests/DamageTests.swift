import Authenticator
import Database
import Glibc
import Storage
import TestSupport
import Testing
import WebAuthn

/// Files that someone or something has changed.
@Suite struct DamageTests {
  let fixture = Fixture()

  private func fill(_ count: Int = 3) async throws {
    let store = try await fixture.unlocked()
    try await store.saveDeviceRecord([1])
    for number in 1...count { _ = try await store.insert(sample(number)) }
    _ = try await store.insert(sample(100, relyingParty: "example.org"))
    await store.close()
  }

  private func refusal() async throws -> String {
    let before = state()
    let store = try fixture.store()
    let error = await #expect(throws: StoreError.self) { try await store.open() }
    let again = await #expect(throws: StoreError.self) { try await store.unlock(with: try deviceSecret()) }
    #expect(again == error)
    await store.close()
    #expect(state() == before)
    return message(error)
  }

  private func state() -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for name in names(in: fixture.directory) { files[name] = contents(of: fixture.directory + "/" + name) }
    return files
  }

  @Test(arguments: [
    "UPDATE credential SET rp_tag = (SELECT rp_tag FROM credential WHERE sequence = 4) WHERE sequence = 2",
    "UPDATE credential SET rp_tag = zeroblob(32) WHERE sequence = 2",
    "UPDATE credential SET user_tag = zeroblob(32) WHERE sequence = 2",
    "UPDATE credential SET user_tag = x'' WHERE sequence = 2",
    "UPDATE credential SET discoverable = 0 WHERE sequence = 2",
    "UPDATE credential SET protection = 2 WHERE sequence = 2",
    "UPDATE credential SET protection = 3 WHERE sequence = 2",
    "UPDATE credential SET id = x'00' WHERE sequence = 2",
    "UPDATE credential SET sequence = 9 WHERE sequence = 2",
    "UPDATE credential SET record = x'' WHERE sequence = 2",
    "UPDATE credential SET record = zeroblob(12) WHERE sequence = 2",
    "UPDATE credential SET record = zeroblob(28) WHERE sequence = 2",
    "UPDATE credential SET record = zeroblob(600) WHERE sequence = 2",
    "UPDATE credential SET record = substr(record, 1, length(record) - 1) WHERE sequence = 2",
    "UPDATE credential SET record = CAST(record || x'00' AS BLOB) WHERE sequence = 2",
    "UPDATE credential SET record = (SELECT record FROM credential WHERE sequence = 4) WHERE sequence = 2",
  ])
  func aChangedRowIsRefusedAlone(_ change: String) async throws {
    try await fill()
    try fixture.alter(change)
    let store = try await fixture.unlocked()
    for id in [sample(2).id, [0]] { #expect(try await store.credential(id: id) == nil) }
    let found = try await store.discoverableCredentials(relyingPartyID: "example.com")
    #expect(found == [sample(3), sample(1)])
    #expect(
      try await store.discoverableCredentials(relyingPartyID: "example.org") == [
        sample(100, relyingParty: "example.org")
      ])
    #expect(try await store.discoverableCredentials(relyingPartyID: "example.com", verified: false) == found)
    let others = [sample(1), sample(3), sample(100, relyingParty: "example.org")]
    #expect(try await store.allCredentials() == others)
    #expect(try await store.relyingParties() == ["example.com": "Example", "example.org": "Example"])
    // It is as if it were not there, and stays for whoever looks into it.
    #expect(try await !store.update(sample(2)))
    #expect(try await store.remove(id: sample(2).id) == nil)
    #expect(try await store.count() == 4)
    #expect(try await store.changes() == 4)
    #expect(Set(fixture.log.all).count == fixture.log.all.count, "each is named once")
    _ = try await store.insert(sample(5))
    #expect(try await store.credential(id: sample(5).id) == sample(5))
  }

  /// Whoever writes to the file cannot make a hidden credential show itself.
  @Test(arguments: [1, 2]) func protectionCannotBeLowered(_ protection: Int) async throws {
    let store = try await fixture.unlocked()
    _ = try await store.insert(sample(1, protection: .userVerificationRequired))
    await store.close()
    try fixture.alter("UPDATE credential SET protection = \(protection)")
    let again = try await fixture.unlocked()
    for verified in [true, false] {
      #expect(try await again.discoverableCredentials(relyingPartyID: "example.com", verified: verified).isEmpty)
    }
    #expect(try await again.credential(id: sample(1).id) == nil)
    #expect(fixture.log.all.count == 1)
  }

  @Test func aDamagedRowDoesNotHideItsRelyingParty() async throws {
    try await fill()
    let store = try await fixture.unlocked()
    var renamed = sample(4)
    renamed.relyingPartyName = "Newest"
    _ = try await store.insert(renamed)
    #expect(try await store.relyingParties() == ["example.com": "Newest", "example.org": "Example"])
    await store.close()
    // The newest, then all of one: a party with nothing that can be used does not hide the other.
    try fixture.alter("UPDATE credential SET record = zeroblob(100) WHERE sequence = 5")
    let second = try await fixture.unlocked()
    #expect(try await second.relyingParties() == ["example.com": "Example", "example.org": "Example"])
    await second.close()
    for (damaged, left) in [("<> 4", "example.org"), ("= 4", "example.com")] {
      let whole = try #require(contents(of: fixture.file))
      try fixture.alter("UPDATE credential SET record = zeroblob(100) WHERE sequence \(damaged)")
      let third = try await fixture.unlocked()
      #expect(try await third.relyingParties() == [left: "Example"])
      await third.close()
      try overwrite(fixture.file, with: whole)
    }
  }

  @Test func swappedRecordsAreRefusedAndNamed() async throws {
    try await fill()
    try fixture.alter(
      "CREATE TEMP TABLE t AS SELECT * FROM credential",
      "UPDATE credential SET record = (SELECT record FROM t WHERE t.sequence = 3 - credential.sequence) WHERE sequence < 3"
    )
    let store = try await fixture.unlocked()
    #expect(try await store.discoverableCredentials(relyingPartyID: "example.com") == [sample(3)])
    #expect(fixture.log.all.count == 2)
    #expect(fixture.log.all.allSatisfy { $0.contains("cannot be used: its seal is broken") })
    #expect(fixture.log.all.contains { $0.contains(sample(1).id.hex) })
  }

  @Test func everyBitOfARecordCounts() async throws {
    try await fill(1)
    let sealed = try {
      var connection = try Connection(opening: fixture.file, mode: .existing)
      var select = try connection.prepare("SELECT record FROM credential WHERE sequence = 1")
      return try #require(try select.first { $0.bytes(0) })
    }()
    for bit in stride(from: 0, to: sealed.count * 8, by: 41) {
      var changed = sealed
      changed[bit / 8] ^= 1 << (bit % 8)
      try fixture.alter("UPDATE credential SET record = x'\(changed.hex)' WHERE sequence = 1")
      let store = try await fixture.unlocked()
      #expect(try await store.credential(id: sample(1).id) == nil)
      await store.close()
    }
    try fixture.alter("UPDATE credential SET record = x'\(sealed.hex)' WHERE sequence = 1")
    let store = try await fixture.unlocked()
    #expect(try await store.credential(id: sample(1).id) == sample(1))
  }

  @Test func theGreatestSequenceNumberIsNoTrap() async throws {
    try await fill()
    try fixture.alter("UPDATE credential SET sequence = 9223372036854775807 WHERE sequence = 2")
    let store = try await fixture.unlocked()
    await #expect(throws: StoreError.self) { try await store.insert(sample(5)) }
    #expect(try await store.credential(id: sample(1).id) == sample(1))
  }

  @Test func aForeignDatabaseIsLeftAlone() async throws {
    try await fill()
    try fixture.alter("PRAGMA application_id = 7")
    let text = try await refusal()
    #expect(text.contains("another program"))
    #expect(text.contains("move it away"))
  }

  @Test func aTextFileIsLeftAlone() async throws {
    try await fill()
    try overwrite(fixture.file, with: Array(String(repeating: "This is no database.\n", count: 500).utf8))
    #expect(try await refusal().contains("file is not a database"))
  }

  @Test func aNewerFileIsLeftAlone() async throws {
    try await fill()
    try fixture.alter("PRAGMA user_version = 3")
    #expect(try await refusal().contains("written by a newer Countersign (format 3"))
  }

  /// What builds before the first release made, and the same number over today's tables.
  @Test(arguments: [true, false]) func aPreviewsFileIsLeftAlone(_ isGenuine: Bool) async throws {
    try await fill()
    if isGenuine {
      #expect(unlink(fixture.file) == 0)
      try overwrite(fixture.file, with: [])
      try fixture.alter(
        "CREATE TABLE device (slot INTEGER PRIMARY KEY CHECK (slot = 1), record BLOB NOT NULL) STRICT",
        "CREATE TABLE credential (sequence INTEGER PRIMARY KEY, id BLOB NOT NULL, rp_tag BLOB NOT NULL, "
          + "user_tag BLOB NOT NULL, discoverable INTEGER NOT NULL CHECK (discoverable IN (0, 1)), "
          + "record BLOB NOT NULL) STRICT",
        "CREATE UNIQUE INDEX credential_id ON credential (id)",
        "CREATE INDEX credential_rp ON credential (rp_tag, sequence) WHERE discoverable = 1",
        "CREATE UNIQUE INDEX credential_user ON credential (user_tag) WHERE discoverable = 1",
        "INSERT INTO device VALUES (1, x'01')",
        "INSERT INTO credential VALUES (1, x'01', x'02', x'03', 1, x'04')", "PRAGMA application_id = 0x4353676E")
    }
    try fixture.alter("PRAGMA user_version = 1")
    let text = try await refusal()
    #expect(text.hasPrefix("\(fixture.file) was made by a preview of Countersign before format 2: it has been left"))
    #expect(text.contains("move \(fixture.directory) away and enrol again, or go back to the older build"))
  }

  @Test func aProtectionThatDoesNotExistIsDamage() async throws {
    try await fill()
    try fixture.alter("PRAGMA ignore_check_constraints = ON", "UPDATE credential SET protection = 4 WHERE sequence = 2")
    #expect(try await refusal().contains("damaged (CHECK constraint failed in credential)"))
  }

  @Test(arguments: [
    "PRAGMA user_version = 0", "CREATE TABLE more (a)", "DROP INDEX credential_user", "DROP TABLE device",
    "DROP INDEX credential_open", "DROP INDEX credential_order", "DROP TABLE sealed", "DROP TABLE tally",
    "CREATE TRIGGER t AFTER INSERT ON credential BEGIN DELETE FROM device; END",
    "ALTER TABLE credential ADD COLUMN disabled INTEGER",
  ])
  func anotherSchemaIsLeftAlone(_ change: String) async throws {
    try await fill()
    try fixture.alter(change)
    #expect(try await refusal().contains("damaged"))
  }

  @Test func anEmptyFileIsDamaged() async throws {
    try await fill()
    try overwrite(fixture.file, with: [])
    #expect(try await refusal().contains("is damaged (it is empty"))
  }

  @Test func aJournalWithoutItsFileIsLeftAlone() async throws {
    try await fill()
    #expect(unlink(fixture.file) == 0)
    try overwrite(fixture.file + "-journal", with: [1, 2, 3])
    #expect(try await refusal().contains("put the file back"))
    #expect(contents(of: fixture.file + "-journal") == [1, 2, 3])
  }

  @Test func aFolderInItsPlace() async throws {
    let store = try fixture.store()
    #expect(mkdir(fixture.file, 0o700) == 0)
    await #expect(throws: StoreError.self) { try await store.open() }
  }

  @Test func everyTruncationIsSeen() async throws {
    try await fill(40)
    let whole = try #require(contents(of: fixture.file))
    for length in stride(from: 1, to: whole.count, by: 1021) {
      try overwrite(fixture.file, with: Array(whole.prefix(length)))
      let text = try await refusal()
      #expect(text.contains("damaged"), "\(length) of \(whole.count): \(text)")
    }
    try overwrite(fixture.file, with: whole)
    let store = try await fixture.unlocked()
    #expect(try await store.count() == 41)
  }

  @Test func randomDamageNeverGivesAWrongAnswer() async throws {
    var random = SeededGenerator()
    print("DamageTests.randomDamageNeverGivesAWrongAnswer: seed \(random.seed)")
    try await fill(20)
    let first = try await fixture.unlocked()
    try await first.save(settings(1))
    await first.close()
    let whole = try #require(contents(of: fixture.file))
    let good = (1...20).map { sample($0) } + [sample(100, relyingParty: "example.org")]
    for _ in 0..<150 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        bytes[place] = UInt8.random(in: 0...255, using: &random)
      }
      try overwrite(fixture.file, with: bytes)
      let store = try fixture.store()
      do throws(StoreError) {
        try await store.unlock(with: try secretOrStop())
        let found = try await store.discoverableCredentials(relyingPartyID: "example.com")
        #expect(found.allSatisfy(good.contains))
        for credential in good {
          let one = try await store.credential(id: credential.id)
          #expect(one == nil || one == credential)
        }
        #expect(try await store.allCredentials().allSatisfy(good.contains))
        #expect(Set(["example.com", "example.org"]).isSuperset(of: try await store.relyingParties().keys))
        #expect(try await store.settings() == settings(1), "never as if there were none")
        _ = try await store.insert(sample(50))
      } catch {
        #expect(!message(error).isEmpty)
      }
      await store.close()
    }
  }

  private func secretOrStop() throws(StoreError) -> DeviceSecret {
    do {
      return try deviceSecret()
    } catch {
      throw .unavailable("\(error)")
    }
  }
}
