import AuditLog
import Authenticator
import CBOR
import CTAP
import Crypto
import Policy
import TestSupport
import Testing
import WebAuthn

/// authenticatorCredentialManagement (CTAP 2.1 section 6.8).
@Suite struct CredentialManagementTests {
  /// Three accounts: two of one relying party, one of another.
  private struct Accounts {
    let harness: Harness
    let first: [UInt8]
    let second: [UInt8]
    let other: [UInt8]
  }

  private func accounts(_ rules: [Rule]? = nil) async throws -> Accounts {
    let harness = try Harness(rules: rules ?? [try Harness.anything(users: [1000, 1001])])
    let accounts = Accounts(
      harness: harness, first: try await harness.register(user: [1], discoverable: true),
      second: try await harness.register(user: [2], discoverable: true),
      other: try await harness.register("example.org", user: [3], discoverable: true))
    try await harness.register("example.net")  // not discoverable, so nothing to manage
    try #require(try await PINPlatform(harness).setPIN() == Status.ok)
    return accounts
  }

  private static func hash(_ relyingPartyID: String) -> [UInt8] { SHA256.hash(Array(relyingPartyID.utf8)) }
  private static func descriptor(_ id: [UInt8]) -> CBORValue { .map(["id": .bytes(id), "type": "public-key"]) }

  private func enumeration(_ token: Token, _ relyingPartyID: String = "example.com") -> CBORMap {
    token.management(4, [1: .bytes(Self.hash(relyingPartyID))])
  }

  private func identifier(_ body: CBORMap) throws -> [UInt8] { try body.map(7).bytes("id") }

