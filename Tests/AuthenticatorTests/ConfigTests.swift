import AuditLog
import Authenticator
import CBOR
import CTAP
import Policy
import TestSupport
import Testing
import WebAuthn

/// authenticatorConfig (CTAP 2.1 section 6.11).
@Suite struct ConfigTests {
  private func configure(
    _ harness: Harness, _ subcommand: UInt8, _ parameters: CBORMap? = nil, pin: String = PINPlatform.pin
  ) async throws -> UInt8 {
    let token = try await PINPlatform(harness).token(.authenticatorConfiguration, pin: pin)
    return try await harness.send(0x0d, token.config(subcommand, parameters)).status
  }

  private func length(_ harness: Harness) async throws -> CBORValue? {
    try await harness.send(4).body[0x0d]
  }

  @Test(arguments: PINUVAuthProtocol.allCases)
  func aProtectedAuthenticatorAsksForAToken(version: PINUVAuthProtocol) async throws {
    let harness = try await Harness.withPIN()
    let platform = PINPlatform(harness, Harness.alice, version)
    #expect(try await harness.send(0x0d, [1: 2]).status == Status.puatRequired)
    let wrong = try await platform.token([.credentialManagement, .largeBlobWrite])
    #expect(try await harness.send(0x0d, wrong.config(2)).status == Status.pinAuthInvalid)
    let token = try await platform.token(.authenticatorConfiguration)
    let right = token.config(3, [1: 6])
    #expect(try await harness.send(0x0d, right.with([(3, nil)])).status == Status.missingParameter)
    #expect(try await harness.send(0x0d, right.with([(3, 3)])).status == Status.invalidParameter)
    #expect(try await harness.send(0x0d, right.with([(2, .map([1: 7]))])).status == Status.pinAuthInvalid)
    #expect(try await harness.send(0x0d, right.with([(1, 2)])).status == Status.pinAuthInvalid)
    #expect(try await length(harness) == 4)
    let reply = await harness.engine.respond(to: [0x0d] + CanonicalCBOR.encode(.map(right)), from: Harness.alice)
    #expect(reply == [Status.ok], "nothing follows the status")
    #expect(try await length(harness) == 6)
    #expect(try await length(try harness.restarted()) == 6)
    #expect(harness.audit.records.last?.detail == "config.setMinPINLength")
    #expect(harness.audit.records.last?.outcome == .allowed)
  }

  @Test func subcommandsThatAreNotServed() async throws {
    let harness = try await Harness.withPIN()
    for subcommand in [0, 1, 4, 0xff, 1000] as [CBORValue] {
      #expect(try await harness.send(0x0d, [1: subcommand]).status == Status.invalidSubcommand)
    }
    #expect(try await harness.send(0x0d, [2: .map([1: 6])]).status == Status.missingParameter)
  }

  @Test func itConcernsEveryRelyingParty() async throws {
    let harness = try Harness()
    #expect(try await harness.send(0x0d, [1: 2]).status == Status.operationDenied)
    #expect(harness.audit.records.last?.detail == "config.toggleAlwaysUv")
  }

  @Test func enterpriseAttestation() async throws {
    let harness = try await Harness.withPIN(isEnterprise: true)
    #expect(try await harness.send(4).body.map(4)["ep"] == false)
    #expect(try await harness.send(4).body[0x1f] == .array([1, 2, 3]))
    for value in [1, 2, 3] as [CBORValue] {
      let request = Harness.creation().with([(10, value)])
      #expect(try await harness.send(1, request).status == Status.invalidParameter, "not enabled")
    }
    for _ in 0..<2 {
      #expect(try await configure(harness, 1) == Status.ok, "twice is no mistake")
      #expect(try await harness.send(4).body.map(4)["ep"] == true)
    }
    #expect(try await harness.send(1, Harness.creation().with([(10, 0)])).status == Status.invalidOption)
    #expect(try await harness.send(1, Harness.creation().with([(10, 3)])).status == Status.invalidOption)
    for value in [1, 2] as [CBORValue] {
      let (status, body) = try await harness.send(1, Harness.creation().with([(10, value)]))
      #expect(status == Status.ok)
      #expect(body[4] == nil, "without certificates there is none to tell of")
    }
    #expect(try await harness.send(7).status == Status.ok)
    #expect(try await harness.send(4).body.map(4)["ep"] == false)
  }

