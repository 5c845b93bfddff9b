/// How far a decommissioning is, for the operator.
struct DecommissionReport: Codable, Equatable {
  /// `in service`, `leaving` (begun), `removing` (the keys have gone, something in the TPM has not), `decommissioned`.
  var stage: String
  /// Steps that are done, by their names.
  var steps: [String]
  /// Steps that are still to be done.
  var remaining: [String]
  /// Credentials in the store.
  var credentials: Int
  /// The file that says what to remove at which relying party.
  var list: String
  /// The file with the key that verifies the audit log.
  var key: String
}
