internal import Attestation
internal import Platform
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
