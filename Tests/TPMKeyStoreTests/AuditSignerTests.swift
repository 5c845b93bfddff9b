import AuditLog
import Platform
import Policy
import TestSupport
import Testing

@testable import TPMKeyStore

/// The TPM as the one who signs the audit log.
@Suite struct AuditSignerTests {
  private let digest = (0..<32).map { UInt8($0) }

  @Test func aStatementIsOfTheTPM() async throws {
    let bench = try await Bench.start()
    let statement = try await bench.store.attest(digest)
    #expect(bench.store.auditKey.hasSigned(statement))
    let clock = try #require(AttestedClock(statement.attested))
    #expect(clock.extraData == digest)
    let next = try #require(AttestedClock(try await bench.store.attest(digest).attested))
    #expect(next.canFollow(clock))
    #expect(next.resetCount == clock.resetCount && next.restartCount == clock.restartCount)
    await bench.store.stop()
  }

  /// The values that the TPM hides behind a constant still grow.
  @Test func aResetOfTheTPMShows() async throws {
    let bench = try await Bench.start()
    let before = try #require(AttestedClock(try await bench.store.attest(digest).attested))
    try bench.fixture.reset()
    let after = try #require(AttestedClock(try await bench.store.attest(digest).attested))
    #expect(after.resetCount == before.resetCount &+ 1)
    #expect(after.canFollow(before) && !before.canFollow(after))
    await bench.store.stop()
  }

  @Test func theKeyAndTheAnchorStay() async throws {
    let bench = try await Bench.start()
    let first = try await bench.store.anchor()
    #expect(first == bench.store.auditKey.firstAnchor)
    #expect(try await bench.store.advanceAnchor() == first + 1)
    await bench.store.stop()
    let again = try await Bench.start(bench.fixture, records: bench.records)
    #expect(again.store.auditKey == bench.store.auditKey)
    #expect(try await again.store.anchor() == first + 1)
    #expect(again.store.auditKey.hasSigned(try await again.store.attest(digest)))
    await again.store.stop()
    let other = try await Bench.start(bench.fixture)
    #expect(other.store.auditKey.publicKey != bench.store.auditKey.publicKey)
    #expect(!bench.store.auditKey.hasSigned(try await other.store.attest(digest)))
    await other.store.stop()
  }

  /// A reset of the authenticator ends credentials, and not the log.
  @Test func theKeyOutlivesAReset() async throws {
    let bench = try await Bench.start()
    let (secret, record) = try await bench.store.makeDeviceSecret(caller: caller(1), presence: presence(.reset))
    try await bench.records.saveDeviceRecord(record)
    await bench.store.adopt(secret)
    #expect(bench.store.auditKey.hasSigned(try await bench.store.attest(digest)))
    await bench.store.stop()
    let again = try await Bench.start(bench.fixture, records: bench.records)
    #expect(again.store.auditKey == bench.store.auditKey)
    #expect(again.store.auditKey.hasSigned(try await again.store.attest(digest)))
    await again.store.stop()
  }

  @Test func aTPMThatIsAwayIsSaidAndComesBack() async throws {
    let bench = try await Bench.start()
    bench.fixture.powerOff()
    await #expect(throws: AuditError.self) { _ = try await bench.store.attest(digest) }
    await #expect(throws: AuditError.self) { _ = try await bench.store.anchor() }
    try bench.fixture.powerOn()
    while (try? await bench.store.attest(digest)) == nil { await Task.yield() }
    await bench.store.stop()
  }

  /// Three commands, and the jobs' keys have their places again.
  @Test func aStatementCostsThreeCommands() async throws {
    let bench = try await Bench.start()
    let (key, _) = try await bench.key()
    _ = try await bench.sign(with: key)
    bench.fixture.resetCounts()
    _ = try await bench.store.attest(digest)
    #expect(bench.fixture.commands == [Command.load, 0x158, Command.flush])
    bench.fixture.resetCounts()
    _ = try await bench.sign(with: key)
    #expect(bench.fixture.commands.count <= 2)
    await bench.store.stop()
  }

  /// Somebody else's index in its place.
  @Test func anAnchorThatWasRemovedIsRefused() async throws {
    let bench = try await Bench.start()
    await bench.store.stop()
    try bench.redefine(.auditAnchor) { _, _, _ in }
    try await expectRefusedStart(bench, "audit anchor", "somebody has removed it")
  }
}
