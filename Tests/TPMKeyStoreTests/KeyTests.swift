import Authenticator
import Crypto
import Policy
import TPM
import TestSupport
import Testing
import WebAuthn

@testable import TPMKeyStore

@Suite struct KeyTests {
  @Test func everyAlgorithmSigns() async throws {
    let bench = try await Bench.start()
    #expect(bench.store.algorithms == [.es256, .es384, .rs256])
    for algorithm in bench.store.algorithms {
      let (key, publicKey) = try await bench.key("\(algorithm)", algorithm)
      #expect(key.algorithm == algorithm && publicKey.algorithm == algorithm)
      for round in UInt8(0)..<3 {
        let signature = try await bench.sign([round], with: key)
        #expect(isValid(signature, [round], by: publicKey))
        #expect(!isValid(signature, [round, 1], by: publicKey))
      }
    }
    await bench.store.stop()
  }

  @Test func theTPMTellsItsCondition() async throws {
    let bench = try await Bench.start()
    let before = bench.fixture.counts[Command.capability] ?? 0
    let condition = try await bench.store.condition()
    #expect(bench.fixture.counts[Command.capability] == before + 1)
    #expect(condition.maximumFailures > 0 && condition.lockoutCounter == 0 && !condition.isInLockout)
    #expect(!condition.isOwnerAuthorized && condition.transientSlots > 0 && condition.persistentSlots > 0)
    try execute("tpm2_changeauth", ["-T", bench.fixture.tcti, "-c", "owner", "secret"])
    #expect(try await bench.store.condition().isOwnerAuthorized)
    await bench.store.stop()
  }

  /// Symmetric, scheme and KDF NULL, and the attributes of DESIGN.md: byte for byte what verifiers see in `pubArea`.
  @Test func keysHaveThePublicAreaThatVerifiersDemand() async throws {
    let bench = try await Bench.start()
    let (key, publicKey) = try await bench.key()
    guard case .es256(let x, let y) = publicKey else { throw Unexpected() }
    let area = try #require(KeyBlob.decode(key.blob)).publicArea
    // ECC, SHA-256, attributes, no policy, NULL symmetric and scheme, P-256, NULL KDF, the point.
    let attributes: [UInt8] = [0x00, 0x04, 0x04, 0x72]
    let expected: [UInt8] =
      [0x00, 0x23, 0x00, 0x0B] + attributes + [0, 0] + [0x00, 0x10, 0x00, 0x10, 0x00, 0x03, 0x00, 0x10] + [0, 32]
      + x + [0, 32] + y
    #expect(area == expected)
    await bench.store.stop()
  }

  @Test func keysSurviveARestart() async throws {
    let bench = try await Bench.start()
    let (key, publicKey) = try await bench.key()
    await bench.store.stop()
    let again = try await Bench.start(bench.fixture, records: bench.records)
    #expect(bench.secret.copied == again.secret.copied)
    #expect(isValid(try await again.sign(with: key), [1, 2, 3], by: publicKey))
    await again.store.stop()
  }

