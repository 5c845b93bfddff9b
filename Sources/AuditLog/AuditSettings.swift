/// How the log is kept.
package struct AuditSettings: Equatable, Sendable {
  /// Bytes after which the file is moved away and another one begun; nil for never.
  package var rotateAfter: Int64?
  /// How many of the files that were moved away so are kept; nil for all.
  package var keep: Int?
  /// Records that may stand unsigned before the chain is signed.
  package var signAfterRecords: UInt64 = 1000
  /// Seconds that a record may stand unsigned.
  package var signAfterSeconds = 300
  /// Whether each record is copied to journald(8), where there is one.
  package var copiesToJournal = true

  package init() {}
}

/// What the log has done since the start.
package struct AuditFigures: Equatable, Sendable {
  /// Records made durable.
  package var records: UInt64 = 0
  /// Calls of fdatasync(2) for them: records that come together share one.
  package var synchronizations: UInt64 = 0
  /// Copies that journald(8) did not take.
  package var lostCopies: UInt64 = 0
  /// Records since the last signature over the chain.
  package var unsigned: UInt64 = 0

  package init() {}
}
