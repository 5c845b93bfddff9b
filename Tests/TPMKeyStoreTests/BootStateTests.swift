import Attestation
import Authenticator
import Crypto
import Platform
import Policy
import TPM
import TestSupport
import Testing
import WebAuthn

@testable import TPMKeyStore

/// What is bound to the machine's boot opens in the boots that the operator's key has signed for, and in no other.
@Suite struct BootStateTests {
  /// As events of a boot do.
  private func extend(_ pcr: Int, _ fixture: SoftwareTPMFixture) throws {
    try execute("tpm2_pcrextend", ["-T", fixture.tcti, "\(pcr):sha256=" + String(repeating: "5a", count: 32)])
  }

  private func binding(_ key: borrowing IssuerKey, _ pcrs: [Int] = [0, 4, 7]) -> BootBinding {
    .bound(approvalKey: key.publicKey, pcrs: pcrs)
  }

  /// A runner that is bound from its first start, and has the approval of its first boot.
  private func boundRunner(_ key: borrowing IssuerKey) async throws -> (Bench, BootApproval) {
    let bench = try await Bench.start(boot: binding(key))
    let approval = try await approval(bench.store.bootReport([]), key)
    bench.store.take(approval)
    return (bench, approval)
  }

  private func approval(_ report: BootReport, _ key: borrowing IssuerKey) throws -> BootApproval {
    let policy = try #require(report.policy)
    return try BootApproval(approving: BootState(policy: policy, values: report.values), by: key)
  }

  private func waiting(
    _ bench: Bench, _ approvals: [BootApproval], boot: BootBinding = .unchanged
  ) async throws -> (store: WaitingKeyStore, reason: String)? {
    let opening = try await TPMKeyStore.open(
      connection: .tcti(bench.fixture.tcti), records: bench.records, allowSoftware: true, boot: boot,
      approvals: approvals, log: .silent)
    switch opening {
    case .open(let store, _):
      await store.stop()
      return nil
    case .waiting(let store, let reason): return (store, reason)
    case .former: throw StoreError.unavailable("decommissioned")
    }
  }

  private func sealed(in records: MemoryRecords) throws -> SealedDevice {
    guard case .sealed(let device)? = DeviceRecord.decode(try #require(records.current)) else {
      throw StoreError.full("no sealed record")
    }
    return device
  }

  @Test func aChangedBootWaitsForItsApproval() async throws {
    let key = try IssuerKey()
    let (bench, first) = try await boundRunner(key)
    let (credential, publicKey) = try await bench.key()
    #expect(try await bench.store.bootReport([]).isApproved)
    await bench.store.stop()

    // An unattended reboot with the state unchanged.
    try bench.fixture.reset()
    #expect(try await waiting(bench, [first]) == nil)

    try bench.fixture.reset()
    try extend(4, bench.fixture)
    let (store, reason) = try #require(try await waiting(bench, [first]))
    #expect(
      reason
        == "the machine has not booted as approved: PCR 4 differs from what the operator signed for: if that is meant, "
        + "have it approved: countersign pcr allow")
    await #expect(throws: KeyStoreError.bootState(reason)) { try await store.unlock() }
    let report = try await store.bootReport()
    #expect((report.isApproved, report.differences, report.approvals) == (false, [4], 1))

