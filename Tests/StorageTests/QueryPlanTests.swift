import Authenticator
import CFaultyFiles
import Database
import TestSupport
import Testing
import WebAuthn

@testable import Storage

/// No look-up passes over rows that it does not want, however many there are.
@Suite struct QueryPlanTests {
  private static let plans: [(query: String, plan: String)] = [
    (CredentialQueries.byID, "SEARCH credential USING INDEX credential_id (id=?)"),
    (CredentialQueries.byIDOfRelyingParty, "SEARCH credential USING INDEX credential_id (id=?)"),
    (CredentialQueries.byUser, "SEARCH credential USING INDEX credential_user (user_tag=?)"),
    (
      CredentialQueries.discoverable(verified: true),
      "SEARCH credential USING INDEX credential_rp (rp_tag=? AND sequence<?)"
    ),
    (
      CredentialQueries.discoverable(verified: false),
      "SEARCH credential USING INDEX credential_open (rp_tag=? AND sequence<?)"
    ),
    (
      CredentialQueries.discoverableCount(verified: true),
      "SEARCH credential USING COVERING INDEX credential_rp (rp_tag=? AND sequence<?)"
    ),
    (
      CredentialQueries.discoverableCount(verified: false),
      "SEARCH credential USING COVERING INDEX credential_open (rp_tag=? AND sequence<?)"
    ),
    (
      CredentialQueries.nextRelyingParty,
      "SEARCH row USING COVERING INDEX credential_order (sequence>?); CORRELATED SCALAR SUBQUERY 1; "
        + "SEARCH older USING COVERING INDEX credential_rp (rp_tag=? AND sequence<?)"
    ),
    (CredentialQueries.next, "SEARCH credential USING INTEGER PRIMARY KEY (rowid>?)"),
    (CredentialQueries.greatestSequence, "SEARCH credential"),
  ]

  @Test(arguments: [1, 2000]) func everyLookUpGoesByAnIndex(_ count: Int) async throws {
    let fixture = Fixture()
    let store = try await fixture.unlocked()
    for number in 1...count {
      _ = try await store.insert(sample(number, protection: CredentialProtection.allCases[number % 3]))
    }
    await store.close()
    var connection = try Connection(opening: fixture.file, mode: .existing)
    for (query, plan) in QueryPlanTests.plans {
      var explanation = try connection.prepare("EXPLAIN QUERY PLAN \(query)")
      var steps: [String] = []
      try explanation.query { row in
        steps.append(row.text(3))
        return true
      }
      #expect(steps.joined(separator: "; ") == plan, "\(query)")
    }
  }

  /// The one that anybody may see lies behind thousands that only verified users see; so does another relying party.
  @Test func whatIsPassedOverIsNotRead() async throws {
    let fixture = Fixture()
    let system = "reads"
    try #require(cs_faulty_register(system) == 0)
    let count = 3000
    let first = try await fixture.unlocked()
    _ = try await first.insert(sample(1))
    _ = try await first.insert(sample(2, relyingParty: "example.org"))
    for number in 3...count { _ = try await first.insert(sample(number, protection: .userVerificationRequired)) }
    await first.close()

    let store = try await fixture.unlocked(fileSystem: system)
    let hash = hash("example.com")
    func expectFewPages(_ place: SourceLocation = #_sourceLocation, _ body: () async throws -> Void) async throws {
      cs_faulty_disarm(system)
      try await body()
      // The path through a tree and the row, of some thousand pages; what is in memory is not read at all.
      #expect(cs_faulty_reads(system) < 12, sourceLocation: place)
    }
    try await expectFewPages {
      let found = try await store.discoverableCredential(relyingPartyIDHash: hash, olderThan: nil, verified: false)
      #expect(found?.credential == sample(1))
    }
    try await expectFewPages {
      let found = try await store.discoverableCount(relyingPartyIDHash: hash, olderThan: nil, verified: false)
      #expect(found == 1)
    }
    try await expectFewPages {
      let found = try await store.discoverableCredential(relyingPartyIDHash: hash, olderThan: nil, verified: true)
      #expect(found?.credential == sample(count, protection: .userVerificationRequired))
    }
    try await expectFewPages {
      let found = try await store.credential(id: sample(1).id)
      #expect(found == sample(1))
    }
    var position: Int64?
    for _ in 0..<2 {
      try await expectFewPages { position = try await store.relyingParty(after: position)?.position }
      #expect(position != nil)
    }
    // This one passes every row that is left, in an index that holds a hundred of them on a page.
    cs_faulty_disarm(system)
    #expect(try await store.relyingParty(after: position) == nil)
    #expect(cs_faulty_reads(system) < 120)
    try await expectFewPages {
      let found = try await store.credential(after: 1500)
      #expect(found != nil)
    }
  }
}
