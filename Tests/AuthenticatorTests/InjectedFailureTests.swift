import AuditLog
import Authenticator
import CBOR
import CTAP
import Policy
import TestSupport
import Testing

/// The n-th call of each port fails, for every n: no signature leaves unaudited, nothing is half made, and the next
/// request works.
@Suite struct InjectedFailureTests {
  /// Runs `operation` with the n-th call of `plan` failing, for n from 1 until it is not reached.
  private func sweep(
    _ harness: Harness, _ plan: FaultPlan, _ allowed: Set<UInt8>, _ operation: () async throws -> UInt8
  ) async throws {
    for n in 1...50 {
      plan.fail(at: n)
      let before = harness.audit.records.filter { $0.outcome == .allowed && $0.signatureCounter != nil }.count
      let status = try await operation()
      let reached = plan.calls >= n
      plan.fail(at: nil)
      if !reached {
        #expect(status == Status.ok)
        return
      }
      #expect(status == Status.ok || allowed.contains(status), "call \(n): status \(status)")
      let after = harness.audit.records.filter { $0.outcome == .allowed && $0.signatureCounter != nil }.count
      if status == Status.ok { #expect(after > before, "call \(n): a signature left unaudited") }
    }
    Issue.record("the sweep never ended")
  }

  @Test func registration() async throws {
    let harness = try Harness()
    for (plan, status) in [
      (harness.keys.faults, Status.tpmUnavailable), (harness.store.faults, Status.storageUnavailable),
      (harness.audit.faults, Status.auditUnavailable),
    ] {
      var made = await harness.store.credentials.count
      try await sweep(harness, plan, [status]) {
        let reply = try await harness.send(1, Harness.creation()).status
        let now = await harness.store.credentials.count
        #expect(now == made + (reply == Status.ok ? 1 : 0), "a failed registration leaves nothing")
        made = now
        return reply
      }
    }
  }

  @Test func assertion() async throws {
    let harness = try Harness()
    let id = try await harness.register()
    for (plan, status) in [
      (harness.keys.faults, Status.tpmUnavailable), (harness.store.faults, Status.storageUnavailable),
      (harness.audit.faults, Status.auditUnavailable),
    ] {
      try await sweep(harness, plan, [status]) {
        try await harness.send(2, Harness.request(allow: [id])).status
      }
    }
  }

  @Test func reset() async throws {
    let harness = try Harness(rules: [try Harness.everything([.reset, .register, .authenticate])])
    for (plan, status) in [
      (harness.keys.faults, Status.tpmUnavailable), (harness.store.faults, Status.storageUnavailable),
      (harness.audit.faults, Status.auditUnavailable),
    ] {
      plan.fail(at: nil)
      try await harness.register()
      plan.fail(at: 1)
      #expect(try await harness.send(7).status == status)
      plan.fail(at: nil)
      #expect(await harness.store.credentials.count >= 1, "a failed reset removes nothing")
    }
  }

  // MARK: Every command

  enum Port: CaseIterable, Sendable {
    case keys
    /// The TPM's memory is written, and the answer is lost.
    case keysLate
    case store
    case audit
  }

  private func plan(_ port: Port, _ harness: Harness) -> FaultPlan {
    switch port {
    case .keys: harness.keys.faults
    case .keysLate: harness.keys.lateFaults
    case .store: harness.store.faults
    case .audit: harness.audit.faults
    }
  }

  private func fresh() throws -> Harness {
    try Harness(rules: [try Harness.anything()])
  }

  @Test func theScriptWorksWhereNothingFails() async throws {
    let script = CommandScript(try fresh())
    try await script.run()
    #expect(Set(script.statuses) == [Status.ok, Status.pinInvalid])
    #expect(script.statuses.filter { $0 == Status.pinInvalid }.count == 1)
    #expect(script.made.count == 3 && script.inDoubt.isEmpty && script.signatures.count == 9)
    try await expectWhole(script)
  }

  @Test(arguments: Port.allCases)
  func everyCallOnce(port: Port) async throws {
    for n in 1...500 {
      let script = CommandScript(try fresh())
      let plan = plan(port, script.harness)
      plan.fail(at: n)
      try await script.run()
      let isReached = plan.calls >= n
      plan.fail(at: nil)
      try await expectWhole(script, "call \(n) of \(port)")
      if !isReached { return }
    }
    Issue.record("the sweep never ended")
  }

  /// What holds whatever has failed, once the ports work again.
  private func expectWhole(_ script: CommandScript, _ comment: Comment = "nothing failed") async throws {
    let harness = script.harness
    let allowed = harness.audit.records.filter { $0.outcome == .allowed }
    for signature in script.signatures {
      let records = allowed.filter { $0.credentialID == signature.credentialID }
      if let counter = signature.counter {
        #expect(records.contains { $0.signatureCounter == counter }, comment)
      } else {
        #expect(Set(["u2f", "u2f certificate"]).isSubset(of: records.map(\.detail)), comment)
      }
    }
    let stored = Set(await harness.store.credentials.map(\.id))
    #expect(stored.isSuperset(of: script.made) && stored.isSubset(of: script.made.union(script.inDoubt)), comment)
    #expect(await harness.keys.retries.failures >= UInt8(script.wrongAttempts), comment)

    let next = try harness.restarted()
    let pin = try await expectOnePIN(next, script.possiblePINs, comment)
    try await expectWorking(next, pin, comment)
  }

  /// - Returns: the PIN that is in force, which is the old one or the new one
  private func expectOnePIN(
    _ harness: Harness, _ possible: Set<String?>, _ comment: Comment
  ) async throws -> String {
    let platform = PINPlatform(harness)
    if try await harness.send(4).body.map(4)["clientPin"] == false {
      #expect(possible.contains(nil), comment)
      #expect(try await platform.setPIN() == Status.ok, comment)
      return "1234"
    }
    var right: [String] = []
    for pin in ["1234", "5678"] {
      let status = try await platform.attempt(pin)
      #expect([Status.ok, Status.pinInvalid].contains(status), comment)
      if status == Status.ok { right.append(pin) }
    }
    #expect(right.count == 1 && possible.isSuperset(of: right), comment)
    return try #require(right.first)
  }

  private func expectWorking(_ harness: Harness, _ pin: String, _ comment: Comment) async throws {
    let platform = PINPlatform(harness)
    let id = try await platform.token(.makeCredential, "example.com", pin: pin).register(harness, user: [9])
    let asserting = try await platform.token(.getAssertion, "example.com", pin: pin)
    #expect(try await harness.send(2, asserting.assertion(allow: [id])).status == Status.ok, comment)
    let managing = try await platform.token(.credentialManagement, pin: pin)
    let deletion = managing.management(6, [2: .map(["id": .bytes(id), "type": "public-key"])])
    #expect(try await harness.send(0x0a, deletion).status == Status.ok, comment)
    #expect(try await harness.send(7).status == Status.ok, comment)
    #expect(await harness.store.credentials.isEmpty, comment)
    #expect(try await PINPlatform(harness).setPIN() == Status.ok, comment)
  }
}
