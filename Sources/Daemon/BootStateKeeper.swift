internal import Attestation
internal import Platform
internal import TPMKeyStore
internal import WebAuthn

/// The operator's approvals of boots, in a file of their own beside the credentials: they must be at hand before anything
/// can be unsealed. They are signed, so that whoever writes the file gains nothing.
actor BootStateKeeper {
  private static let kind = "boot state approvals"
  private static let version: Int64 = 1
  /// More are not kept: the oldest go.
  private static let limit = 32

  private let file: KeptFile
  private(set) var approvals: [BootApproval]

  /// Reads the file, where there is one.
  ///
  /// - Throws: ``EnrolmentRefusal`` where it cannot be read
  init(stateDirectory: String) throws(EnrolmentRefusal) {
    file = KeptFile(path: stateDirectory + "/boot-state.json")
    approvals =
      try file.load("list of approvals") { content throws in
        guard try content.required("countersign", "a string").string() == BootStateKeeper.kind,
          try content.required("version", "a number").integer(in: 0 ... .max) == BootStateKeeper.version
        else { throw EnrolmentRefusal("another kind or version") }
        return try content.required("approvals", "an array").elements().map { try BootApproval($0.value) }
      } ?? []
  }

  /// Keeps an approval; those for another binding than its own have been retired, and go.
  ///
  /// - Throws: ``EnrolmentRefusal``
  func keep(_ approval: BootApproval) throws(EnrolmentRefusal) {
    var kept = approvals.filter { $0.state.policy == approval.state.policy && $0.state != approval.state }
    kept.append(approval)
    kept.removeFirst(max(0, kept.count - Self.limit))
    try file.save(
      .object([
        "countersign": .string(Self.kind), "version": .integer(Self.version), "approvals": .array(kept.map(\.json)),
      ]))
    approvals = kept
  }
}

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
