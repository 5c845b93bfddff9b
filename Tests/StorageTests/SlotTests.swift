import Authenticator
import Glibc
import Storage
import TestSupport
import Testing

/// Settings and large blobs: sealed beside the credentials.
@Suite struct SlotTests {
  let fixture = Fixture()

  @Test func theyComeBackAfterAReopening() async throws {
    let first = try await fixture.unlocked()
    #expect(try await first.settings() == nil)
    #expect(try await first.largeBlobs() == nil)
    try await first.save(settings(1))
    try await first.save(largeBlobs: largeBlobs(1))
    #expect(try await first.settings() == settings(1))
    await first.close()

    let second = try await fixture.unlocked()
    #expect(try await second.settings() == settings(1))
    #expect(try await second.largeBlobs() == largeBlobs(1))
    let plain = AuthenticatorSettings(deviceIdentifier: [UInt8](repeating: 9, count: 16))
    try await second.save(plain)
    try await second.save(largeBlobs: [])
    await second.close()

    let third = try await fixture.unlocked()
    #expect(try await third.settings() == plain)
    #expect(try await third.largeBlobs() == [], "empty is not absent")
    #expect(fixture.log.all.isEmpty)
  }

  @Test func largerBlobsAreRefused() async throws {
    let store = try await fixture.unlocked()
    try await store.save(largeBlobs: [1])
    let error = await #expect(throws: StoreError.self) {
      try await store.save(largeBlobs: largeBlobs(1, count: CredentialDatabase.maximumLargeBlobs + 1))
    }
    guard case .full = error else { throw Unexpected(message(error)) }
    #expect(CredentialDatabase.maximumLargeBlobs == 256 * 1024)
    #expect(try await store.largeBlobs() == [1])
  }

  @Test func whatCouldNotBeReadIsNotSaved() async throws {
    let store = try await fixture.unlocked()
    try await store.save(settings(1))
    var pin = settings(2)
    pin.pin?.verifier = [1]
    var length = settings(2)
    length.minPINLength = -1
    var nonce = settings(2)
    nonce.persistentTokenNonce = []
    for wrong in [pin, length, nonce] {
      await #expect(throws: StoreError.self) { try await store.save(wrong) }
      await #expect(throws: StoreError.self) {
        try await store.reset(to: try deviceSecret(2), record: [2], settings: wrong)
      }
    }
    #expect(try await store.settings() == settings(1))
  }

  @Test func aResetTakesTheBlobsAndSealsAnew() async throws {
    let first = try await fixture.unlocked()
    try await first.saveDeviceRecord([1])
    try await first.save(settings(1))
    try await first.save(largeBlobs: largeBlobs(1))
    _ = try await first.insert(sample(1))
    try await first.reset(to: try deviceSecret(2), record: [2], settings: settings(2))
    #expect(try await first.settings() == settings(2))
    #expect(try await first.largeBlobs() == nil)
    await first.close()

    let second = try await fixture.unlocked(2)
    #expect(try await second.settings() == settings(2))
    #expect(try await second.largeBlobs() == nil)
    #expect(try await second.count() == 0)
    try await second.save(largeBlobs: [7])
    await second.close()

    // Nothing of it opens under the secret that has gone.
    let old = try await fixture.unlocked(1)
    await expectDamaged("settings") { _ = try await old.settings() }
    await expectDamaged("largeBlobs") { _ = try await old.largeBlobs() }
  }

  @Test(arguments: [
    "UPDATE sealed SET record = x''",
    "UPDATE sealed SET record = zeroblob(12)",
    "UPDATE sealed SET record = zeroblob(28)",
    "UPDATE sealed SET record = zeroblob(600)",
    "UPDATE sealed SET record = substr(record, 1, length(record) - 1)",
    "UPDATE sealed SET record = CAST(record || x'00' AS BLOB)",
    "UPDATE sealed SET record = (SELECT record FROM credential)",
    "UPDATE sealed AS s SET record = (SELECT record FROM temp.t WHERE t.slot <> s.slot)",
  ])
  func damageIsNeverTakenForAbsence(_ change: String) async throws {
    let store = try await fixture.unlocked()
    _ = try await store.insert(sample(1))
    try await store.save(settings(1))
    try await store.save(largeBlobs: [1, 2, 3])
    await store.close()
    try fixture.alter("CREATE TEMP TABLE t AS SELECT * FROM sealed", change)

    let again = try await fixture.unlocked()
    for _ in 0..<2 {
      await expectDamaged("settings") { _ = try await again.settings() }
      await expectDamaged("largeBlobs") { _ = try await again.largeBlobs() }
    }
    // The credentials are there all the same, and what is saved anew is good.
    #expect(try await again.allCredentials() == [sample(1)])
    try await again.save(settings(2))
    try await again.save(largeBlobs: [4])
    #expect(try await again.settings() == settings(2))
    #expect(try await again.largeBlobs() == [4])
  }

  @Test func everyBitOfASlotCounts() async throws {
    let store = try await fixture.unlocked()
    try await store.save(settings(1))
    await store.close()
    let sealed = try #require(try fixture.rows("SELECT record FROM sealed").first)
    for bit in stride(from: 0, to: sealed.count * 8, by: 29) {
      var changed = sealed
      changed[bit / 8] ^= 1 << (bit % 8)
      try fixture.alter("UPDATE sealed SET record = x'\(changed.hex)'")
      let store = try await fixture.unlocked()
      await expectDamaged("settings") { _ = try await store.settings() }
      await store.close()
    }
    try fixture.alter("UPDATE sealed SET record = x'\(sealed.hex)'")
    let again = try await fixture.unlocked()
    #expect(try await again.settings() == settings(1))
  }

  @Test func theFileTellsNothing() async throws {
    let store = try await fixture.unlocked()
    var secret = settings(1)
    secret.minPINLengthRelyingParties = ["secret-party.example"]
    try await store.save(secret)
    try await store.save(largeBlobs: Array("secret-blob".utf8))
    await store.close()
    for name in names(in: fixture.directory) {
      #expect(!find("secret-", in: contents(of: fixture.directory + "/" + name) ?? []))
    }
  }

  /// What was there lives on nowhere in the file.
  @Test func oldContentsAreOverwritten() async throws {
    let store = try await fixture.unlocked()
    try await store.save(settings(1))
    try await store.save(largeBlobs: largeBlobs(1))
    await store.close()
    let sealed = try fixture.rows("SELECT record FROM sealed")
    #expect(sealed.count == 2)
    let again = try await fixture.unlocked()
    try await again.save(settings(1))
    try await again.save(largeBlobs: largeBlobs(2, count: 100))
    await again.close()
    let file = try #require(contents(of: fixture.file))
    for old in sealed {
      for start in stride(from: 0, to: old.count - 40, by: 4096) {
        #expect(!find(Array(old[start..<start + 40]), in: file))
      }
    }
  }

  private func expectDamaged(_ slot: String, _ body: () async throws -> Void) async {
    let error = await #expect(throws: StoreError.self) { try await body() }
    guard case .unavailable(let text) = error else {
      Issue.record("\(message(error))")
      return
    }
    #expect(text.hasPrefix("\(fixture.file) is damaged (its entry \(slot) cannot be used: its seal is broken"))
    #expect(text.contains("put a good copy in its place"))
  }
}