    try store.take(try approval(report, key))
    let (opened, secret) = try await store.unlock()
    #expect(secret.copied == bench.secret.copied)
    let signature = try await opened.sign(
      digest: SHA256.hash([9]), with: credential, caller: caller(1), presence: presence(.authenticate))
    #expect(isValid(signature, [9], by: publicKey))
    await opened.stop()
    // The approval of the old state stays good, by nature of TPM2_PolicyAuthorize.
    try bench.fixture.reset()
    #expect(try await waiting(bench, [first]) == nil)
  }

  @Test func onlyTheRightApprovalServes() async throws {
    let key = try IssuerKey()
    let (bench, first) = try await boundRunner(key)
    let (other, foreign) = try await boundRunner(key)
    await other.store.stop()
    await bench.store.stop()
    try bench.fixture.reset()
    try extend(0, bench.fixture)
    let (store, _) = try #require(try await waiting(bench, [first]))
    let report = try await store.bootReport()
    let policy = try #require(report.policy)
    func refusal(_ approval: BootApproval) -> String {
      do {
        try store.take(approval)
        return "none"
      } catch {
        return error.description
      }
    }
    #expect(refusal(foreign) == "the approval is for another runner, or from before this one was bound anew")
    let stranger = try IssuerKey()
    let strangers = try #require(
      BootPolicy(approvalKey: stranger.publicKey, pcrs: policy.pcrs, reference: policy.reference))
    #expect(
      refusal(try BootApproval(approving: BootState(policy: strangers, values: report.values), by: stranger))
        == "the approval is by another key than the one that this runner is bound to")
    let narrow = try #require(BootPolicy(approvalKey: key.publicKey, pcrs: [7], reference: policy.reference))
    #expect(
      refusal(try BootApproval(approving: BootState(policy: narrow, values: [report.values[2]]), by: key))
        == "the approval is over other PCRs than those that this runner is bound to")
    await #expect(throws: KeyStoreError.self) { try await store.unlock() }

    // Forged files that are handed to the daemon at its start are passed over.
    await store.stop()
    let forged = try forge(first, values: report.values)
    #expect(
      refusal(forged) == "the approval's signature is not the approval key's: it was altered, or is by another key")
    let (again, reason) = try #require(try await waiting(bench, [forged, foreign]))
    #expect(reason.contains("no boot is approved yet"))
    await again.stop()
  }

  /// The values of one boot under the signature for another, with the digest that fits them.
  private func forge(_ approval: BootApproval, values: [[UInt8]]) throws -> BootApproval {
    let state = BootState(policy: approval.state.policy, values: values)
    guard case .object(var members) = approval.json else { throw StoreError.full("no object") }
    members.merge(state.members) { $1 }
    return try BootApproval(.object(members))
  }

  /// What a check in software can be talked out of, the TPM refuses by itself.
  @Test func theTPMItselfRefuses() async throws {
    let key = try IssuerKey()
    let (bench, _) = try await boundRunner(key)
    await bench.store.stop()
    let bound = try sealed(in: bench.records)
    for (name, policy) in [
      ("no policy", nil), ("another key's policy", try IssuerKey().publicKey),
    ] as [(String, [UInt8]?)] {
      var changed = bound
      let mine = try #require(bound.boot)
      changed.boot = policy.flatMap { BootPolicy(approvalKey: $0, pcrs: mine.pcrs, reference: mine.reference) }
      let records = MemoryRecords(DeviceRecord.sealed(changed).encoded())
      await #expect(throws: KeyStoreError.self, "\(name)") {
        try await TPMKeyStore.start(
          connection: .tcti(bench.fixture.tcti), records: records, allowSoftware: true, log: .silent)
      }
    }
  }

  /// With an approval that the policy in the record fits and the sealed object does not.
  @Test func anotherKeysApprovalOpensNothing() async throws {
    let key = try IssuerKey()
    let (bench, _) = try await boundRunner(key)
    let report = try await bench.store.bootReport([])
    await bench.store.stop()
    var record = try sealed(in: bench.records)
    let attacker = try IssuerKey()
    let mine = try #require(record.boot)
    let theirs = try #require(BootPolicy(approvalKey: attacker.publicKey, pcrs: mine.pcrs, reference: mine.reference))
    record.boot = theirs
    let records = MemoryRecords(DeviceRecord.sealed(record).encoded())
    let approval = try BootApproval(approving: BootState(policy: theirs, values: report.values), by: attacker)
    await #expect {
      try await TPMKeyStore.start(
        connection: .tcti(bench.fixture.tcti), records: records, allowSoftware: true, approvals: [approval],
        log: .silent)
    } throws: {
      // TPM_RC_POLICY_FAIL
      "\($0)".contains("TPM2_Unseal") && "\($0)".contains("0x99d")
    }
  }

  @Test func aDeviceIsBoundLaterAndAnew() async throws {
    let key = try IssuerKey()
    let bench = try await Bench.start()
    let (credential, _) = try await bench.key()
    let free = try await bench.store.bootReport([0, 7])
    #expect(free.policy == nil && free.values.count == 2)
    await bench.store.stop()

    // Bound by the next start, which has the secret in hand and serves.
    let bound = try await Bench.start(bench.fixture, records: bench.records, boot: binding(key))
    #expect(bound.secret.copied == bench.secret.copied)
    _ = try await bound.sign(with: credential)
    let report = try await bound.store.bootReport([])
    #expect((report.isApproved, report.approvals) == (false, 0))
    let first = try approval(report, key)
    await bound.store.stop()
    let (store, reason) = try #require(try await waiting(bench, []))
    #expect(reason.contains("no boot is approved yet"))
    await store.stop()

    // A silent configuration loosens nothing, the same one changes nothing.
    let same = try await Bench.start(bench.fixture, records: bench.records, approvals: [first])
    #expect(try await same.store.bootReport([]).policy == report.policy)
    await same.store.stop()

    // Another key: the approvals of before are retired.
    let second = try IssuerKey()
    let anew = try await Bench.start(
      bench.fixture, records: bench.records, boot: binding(second), approvals: [first])
    await anew.store.stop()
    let (retired, why) = try #require(try await waiting(bench, [first]))
    #expect(why.contains("no boot is approved yet"))
    #expect(throws: EnrolmentRefusal.self) { try retired.take(first) }
    try retired.take(try approval(try await retired.bootReport(), second))
    let opened = try await retired.unlock().store
    await opened.stop()

    // And none at all, which takes an approved boot too.
    let (last, _) = try #require(try await waiting(bench, [], boot: .unbound))
    try last.take(try approval(try await last.bootReport(), second))
    let unbound = try await last.unlock().store
    #expect(try await unbound.bootReport([0]).policy == nil)
    await unbound.stop()
    #expect(try await waiting(bench, []) == nil)
  }

  @Test func aResetStaysBound() async throws {
    let key = try IssuerKey()
    let (bench, approval) = try await boundRunner(key)
    let (secret, record) = try await bench.store.makeDeviceSecret(caller: caller(1), presence: presence(.reset))
    try await bench.records.saveDeviceRecord(record)
    await bench.store.adopt(secret)
    await bench.store.stop()
    let (store, _) = try #require(try await waiting(bench, []))
    try store.take(approval)
    let (opened, again) = try await store.unlock()
    #expect(again.copied == secret.copied)
    await opened.stop()
  }

  private var everySignature: Terms {
    var terms = Terms()
    terms.checksBootState = true
    return terms
  }

  @Test func aCredentialStopsAtOnce() async throws {
    let key = try IssuerKey()
    let (bench, _) = try await boundRunner(key)
    let (checked, publicKey) = try await bench.store.createKey(
      .es256, binding: TPMKeyStoreTests.binding("checked"), caller: caller(1),
      presence: presence(.register, everySignature))
    let (other, _) = try await bench.key("other")
    _ = try await bench.sign(with: checked)

    // Its price, once the key is loaded and the approval has been shown: five commands.
    bench.fixture.resetCounts()
    let signature = try await bench.sign([7], with: checked)
    #expect(isValid(signature, [7], by: publicKey))
    #expect(
      bench.fixture.counts == [
        Command.startSession: 1, Command.policyPCR: 1, Command.policyAuthorize: 1, Command.policyAuthValue: 1,
        Command.sign: 1,
      ])

    try extend(7, bench.fixture)
    await #expect {
      try await bench.sign(with: checked)
    } throws: { error in
      guard case .bootState(let reason)? = error as? KeyStoreError else { return false }
      return reason.contains("PCR 7 differs")
    }
    _ = try await bench.sign(with: other)

    bench.store.take(try approval(try await bench.store.bootReport([]), key))
    #expect(isValid(try await bench.sign([8], with: checked), [8], by: publicKey))
    // No session is left behind, loaded or saved.
    let sessions = try await bench.store.thread.perform(for: .daemon) { device throws(KeyStoreError) in
      try device.withTPM { tpm throws in
        try tpm.withContext { context throws(TPMError) in
          try context.handles(from: 0x0200_0000) + context.handles(from: 0x0300_0000)
        }
      }
    }
    #expect(sessions == [])
    await bench.store.stop()
  }

  /// Whoever has the TPM, the blob and the authorization value, but not the boot.
  @Test func itsKeyHasNoOtherWay() async throws {
    let key = try IssuerKey()
    let (bench, _) = try await boundRunner(key)
    let (checked, _) = try await bench.store.createKey(
      .es256, binding: TPMKeyStoreTests.binding("checked"), caller: caller(1),
      presence: presence(.register, everySignature))
    let object = try #require(KeyBlob.decode(checked.blob))
    let authorization = try bench.store.authorization(checked.binding, in: bench.store.currentEra)
    await #expect {
      try await bench.store.thread.perform(for: .daemon) { device throws(KeyStoreError) in
        try device.withTPM { tpm throws in
          try tpm.sign(
            SHA256.hash([1]), with: object, binding: checked.binding, scheme: .ecdsaSHA256,
            authorization: authorization)
        }
      }
    } throws: {
      // TPM_RC_AUTH_UNAVAILABLE
      "\($0)".contains("TPM2_Sign") && "\($0)".contains("0x12f")
    }
    await bench.store.stop()
  }

  @Test func itNeedsABinding() async throws {
    let bench = try await Bench.start()
    await #expect(throws: KeyStoreError.self) {
      try await bench.store.createKey(
        .es256, binding: TPMKeyStoreTests.binding("checked"), caller: caller(1),
        presence: presence(.register, everySignature))
    }
    await bench.store.stop()
  }
}