  @Test(
    arguments: [
      (nil, Status.ok, 4), (4, Status.ok, 4), (3, Status.pinPolicyViolation, 4), (0, Status.pinPolicyViolation, 4),
      (63, Status.ok, 63), (64, Status.pinPolicyViolation, 4), (Int64.max, Status.pinPolicyViolation, 4),
    ] as [(Int64?, UInt8, Int64)])
  func theMinimumOnlyGrows(wanted: Int64?, expected: UInt8, length: Int64) async throws {
    let harness = try await Harness.withPIN()
    let parameters = CBORMap().with([(1, wanted.map(CBORValue.integer))])
    #expect(try await configure(harness, 3, parameters) == expected)
    #expect(try await self.length(harness) == .integer(length))
  }

  @Test func aShorterPINMustBeChanged() async throws {
    let harness = try Harness(rules: [try Harness.anything()])
    let platform = PINPlatform(harness)
    #expect(try await platform.setPIN("éüöä") == Status.ok)
    #expect(try await configure(harness, 3, [1: 4], pin: "éüöä") == Status.ok)
    #expect(try await harness.send(4).body[0x0c] == false, "four code points are four")
    #expect(try await configure(harness, 3, [1: 5], pin: "éüöä") == Status.ok)
    #expect(try await harness.send(4).body[0x0c] == true)
    #expect(try await platform.changePIN("éüöä", "öäüé") == Status.pinPolicyViolation)
    #expect(try await platform.changePIN("éüöä", "12345") == Status.ok)
    #expect(try await harness.send(4).body[0x0c] == false)
  }

  @Test func forcingAChangeNeedsAPIN() async throws {
    let harness = try Harness(rules: [try Harness.anything()])
    #expect(try await harness.send(0x0d, [1: 3, 2: .map([3: true])]).status == Status.pinNotSet)
    #expect(try await harness.send(0x0d, [1: 3, 2: .map([3: false])]).status == Status.ok)
    #expect(try await harness.send(0x0d, [1: 3, 2: .map([1: 8])]).status == Status.ok)
    #expect(try await harness.send(4).body[0x0c] == false)
    #expect(try await PINPlatform(harness).setPIN("1234567") == Status.pinPolicyViolation)
    #expect(try await PINPlatform(harness).setPIN("12345678") == Status.ok)
  }

  @Test func whoMayLearnTheMinimum() async throws {
    let harness = try await Harness.withPIN()
    func output(_ relyingPartyID: String) async throws -> CBORMap? {
      let request = Harness.creation(relyingPartyID).with([(6, .map(["minPinLength": true]))])
      return try await harness.send(1, request).body.authenticatorData().extensions
    }
    #expect(try await output("example.com") == nil)
    #expect(try await configure(harness, 3, [1: 4, 2: .array(["example.com", "example.org"])]) == Status.ok)
    #expect(try await output("example.com") == ["minPinLength": 4])
    #expect(try await output("example.net") == nil)
    let without = Harness.creation().with([(6, .map(["minPinLength": false]))])
    #expect(try await harness.send(1, without).body.authenticatorData().extensions == nil)

    let many: [CBORValue] = (0..<17).map { .text("a\($0).example") }
    #expect(try await configure(harness, 3, [2: .array(many)]) == Status.keyStoreFull)
    #expect(try await output("example.com") == ["minPinLength": 4], "nothing has changed")
    #expect(try await configure(harness, 3, [2: .array(Array(many.prefix(16)))]) == Status.ok)
    #expect(try await output("example.com") == nil, "the new list replaces the old one")
    #expect(try await output("a3.example") == ["minPinLength": 4])
    #expect(try await configure(harness, 3, [2: .array([])]) == Status.ok)
    #expect(try await output("a3.example") == nil)
  }

  @Test func failingPortsLeaveTheOldSettings() async throws {
    let harness = try await Harness.withPIN()
    let token = try await PINPlatform(harness).token(.authenticatorConfiguration)
    let request = token.config(3, [1: 6])
    for (plan, status) in [
      (harness.audit.faults, Status.auditUnavailable), (harness.store.faults, Status.storageUnavailable),
    ] {
      plan.fail(at: 1)
      #expect(try await harness.send(0x0d, request).status == status)
      plan.fail(at: nil)
      #expect(try await length(harness) == 4)
      #expect(try await length(try harness.restarted()) == 4)
    }
    harness.keys.faults.fail(at: 1)
    #expect(try await harness.send(0x0d, request).status == Status.tpmUnavailable)
    harness.keys.faults.fail(at: nil)
    #expect(try await length(harness) == 6, "stored, and completed when it is read next")
    #expect(try await PINPlatform(harness).attempt("1234") == Status.pinInvalid, "to be changed first")
    #expect(try await PINPlatform(harness).retries() == 8)
  }
}
