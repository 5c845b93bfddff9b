import AuditLog
import Authenticator
import CBOR
import CTAPHID
import Crypto
import Glibc
import Platform
import Policy
import TPMKeyStore
import TestSupport
import Testing
import Transports
import WebAuthn

@testable import Daemon

@Suite struct AdminServiceTests {
  @Test(arguments: [0, 7] as [UInt32]) func status(of user: UInt32) async throws {
    let fixture = try AdminFixture()
    let answer = try #require(await fixture.ask(#"{"request":"status"}"#, user: user))
    #expect(answer.hasPrefix(#"{"auditLog":{"lostCopies":0,"path":"/a","records":1,"#), "\(answer)")
  }

  @Test func auditLog() async throws {
    let fixture = try AdminFixture()
    #expect(
      await fixture.ask(#"{"request":"audit"}"#, user: 0)
        == #"{"anchor":3,"firstAnchor":2,"hash":"00","path":"/a","publicKey":"AA","sequence":7}"#)
  }

  @Test(arguments: ["", "x", "[]", "{}", "\"status\"", #"{"request":1}"#, #"{"request":"status""#])
  func badJSON(_ text: String) async throws {
    let fixture = try AdminFixture()
    #expect(await fixture.ask(text) == #"{"error":"the request is not a JSON object with the key \"request\""}"#)
  }

  /// To the kernel it is root.
  @Test func rootOfAContainerIsNoOperator() async throws {
    let fixture = try AdminFixture()
    let status = Array(#"{"request":"status"}"#.utf8)
    let container = String(repeating: "4f", count: 32)
    let refused = try #require(await fixture.ask(status, .administration, user: 0, container: container))
    #expect(String(decoding: refused, as: UTF8.self).contains("none in a container"))
    #expect(await fixture.ask([0x04], .cbor, user: 0, container: container) == [0x30])
    #expect(await fixture.ask([0x04], .cbor, user: 0)?.first == 0)
  }

  @Test func theOperatorsSocketHasAFolderOfItsOwn() {
    func place(_ folders: String?) -> String {
      Listener.place(ofOperatorsSocket: "/run/countersign/admin.sock", in: folders)
    }
    #expect(place("/run/countersign:/run/countersign-admin") == "/run/countersign-admin/admin.sock")
    for folders in [nil, "", "/run/countersign", "/run/other-admin", "/run/countersign-admin/x"] {
      #expect(place(folders) == "/run/countersign/admin.sock")
    }
    #expect(Listener.place(ofOperatorsSocket: "@admin", in: "@admin-admin") == "@admin")
  }

  @Test func strangersAndUnknownRequests() async throws {
    let fixture = try AdminFixture()
    let refusal =
      #"{"error":"only root, the service's own user and the group of adminGroup may ask, and none in a container"}"#
    let id = Base64URL.encode(try await fixture.insert(1, isWhole: true))
    for request in ["status", "credentials", "credential", "deleteCredential"] {
      #expect(await fixture.ask(#"{"request":"\#(request)","id":"\#(id)"}"#, user: 8) == refusal)
    }
    #expect(await fixture.ask("x", user: 8) == refusal)
    #expect(await fixture.ask([0x04], .cbor, user: 8) == [0x30])
    #expect(await fixture.ask(#"{"request":"dance"}"#)?.hasPrefix(#"{"error":"unknown request"#) ?? false)
    #expect(await fixture.store.credentials.count == 1)
  }

  @Test(arguments: [([9, 1], true), ([1, 9], true), ([1, 2], false)] as [([UInt32], Bool)])
  func theGroupMayAsk(_ groups: [UInt32], _ isLetIn: Bool) async throws {
    let request = Array(#"{"request":"status"}"#.utf8)
    for group: UInt32? in [9, nil] {
      let fixture = try AdminFixture(group: group)
      let answer = try #require(await fixture.ask(request, .administration, user: 8, groups: groups))
      #expect(answer.starts(with: Array(#"{"error""#.utf8)) != (isLetIn && group != nil))
    }
  }

  // MARK: Credentials

  private static let whole = """
    {"algorithm":"ES256","createdAt":"2023-11-14T22:13:20.123Z","credProtect":"userVerificationRequired",\
    "discoverable":true,"extensions":["credBlob","hmac-secret","largeBlobKey"],"id":"AQEBAQEBAQEBAQEBAQEBAQ",\
    "publicKey":"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQECAgICAgICAgICAgICAg\
    ICAgICAgICAgICAgICAgICAg","rpId":"example.com",\
    "rpIdHash":"a379a6f6eeafb9a55e378c118034e2751e682fab9f2d30ab13d2125586ce1947","rpName":"Example",\
    "signatureCounter":"global","state":"enabled","userDisplayName":"The runner","userHandle":"AQ","userName":"runner"}
    """

  private static let ofU2F = """
    {"algorithm":"ES256","createdAt":"2023-11-14T22:13:20.123Z","credProtect":"userVerificationOptional",\
    "discoverable":false,"extensions":[],"id":"AgICAgICAgICAgICAgICAg",\
    "publicKey":"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQECAgICAgICAgICAgICAg\
    ICAgICAgICAgICAgICAgICAg",\
    "rpIdHash":"a379a6f6eeafb9a55e378c118034e2751e682fab9f2d30ab13d2125586ce1947","signatureCounter":"global",\
    "state":"enabled","userHandle":""}
    """

  @Test func listsAndShows() async throws {
    let fixture = try AdminFixture()
    #expect(await fixture.ask(#"{"request":"credentials"}"#) == #"{"credentials":[]}"#)
    let ids = [try await fixture.insert(1, isWhole: true), try await fixture.insert(2, isWhole: false)]
    #expect(
      await fixture.ask(#"{"request":"credentials"}"#) == #"{"credentials":[\#(Self.whole),\#(Self.ofU2F)]}"#)
    for (id, text) in zip(ids, [Self.whole, Self.ofU2F]) {
      let request = #"{"request":"credential","id":"\#(Base64URL.encode(id))"}"#
      #expect(await fixture.ask(request) == #"{"credential":\#(text)}"#)
    }
    #expect(await fixture.ask(#"{"request":"credential","id":"AAAAAAAAAAAAAAAAAAAAAA"}"#) == "{}")
  }

  @Test func pagesOfFifty() async throws {
    let fixture = try AdminFixture()
    for number in UInt8(1)...101 { _ = try await fixture.insert(number, isWhole: false) }
    var counts: [Int] = []
    var next: Substring? = "0"
    while let after = next {
      let answer = try #require(await fixture.ask(#"{"request":"credentials","after":\#(after)}"#))
      counts.append(answer.split(separator: #""rpIdHash""#).count - 1)
      next = answer.split(separator: #""next":"#).dropFirst().first?.dropLast()
    }
    #expect(counts == [50, 50, 1])
  }

  @Test func deletes() async throws {
    let fixture = try AdminFixture()
    let id = try await fixture.insert(1, isWhole: true)
    let request = #"{"request":"deleteCredential","id":"\#(Base64URL.encode(id))"}"#
    fixture.audit.faults.fail(at: 1)
    #expect(await fixture.ask(request)?.hasPrefix(#"{"error":"#) ?? false, "not without a record")
    fixture.audit.faults.fail(at: nil)
    #expect(await fixture.store.credentials.count == 1)
    #expect(await fixture.ask(request) == #"{"credential":\#(Self.whole)}"#)
    #expect(await fixture.store.credentials.isEmpty)
    #expect(await fixture.keys.evicted.map(\.credentialID) == [id])
    #expect(await fixture.ask(request) == "{}")
  }

  @Test func disablesEnablesAndRenames() async throws {
    let fixture = try AdminFixture()
    let id = Base64URL.encode(try await fixture.insert(1, isWhole: true))
    for (request, state) in [("disable", "disabled"), ("enable", "enabled")] {
      let answer = await fixture.ask(#"{"request":"\#(request)Credential","id":"\#(id)"}"#)
      #expect(answer?.contains(#""state":"\#(state)""#) ?? false)
      #expect(await fixture.store.credentials.first?.state.rawValue == state)
    }
    let rename = #"{"request":"renameCredential","id":"\#(id)","label":"old runner"}"#
    #expect(await fixture.ask(rename)?.contains(#""label":"old runner""#) ?? false)
    #expect(await fixture.ask(#"{"request":"renameCredential","id":"\#(id)"}"#)?.hasPrefix(#"{"error""#) ?? false)
    #expect(await fixture.ask(#"{"request":"disableCredential","id":"AAAAAAAAAAAAAAAAAAAAAA"}"#) == "{}")
  }

  @Test(arguments: [
    #"{"request":"credential"}"#, #"{"request":"disableCredential"}"#, #"{"request":"deleteCredential"}"#,
    #"{"request":"credential","id":"+/"}"#,
    #"{"request":"deleteCredential","id":"A"}"#,
  ])
  func identifiersThatAreNone(_ request: String) async throws {
    let fixture = try AdminFixture()
    #expect(await fixture.ask(request) == #"{"error":"the key \"id\" is not a credential ID in base64url"}"#)
  }

  @Test func aFailingStoreIsSaid() async throws {
    let fixture = try AdminFixture()
    fixture.store.faults.fail(at: 1)
    #expect(await fixture.ask(#"{"request":"credentials"}"#) == #"{"error":"injected"}"#)
  }

  // MARK: Grants

  private static func job(
    claims: [String: String] = [:], rpIds: [String] = [], signatures: Int = 1_000_000
  ) -> String {
    let members = claims.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\"\($0.value)\"" }.joined(separator: ",")
    let parties = rpIds.map { "\"\($0)\"" }.joined(separator: ",")
    return """
      {"request":"grantCreate","grant":{"rule":"job","uid":\(geteuid()),"ttl":60,"claims":{\(members)},\
      "rpIds":[\(parties)],"signatures":\(signatures)}}
      """
  }

  private static func jobs() throws -> AdminFixture {
    try AdminFixture(rules: [
      Rule(
        name: "job", callers: [CallerPattern(user: 1000)], relyingParties: [try RelyingPartyPattern("*")],
        operations: [.authenticate])
    ])
  }

  /// What a grant was used up for can still be thrown away.
  @Test(.timeLimit(.minutes(2))) func revokesWhatIsUsedUp() async throws {
    var terms = Terms()
    terms.requiresGrant = true
    let fixture = try AdminFixture(rules: [
      Rule(
        name: "job", callers: [CallerPattern(user: geteuid())], relyingParties: [try RelyingPartyPattern("*")],
        operations: [.register], terms: terms)
    ])
    let made = try #require(await fixture.ask(Self.job(signatures: 2)))
    let id = made.split(separator: #""id":""#)[1].prefix(32)
    let path = made.split(separator: #""socket":""#)[1].prefix { $0 != "\"" }
    let creation: CBORMap = [
      1: .bytes([UInt8](repeating: 1, count: 32)), 2: .map(["id": "example.com"]), 3: .map(["id": .bytes([1])]),
      4: .array([.map(["alg": -7, "type": "public-key"])]),
    ]
    let request = Frame(.cbor, [1] + CanonicalCBOR.encode(.map(creation))).encoded()

    await fixture.keys.hold()
    let slow = try UnixSocket.connect(to: String(path))
    try UnixSocket.setTimeLimits(slow, milliseconds: 60_000)
    try slow.sendAll(request)
    await fixture.keys.arrival()
    fixture.keys.faults.fail(at: 1)
    let last = try UnixSocket.connect(to: String(path))
    try UnixSocket.setTimeLimits(last, milliseconds: 60_000)
    try last.sendAll(request)
    // CTAP2 has no status for a TPM that is away: whatever it is, it is an answer.
    #expect(try last.read(upTo: 5).count == 5)
    #expect(await fixture.ask(#"{"request":"grantList"}"#)?.contains(id) ?? false)
    let revocation = #"{"request":"grantRevoke","id":"\#(id)"}"#
    #expect(await fixture.ask(revocation) == #"{"revoked":true}"#)
    await fixture.keys.letGo()
    var answers: [UInt8] = []
    while let more = try? slow.read(upTo: 4096), !more.isEmpty { answers += more }
    // Nothing but keepalives: 4 bytes of length, 1 of command, 1 of status.
    #expect(answers.count.isMultiple(of: 6) && answers.count < 256, "\(answers)")
    #expect(await fixture.store.credentials.isEmpty)
    #expect(await fixture.ask(revocation) == #"{"revoked":false}"#)
  }

  /// Each record repeats them, and has a length beyond which it would be none.
  @Test func claimsThatFitNoRecord() async throws {
    let fixture = try Self.jobs()
    var claims: [String: String] = [:]
    for number in 0..<15 { claims["c\(number)"] = String(repeating: "x", count: 1024) }
    #expect(await fixture.ask(Self.job(claims: claims))?.hasPrefix(#"{"claims":"#) ?? false)
    // As they stand in the log, where each of these takes six bytes.
    claims["c0"] = String(repeating: "é", count: 512)
    let answer = await fixture.ask(Self.job(claims: claims))
    #expect(
      answer == #"{"error":"the claims of a grant have together at most 16384 bytes in a record","kind":"usage"}"#)
  }

  @Test func pagesOfGrants() async throws {
    let fixture = try Self.jobs()
    let claims = ["repository": String(repeating: "r", count: 1000)]
    var made: [String] = []
    for _ in 0..<130 {
      let answer = try #require(await fixture.ask(Self.job(claims: claims, rpIds: ["example.com"])))
      made.append(String(answer.split(separator: #""id":""#)[1].prefix(32)))
    }
    var listed: [String] = []
    var pages = 0
    var next: Substring? = "0"
    while let after = next {
      let answer = try #require(await fixture.ask(#"{"request":"grantList","after":\#(after)}"#))
      #expect(answer.utf8.count < 65_535)
      listed += answer.split(separator: #""id":""#).dropFirst().map { String($0.prefix(32)) }
      next = answer.split(separator: #""next":"#).dropFirst().first?.dropLast()
      pages += 1
    }
    #expect(listed == made && pages > 1)
    let parties = (0..<65).map { "a\($0).example.com" }
    #expect(
      await fixture.ask(Self.job(rpIds: parties))
        == #"{"error":"a grant names at most 64 relying parties","kind":"usage"}"#)
  }

  // MARK: What the operator does besides

  @Test func enrolmentIsRecordedBeforeItIsDone() async throws {
    let runner = try await EnrolledRunner()
    let fixture = try AdminFixture(attestation: runner.keeper)
    let request = #"{"request":"attestationRequest"}"#
    fixture.audit.faults.fail(at: 1)
    #expect(await fixture.ask(request) == #"{"error":"write: injected"}"#)
    fixture.audit.faults.fail(at: nil)
    #expect(try entries(ofDirectory: runner.folder.path) == [], "not without a record")
    #expect(await fixture.ask(request)?.hasPrefix(#"{"file":"#) ?? false)
    for name in ["Respond", "Install"] {
      #expect(
        await fixture.ask(#"{"request":"attestation\#(name)","file":"{}"}"#)?.hasPrefix(#"{"error":"#) ?? false)
    }
    let records = fixture.audit.records
    #expect(records.allSatisfy { $0.operation == .attestation && $0.user == 7 })
    // What was not done is said after.
    #expect(records.map(\.outcome) == [.done, .done, .failed, .done, .failed])
    #expect(
      records.map(\.detail) == [
        "attestation.request", "attestation.respond", "attestation.respond", "attestation.install",
        "attestation.install",
      ])
    #expect(records.map { $0.reason != nil } == [false, false, true, false, true])
    await runner.keys.stop()
  }

  @Test func whoEndsAGrantIsRecorded() async throws {
    let rule = Rule(
      name: "deploy", callers: [CallerPattern(user: 7)], relyingParties: [try RelyingPartyPattern("*")],
      operations: [.authenticate])
    let fixture = try AdminFixture(rules: [rule])
    let made = try #require(
      await fixture.ask(#"{"request":"grantCreate","grant":{"rule":"deploy","uid":7,"ttl":60}}"#))
    let id = try JSONCursor(try JSONValue.parse(Array(made.utf8))).required("id", "text").string()
    #expect(await fixture.ask(#"{"request":"grantRevoke","id":"\#(id)"}"#) == #"{"revoked":true}"#)
    #expect(await fixture.ask(#"{"request":"grantRevoke","id":"\#(id)"}"#) == #"{"revoked":false}"#)
    let records = fixture.audit.records
    #expect(records.map(\.detail) == ["grant.create", "grant.end"])
    #expect(records.allSatisfy { $0.user == 7 && $0.outcome == .done && $0.grant == id })
  }

  /// Whoever is not known on this machine is nobody.
  @Test(arguments: [
    (#""user":"nobody-of-that-name""#, #"there is no user \"nobody-of-that-name\" here"#),
    (#""groups":["0","none-of-that-name"]"#, #"there is no group \"none-of-that-name\" here"#),
    (#""user":"4294967295""#, #"there is no user \"4294967295\" here"#),
    (
      #""executableSHA256":"garbage""#,
      #"\"garbage\" is no SHA-256: write the 64 hexadecimal digits of sha256sum(1)"#
    ),
  ])
  func explainsNobodyInvented(_ member: String, _ problem: String) async throws {
    let fixture = try AdminFixture()
    let question = #"{"request":"explain","rpId":"example.com",\#(member)}"#
    #expect(await fixture.ask(question) == #"{"error":"\#(problem)","kind":"usage"}"#)
  }

  // MARK: CTAP2 as the operator

  @Test func managesAndSignsNothing() async throws {
    let everything = Rule(
      name: "all", callers: [CallerPattern(user: 7)], relyingParties: [try RelyingPartyPattern("*")],
      operations: Set(Policy.Operation.allCases))
    let fixture = try AdminFixture(rules: [everything])
    #expect(await fixture.ask([0x04], .cbor)?.first == 0)
    #expect(await fixture.ask([0x0b], .cbor) == [0])
    // authenticatorConfig, toggleAlwaysUv.
    #expect(await fixture.ask([0x0d, 0xa1, 0x01, 0x02], .cbor) == [0])
    #expect(await fixture.ask([0x07], .cbor) == [0x27], "no reset")
    // getAssertion of "example.com", without a credential.
    let hash = [UInt8](repeating: 0, count: 32)
    let request =
      [0x02, 0xa3, 0x01, 0x6b] + Array("example.com".utf8) + [0x02, 0x58, 0x20] + hash
      + [0x05, 0xa1, 0x62, 0x75, 0x70, 0xf4]
    #expect(await fixture.ask(request, .cbor) == [0x27], "no signature")
    #expect(await fixture.ask([0x00, 0x03, 0x00, 0x00], .message) == nil, "no U2F")
    #expect(await fixture.ask([], .wink) == nil)
  }
}
