internal import Attestation
internal import TPMKeyStore
internal import WebAuthn

/// What the operator's socket has of the boot state, whether the daemon serves or waits.
struct BootDesk: Sendable {
  /// What the TPM says.
  let report: @Sendable () async throws -> BootReport
  /// Takes an approval; fails with the reason where it is not for this runner.
  let approve: @Sendable (BootApproval) async throws -> Void
  /// Whether the device secret is bound at all.
  let isBound: Bool
  /// Whether nothing is signed until this boot is approved.
  var isWaiting = false

  /// Of a daemon that serves.
  ///
  /// - Parameters:
  ///   - keys: the key store
  ///   - keeper: of the approvals
  ///   - pcrs: those to show where nothing is bound
  init(_ keys: TPMKeyStore, _ keeper: BootStateKeeper, pcrs: [Int]) {
    isBound = keys.isBoundToBoot
    report = { try await keys.bootReport(pcrs) }
    approve = { approval in
      guard let policy = try await keys.bootReport(pcrs).policy else {
        throw EnrolmentRefusal(
          "this runner is not bound to a boot state: set tpm.approvalKey, and restart countersignd")
      }
      try approval.check(for: policy)
      try await keeper.keep(approval)
      keys.take(approval)
    }
  }

  /// Of a daemon that waits.
  init(
    report: @escaping @Sendable () async throws -> BootReport,
    approve: @escaping @Sendable (BootApproval) async throws -> Void
  ) {
    isBound = true
    self.report = report
    self.approve = approve
    isWaiting = true
  }

  /// For `countersign pcr show`, and for whoever approves it.
  func file() async throws -> JSONValue {
    let report = try await report()
    var json = BootState.json(report.pcrs, report.values)
    if let policy = report.policy { json = BootState(policy: policy, values: report.values).json }
    guard case .object(var members) = json else { return json }
    members["bound"] = .boolean(report.policy != nil)
    members["approved"] = .boolean(report.isApproved)
    members["approvals"] = .integer(Int64(report.approvals))
    members["differences"] = .array(report.differences.map { .integer(Int64($0)) })
    return .object(members)
  }

  /// One line for `status`.
  func inWords() async -> String {
    guard isBound else { return "not bound" }
    do {
      return try await report().inWords(isWaiting ? "waiting for an approval" : "not approved")
    } catch {
      return "\(error)"
    }
  }
}

extension BootReport {
  fileprivate func inWords(_ unapproved: String) -> String {
    if isApproved { return "approved" }
    if approvals == 0 { return unapproved + ": no boot is approved yet" }
    return unapproved + ": PCR \(differences.map(String.init).joined(separator: ", ")) differs"
  }
}