  @Test(arguments: PINUVAuthProtocol.allCases)
  func countsAndNames(version: PINUVAuthProtocol) async throws {
    let accounts = try await accounts()
    let harness = accounts.harness
    let token = try await PINPlatform(harness, Harness.alice, version).token(.credentialManagement)
    let (status, metadata) = try await harness.send(0x0a, token.management(1))
    #expect(status == Status.ok && metadata == [1: 3, 2: 996])

    var names: [CBORValue] = []
    var (_, body) = try await harness.send(0x0a, token.management(2))
    #expect(body[5] == 2)
    for _ in 0..<2 {
      let relyingParty = try body.map(3)
      #expect(relyingParty["name"] == "Example")
      names.append(try #require(relyingParty["id"]))
      guard case .text(let id)? = relyingParty["id"] else { throw HarnessError.malformed }
      #expect(body[4] == .bytes(Self.hash(id)))
      body = try await harness.send(0x0a, [1: 3]).body
      #expect(body[5] == nil, "the number is in the first only")
    }
    #expect(Set(names.map { "\($0)" }) == Set(["example.com", "example.org"].map { "\(CBORValue.text($0))" }))
    #expect(try await harness.send(0x0a, [1: 3]).status == Status.notAllowed)
  }

  @Test func walksOverTheAccountsOfARelyingParty() async throws {
    let accounts = try await accounts()
    let harness = accounts.harness
    let token = try await PINPlatform(harness).token(.credentialManagement)
    let (status, body) = try await harness.send(0x0a, enumeration(token))
    #expect(status == Status.ok)
    #expect(try identifier(body) == accounts.second)
    #expect(body[6] == .map(["id": .bytes([2]), "name": "runner", "displayName": "The runner"]))
    #expect(try body.map(8)[3] == -7, "COSE_Key")
    #expect(body[9] == 2)
    #expect(body[10] == 1)
    #expect(body[11] == nil)
    let (_, next) = try await harness.send(0x0a, [1: 5])
    #expect(try identifier(next) == accounts.first)
    #expect(next[9] == nil)
    #expect(try await harness.send(0x0a, [1: 5]).status == Status.notAllowed)
    #expect(try await harness.send(0x0a, enumeration(token, "example.org")).body[9] == 1)
    #expect(try await harness.send(0x0a, [1: 5]).status == Status.notAllowed, "there is one only")
  }

  @Test func whatThereIsNotToEnumerate() async throws {
    let harness = try await Harness.withPIN()
    let token = try await PINPlatform(harness).token(.credentialManagement)
    #expect(try await harness.send(0x0a, token.management(1)).body == [1: 0, 2: 1000])
    #expect(try await harness.send(0x0a, token.management(2)).status == Status.noCredentials)
    #expect(try await harness.send(0x0a, enumeration(token)).status == Status.noCredentials)
    #expect(try await harness.send(0x0a, token.management(4)).status == Status.missingParameter)
    #expect(try await harness.send(0x0a, token.management(4, [1: .bytes([1])])).status == Status.noCredentials)
    for subcommand in [3, 5] as [CBORValue] {
      #expect(try await harness.send(0x0a, [1: subcommand]).status == Status.notAllowed)
    }
    for subcommand in [0, 8, 0xff] as [CBORValue] {
      #expect(try await harness.send(0x0a, [1: subcommand]).status == Status.invalidSubcommand)
    }
    #expect(try await harness.send(0x0a, [:]).status == Status.missingParameter)
  }

  @Test func anEnumerationIsOneChannelsAndEndsWithEveryOtherCommand() async throws {
    let accounts = try await accounts()
    let harness = accounts.harness
    let token = try await PINPlatform(harness).token(.credentialManagement)
    for (begin, next) in [(token.management(2), 3), (enumeration(token), 5)] as [(CBORMap, CBORValue)] {
      func begun() async throws { #expect(try await harness.send(0x0a, begin).status == Status.ok) }
      try await begun()
      let stranger = Harness.caller(connection: 2)
      #expect(try await harness.send(0x0a, [1: next], from: stranger).status == Status.notAllowed)
      #expect(try await harness.send(0x0a, [1: next]).status == Status.ok)

      for command in [0x04, 0x0b] as [UInt8] {
        try await begun()
        _ = try await harness.send(command)
        #expect(try await harness.send(0x0a, [1: next]).status == Status.notAllowed)
      }
      try await begun()
      _ = await harness.engine.respond(toU2F: U2FRequest.version.encoded(), from: Harness.alice)
      #expect(try await harness.send(0x0a, [1: next]).status == Status.notAllowed)
      try await begun()
      #expect(try await harness.send(0x0a, [1: next == 3 ? 5 : 3]).status == Status.notAllowed, "another kind")
      #expect(try await harness.send(0x0a, [1: next]).status == Status.notAllowed)

      try await begun()
      harness.time.advance(by: .seconds(30))
      #expect(try await harness.send(0x0a, [1: next]).status == Status.ok)
      try await begun()
      harness.time.advance(by: .milliseconds(30_001))
      #expect(try await harness.send(0x0a, [1: next]).status == Status.notAllowed)
    }
  }

  @Test func everythingAsksForATokenWithThePermission() async throws {
    let accounts = try await accounts()
    let harness = accounts.harness
    let wrong = try await PINPlatform(harness).token([.authenticatorConfiguration, .largeBlobWrite])
    func requests(_ token: Token) -> [CBORMap] {
      [
        token.management(1), token.management(2), enumeration(token),
        token.management(6, [2: Self.descriptor(accounts.first)]),
        token.management(7, [2: Self.descriptor(accounts.first), 3: .map(["id": .bytes([1])])]),
      ]
    }
    for request in requests(wrong) {
      #expect(try await harness.send(0x0a, request).status == Status.pinAuthInvalid)
      #expect(try await harness.send(0x0a, request.with([(4, nil)])).status == Status.puatRequired)
      #expect(try await harness.send(0x0a, request.with([(3, nil)])).status == Status.missingParameter)
      #expect(try await harness.send(0x0a, request.with([(3, 3)])).status == Status.invalidParameter)
    }
    let token = try await PINPlatform(harness).token(.credentialManagement)
    for request in requests(token) {
      var code = try request.bytes(4)
      code[0] ^= 1
      #expect(try await harness.send(0x0a, request.with([(4, .bytes(code))])).status == Status.pinAuthInvalid)
    }
    let moved = token.management(6, [2: Self.descriptor(accounts.first)])
      .with([(2, .map([2: Self.descriptor(accounts.second)]))])
    #expect(try await harness.send(0x0a, moved).status == Status.pinAuthInvalid, "the code covers the parameters")
    #expect(await harness.store.credentials.count == 4)
  }

  @Test func aTokenOfOneRelyingParty() async throws {
    let accounts = try await accounts()
    let harness = accounts.harness
    let token = try await PINPlatform(harness).token(.credentialManagement, "example.com")
    #expect(try await harness.send(0x0a, token.management(1)).status == Status.pinAuthInvalid)
    #expect(try await harness.send(0x0a, token.management(2)).status == Status.pinAuthInvalid)
    #expect(try await harness.send(0x0a, enumeration(token, "example.org")).status == Status.pinAuthInvalid)
    #expect(try await harness.send(0x0a, enumeration(token)).status == Status.ok)
    let others = token.management(6, [2: Self.descriptor(accounts.other)])
    #expect(try await harness.send(0x0a, others).status == Status.pinAuthInvalid)
    #expect(
      try await harness.send(0x0a, token.management(6, [2: Self.descriptor(accounts.first)])).status == Status.ok)
  }

  @Test func theRulesHideWhatTheCallerMayNotManage() async throws {
    let accounts = try await accounts([
      try Harness.anything(), try Harness.rule("some", ["example.org"], [.manage, .authenticate], user: 1001),
    ])
    let harness = accounts.harness
    let bob = Harness.caller(connection: 2, user: 1001)
    let token = try await PINPlatform(harness, bob).token(.credentialManagement)
    #expect(try await harness.send(0x0a, token.management(1), from: bob).body == [1: 1, 2: 996])
    let (_, first) = try await harness.send(0x0a, token.management(2), from: bob)
    #expect(first[5] == 1)
    #expect(try first.map(3)["id"] == "example.org")
    #expect(try await harness.send(0x0a, [1: 3], from: bob).status == Status.notAllowed)
    #expect(try await harness.send(0x0a, enumeration(token), from: bob).status == Status.noCredentials)
    for subcommand in [6, 7] as [UInt8] {
      let request = token.management(
        subcommand, [2: Self.descriptor(accounts.first), 3: .map(["id": .bytes([1])])])
      #expect(try await harness.send(0x0a, request, from: bob).status == Status.noCredentials)
    }
    #expect(try await harness.send(0x0a, enumeration(token, "example.org"), from: bob).status == Status.ok)
    let deletion = token.management(6, [2: Self.descriptor(accounts.other)])
    #expect(try await harness.send(0x0a, deletion, from: bob).status == Status.ok)
    #expect(harness.audit.records.last?.rule == "some")

    await harness.engine.replaceJudge(try RuleBook([try Harness.rule("none", ["*"], [.authenticate], user: 1001)]))
    #expect(try await harness.send(0x0a, token.management(1), from: bob).status == Status.operationDenied)
    #expect(harness.audit.records.last?.outcome == .refused)
  }

  @Test func theRulesAreAskedAgainInAWalk() async throws {
    let accounts = try await accounts()
    let harness = accounts.harness
    let token = try await PINPlatform(harness).token(.credentialManagement)
    #expect(try await harness.send(0x0a, enumeration(token)).status == Status.ok)
    await harness.engine.replaceJudge(try RuleBook([try Harness.rule("some", ["example.org"], [.manage])]))
    #expect(try await harness.send(0x0a, [1: 5]).status == Status.notAllowed)
  }

  /// Whether an attacker can tell what is there by how long the answer takes: a record is flushed to the disk.
  @Test func whatIsNotThereIsRecordedAsWhatIsRefused() async throws {
    let accounts = try await accounts([
      try Harness.anything(), try Harness.rule("mine", ["mine.example", "*.example.edu"], [.manage], user: 1001),
    ])
    let harness = accounts.harness
    let bob = Harness.caller(connection: 2, user: 1001)
    let token = try await PINPlatform(harness, bob).token(.credentialManagement)
    func records(_ request: CBORMap) async throws -> Int {
      let before = harness.audit.records.count
      #expect(try await harness.send(0x0a, request, from: bob).status == Status.noCredentials)
      return harness.audit.records.count - before
    }
    #expect(try await records(enumeration(token, "example.org")) == 1)
    #expect(try await records(enumeration(token, "absent.example")) == 1)
    #expect(try await records(enumeration(token, "mine.example")) == 0, "the caller may know")
    #expect(try await records(token.management(6, [2: Self.descriptor(accounts.other)])) == 1)
    let absent = Self.descriptor([UInt8](repeating: 7, count: accounts.other.count))
    #expect(try await records(token.management(6, [2: absent])) == 1)
  }

  /// The time of a look-up, and what it leaves in the store's memory, would tell a stranger what is here.
  @Test func whatTheCallerMayNotManageIsNotLookedUp() async throws {
    let accounts = try await accounts([
      try Harness.anything(), try Harness.rule("mine", ["mine.example", "*.example.edu"], [.manage], user: 1001),
    ])
    let harness = accounts.harness
    let creation = try await PINPlatform(harness).token(.makeCredential, "school.example.edu")
      .creation("school.example.edu", user: [4], [(7, .map(["rk": true]))])
    let school = try #require(
      try await harness.send(1, creation).body.authenticatorData().attestedCredential
    ).credentialID
    let bob = Harness.caller(connection: 2, user: 1001)
    let before = await harness.store.handedOut.count
    for bound in [nil, "mine.example", "example.org"] as [String?] {
      let token = try await PINPlatform(harness, bob).token(.credentialManagement, bound)
      let deletion = token.management(6, [2: Self.descriptor(accounts.other)])
      let requests = [
        enumeration(token, "example.org"), deletion,
        token.management(7, [2: Self.descriptor(accounts.other), 3: .map(["id": .bytes([3])])]),
      ]
      for request in requests {
        #expect(try await harness.send(0x0a, request, from: bob).status == Status.noCredentials)
        #expect(harness.audit.records.last?.outcome == .refused)
      }
    }
    #expect(await harness.store.handedOut.count == before)
    // A rule for a suffix knows its relying parties by their names.
    let token = try await PINPlatform(harness, bob).token(.credentialManagement)
    #expect(try await harness.send(0x0a, enumeration(token, "school.example.edu"), from: bob).body[9] == 1)
    let deletion = token.management(6, [2: Self.descriptor(school)])
    #expect(try await harness.send(0x0a, deletion, from: bob).status == Status.ok)
    #expect(Set(await harness.store.handedOut[before...]) == [school])
  }

