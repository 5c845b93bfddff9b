/// The look-ups in credentials.db. Each names its index where SQLite might take another one: its choice would rest on
/// statistics that the file does not have, and a look-up must not become slower with the rows that it passes over.
enum CredentialQueries {
  static let columns = "sequence, id, rp_tag, user_tag, discoverable, protection, record"
  private static let select = "SELECT \(columns) FROM credential"

  static let byID = "\(select) WHERE id = ?1"
  static let byIDOfRelyingParty = "\(select) WHERE id = ?1 AND rp_tag = ?2"
  static let byUser = "\(select) WHERE discoverable = 1 AND user_tag = ?1"
  static let next = "\(select) WHERE sequence > ?1 ORDER BY sequence LIMIT 1"
  static let nextRelyingParty =
    "SELECT sequence, rp_tag FROM credential AS row INDEXED BY credential_order "
    + "WHERE discoverable = 1 AND sequence > ?1 AND NOT EXISTS (SELECT 1 FROM credential AS older "
    + "INDEXED BY credential_rp WHERE older.discoverable = 1 AND older.rp_tag = row.rp_tag "
    + "AND older.sequence < row.sequence) ORDER BY sequence LIMIT 1"
  static let greatestSequence = "SELECT coalesce(max(sequence), 0) FROM credential"
  static let count = "SELECT count(*) FROM credential"

  /// The newest row of a relying party before a sequence number.
  ///
  /// - Parameter verified: whether those are found too that show themselves to verified users only
  /// - Returns: SQL
  static func discoverable(verified: Bool) -> String {
    "\(select) \(relyingParty(verified)) ORDER BY sequence DESC LIMIT 1"
  }

  /// How many rows of a relying party there are before a sequence number.
  ///
  /// - Parameter verified: whether those count too that show themselves to verified users only
  /// - Returns: SQL
  static func discoverableCount(verified: Bool) -> String {
    "SELECT count(*) FROM credential \(relyingParty(verified))"
  }

  /// There is no index that has them all, and few rules count: one pass over the table, not over its records.
  static let countOfRelyingParty = "SELECT count(*) FROM credential WHERE rp_tag = ?1"

  private static func relyingParty(_ verified: Bool) -> String {
    (verified
      ? "INDEXED BY credential_rp WHERE discoverable = 1"
      : "INDEXED BY credential_open WHERE discoverable = 1 AND protection = 1")
      + " AND rp_tag = ?1 AND sequence < ?2"
  }
}