  /// A record that was moved to another RP ID or credential ID cannot sign, and nothing of it stays loaded.
  @Test func aKeyIsBoundToItsRecord() async throws {
    let bench = try await Bench.start()
    let (key, _) = try await bench.key()
    for (name, relyingParty) in [("two", "example.com"), ("one", "example.org")] {
      let moved = binding(name, relyingParty: relyingParty)
      let thief = CredentialKey(algorithm: .es256, binding: moved, blob: key.blob)
      await #expect(throws: KeyStoreError.self) {
        try await bench.store.sign(
          digest: SHA256.hash([1]), with: thief, caller: caller(1),
          presence: presence(.authenticate, relyingParty: relyingParty))
      }
    }
    #expect(bench.store.status.loadedKeys == 0)
    #expect(try await !bench.sign(with: key).isEmpty)
    await bench.store.stop()
  }

  /// An error that does not say that the TPM was reset: that key is loaded again, once, and the others stay.
  @Test(arguments: [0x84, Response.badAuthorization]) func anErrorOfOneKeyLeavesTheOthersLoaded(code: UInt32)
    async throws
  {
    let bench = try await Bench.start()
    let (one, publicKey) = try await bench.key("one")
    let two = try await bench.key("two").key
    for key in [one, two] { _ = try await bench.sign(with: key) }
    bench.fixture.resetCounts()
    bench.fixture.answer(Command.sign, with: [code])
    #expect(isValid(try await bench.sign(with: one), [1, 2, 3], by: publicKey))
    _ = try await bench.sign(with: two)
    #expect(bench.fixture.commands == [Command.sign, Command.flush, Command.load, Command.sign, Command.sign])
    bench.fixture.resetCounts()
    bench.fixture.answer(Command.sign, with: [code, code])
    await #expect(throws: KeyStoreError.self) { try await bench.sign(with: one) }
    #expect(bench.store.status.loadedKeys == 1)
    _ = try await bench.sign(with: two)
    #expect(
      bench.fixture.commands
        == [Command.sign, Command.flush, Command.load, Command.sign, Command.flush, Command.sign])
    await bench.store.stop()
  }

  /// A handle that stands for nothing: so do the others.
  @Test(arguments: [0x18B, Response.referenceH0]) func aStaleHandleUnloadsEverything(code: UInt32) async throws {
    let bench = try await Bench.start()
    let (one, publicKey) = try await bench.key("one")
    let two = try await bench.key("two").key
    for key in [one, two] { _ = try await bench.sign(with: key) }
    bench.fixture.answer(Command.sign, with: [code])
    #expect(isValid(try await bench.sign(with: one), [1, 2, 3], by: publicKey))
    #expect(bench.store.status.loadedKeys == 1)
    _ = try await bench.sign(with: two)
    await bench.store.stop()
  }

  @Test func presenceForAnotherRelyingPartyOrOperationSignsNothing() async throws {
    let bench = try await Bench.start()
    let (key, _) = try await bench.key()
    bench.fixture.resetCounts()
    await #expect(throws: KeyStoreError.self) {
      try await bench.store.sign(
        digest: SHA256.hash([1]), with: key, caller: caller(1),
        presence: presence(.authenticate, relyingParty: "example.org"))
    }
    await #expect(throws: KeyStoreError.self) {
      try await bench.store.sign(digest: SHA256.hash([1]), with: key, caller: caller(1), presence: presence(.reset))
    }
    await #expect(throws: KeyStoreError.self) {
      try await bench.store.createKey(
        .es256, binding: binding("x"), caller: caller(1), presence: presence(.authenticate))
    }
    await #expect(throws: KeyStoreError.self) {
      try await bench.store.makeDeviceSecret(caller: caller(1), presence: presence(.register))
    }
    #expect(bench.fixture.counts.isEmpty)
    await bench.store.stop()
  }

  /// A damaged blob is refused by us or by the TPM; whatever it says, the store works on.
  @Test func damagedKeysAreRefused() async throws {
    var random = SeededGenerator()
    print("seed \(random.seed)")
    let bench = try await Bench.start()
    let (key, publicKey) = try await bench.key()
    for _ in 0..<200 {
      var blob = key.blob
      switch UInt8.random(in: 0..<3, using: &random) {
      case 0: blob.removeLast(Int.random(in: 1...blob.count, using: &random))
      case 1: blob += random.bytes(Int.random(in: 1...9, using: &random))
      default: blob[Int.random(in: blob.indices, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
      }
      let damaged = CredentialKey(algorithm: .es256, binding: key.binding, blob: blob)
      await #expect(throws: KeyStoreError.self) { try await bench.sign(with: damaged) }
    }
    #expect(isValid(try await bench.sign(with: key), [1, 2, 3], by: publicKey))
    await bench.store.stop()
  }

  @Test func digestsOfTheWrongLengthAreRefused() async throws {
    let bench = try await Bench.start()
    let (key, _) = try await bench.key()
    for count in [0, 20, 31, 33, 48, 64, 1000] {
      await #expect(throws: KeyStoreError.self) {
        try await bench.store.sign(
          digest: [UInt8](repeating: 1, count: count), with: key, caller: caller(1), presence: presence(.authenticate))
      }
    }
    await bench.store.stop()
  }

  @Test func aTPMWithoutAnAlgorithmSaysSo() async throws {
    let fixture = try SoftwareTPMFixture()
    // TPM2_TestParms refuses RSA-2048 (TPM_RC_VALUE, parameter 1).
    fixture.answer(0x18A, with: [0x1C4])
    let bench = try await Bench.start(fixture)
    #expect(bench.store.algorithms == [.es256, .es384])
    await #expect(throws: KeyStoreError.unsupportedAlgorithm) { try await bench.key("rsa", .rs256) }
    await bench.store.stop()
  }

  /// Reset: keys of the old secret no longer sign, and the record opens the new secret.
  @Test func aNewDeviceSecretEndsTheOldKeys() async throws {
    let bench = try await Bench.start()
    let (key, _) = try await bench.key()
    let (secret, record) = try await bench.store.makeDeviceSecret(caller: caller(1), presence: presence(.reset))
    #expect(secret.copied != bench.secret.copied)
    // Not yet in use.
    #expect(try await !bench.sign(with: key).isEmpty)
    try await bench.records.saveDeviceRecord(record)
    await bench.store.adopt(secret)
    try await eventually { bench.store.status.loadedKeys == 0 }
    await #expect(throws: KeyStoreError.self) { try await bench.sign(with: key) }
    let (fresh, publicKey) = try await bench.key("fresh")
    #expect(isValid(try await bench.sign(with: fresh), [1, 2, 3], by: publicKey))
    await bench.store.stop()

    let again = try await Bench.start(bench.fixture, records: bench.records)
    #expect(again.secret.copied == secret.copied)
    #expect(isValid(try await again.sign(with: fresh), [1, 2, 3], by: publicKey))
    await again.store.stop()
  }

  @Test func evictedKeysAreLoadedAgain() async throws {
    let bench = try await Bench.start()
    let (key, publicKey) = try await bench.key()
    _ = try await bench.sign(with: key)
    #expect(bench.store.status.loadedKeys == 1)
    await bench.store.evict([binding("other")])
    #expect(bench.store.status.loadedKeys == 1)
    await bench.store.evict([key.binding])
    try await eventually { bench.store.status.loadedKeys == 0 }
    #expect(isValid(try await bench.sign(with: key), [1, 2, 3], by: publicKey))
    await bench.store.stop()
  }
}

struct Unexpected: Error {}