  /// Nobody reads the answer any more, and connections that have ended are not limited in number.
  @Test(arguments: [1, 2] as [UInt8])
  func whoHasGoneIsNotCountedFor(subcommand: UInt8) async throws {
    let accounts = try await accounts()
    let harness = accounts.harness
    let token = try await PINPlatform(harness).token(.credentialManagement)
    let request = token.management(subcommand)
    let gone = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await harness.send(0x0a, request).status
    }
    #expect(try await gone.value == Status.keepaliveCancel)
    #expect(try await harness.send(0x0a, request).status == Status.ok)
  }

  // MARK: Changes

  @Test func deletes() async throws {
    let accounts = try await accounts()
    let harness = accounts.harness
    let token = try await PINPlatform(harness).token(.credentialManagement)
    let request = token.management(6, [2: Self.descriptor(accounts.first)])
    let reply = await harness.engine.respond(to: [0x0a] + CanonicalCBOR.encode(.map(request)), from: Harness.alice)
    #expect(reply == [Status.ok], "nothing follows the status")
    #expect(await harness.store.credentials.contains { $0.id == accounts.first } == false)
    #expect(await harness.keys.evicted.map(\.credentialID) == [accounts.first])
    let record = try #require(harness.audit.records.last)
    #expect(record.operation == .manage && record.detail == "credential.delete" && record.outcome == .allowed)
    #expect(record.credentialID == accounts.first && record.relyingPartyID == "example.com")
    #expect(
      try await harness.send(2, Harness.request(allow: [accounts.first])).status == Status.noCredentials)

    #expect(try await harness.send(0x0a, request).status == Status.noCredentials)
    #expect(try await harness.send(0x0a, token.management(6)).status == Status.missingParameter)
    let plain = try #require(await harness.store.credentials.first { !$0.isDiscoverable }).id
    let deletion = token.management(6, [2: Self.descriptor(plain)])
    #expect(try await harness.send(0x0a, deletion).status == Status.noCredentials)
  }

  @Test func updates() async throws {
    let accounts = try await accounts()
    let harness = accounts.harness
    let token = try await PINPlatform(harness).token(.credentialManagement)
    func update(_ user: CBORMap?) -> CBORMap {
      token.management(7, CBORMap().with([(2, Self.descriptor(accounts.first)), (3, user.map(CBORValue.map))]))
    }
    func stored() async throws -> Credential {
      try #require(await harness.store.credentials.first { $0.id == accounts.first })
    }
    let long = String(repeating: "n", count: 63) + "é"
    #expect(
      try await harness.send(0x0a, update(["id": .bytes([1]), "name": .text(long), "displayName": "New"])).status
        == Status.ok)
    #expect(try await stored().userName == String(repeating: "n", count: 63))
    #expect(try await stored().userDisplayName == "New")
    #expect(harness.audit.records.last?.detail == "credential.update")
    #expect(try await harness.send(0x0a, update(["id": .bytes([1]), "name": ""])).status == Status.ok)
    #expect(try await stored().userName == nil)
    #expect(try await stored().userDisplayName == nil, "what is not given is removed")
    #expect(try await harness.send(0x0a, update(["id": .bytes([9]), "name": "x"])).status == Status.invalidParameter)
    #expect(try await harness.send(0x0a, update(nil)).status == Status.missingParameter)
    let nothing = token.management(7, [2: Self.descriptor([9, 9]), 3: .map(["id": .bytes([1])])])
    #expect(try await harness.send(0x0a, nothing).status == Status.noCredentials)
    #expect(await harness.store.credentials.map(\.id).prefix(3) == [accounts.first, accounts.second, accounts.other])
  }

  @Test(arguments: [6, 7] as [UInt8])
  func failingPortsLeaveNothingHalfDone(subcommand: UInt8) async throws {
    let accounts = try await accounts()
    let harness = accounts.harness
    let before = await harness.store.credentials
    let token = try await PINPlatform(harness).token(.credentialManagement)
    let request = token.management(
      subcommand, [2: Self.descriptor(accounts.first), 3: .map(["id": .bytes([1]), "name": "other"])])
    for (plan, n, status) in [
      (harness.audit.faults, 1, Status.auditUnavailable), (harness.store.faults, 1, Status.storageUnavailable),
      (harness.store.faults, 2, Status.storageUnavailable),
    ] {
      plan.fail(at: n)
      #expect(try await harness.send(0x0a, request).status == status)
      plan.fail(at: nil)
      #expect(await harness.store.credentials == before)
    }
    #expect(harness.audit.records.last?.outcome == .failed, "the log does not say that it was done")
    #expect(await harness.keys.evicted.isEmpty)
    #expect(try await harness.send(0x0a, request).status == Status.ok)
  }
}
