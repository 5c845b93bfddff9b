internal import Authenticator
internal import Database

/// The open file credentials.db: its statements, rows in and out. Knows no keys.
final class CredentialFile {
  private static let columns = "sequence, id, rp_tag, user_tag, discoverable, record"

  /// Rows in the file.
  private(set) var count: Int
  /// Whether it could be opened for reading only.
  let isReadOnly: Bool
  /// Whether a call has failed in SQLite: to be closed and opened again, which also finds out what has become of a
  /// change whose very last step failed.
  private(set) var hasFailed = false

  private let path: String
  private var connection: Connection
  private var selectID: Statement
  private var selectDiscoverable: Statement
  private var countDiscoverable: Statement
  private var selectUser: Statement
  private var selectSequence: Statement
  private var selectCount: Statement
  private var insertRow: Statement
  private var deleteRow: Statement
  private var deleteRows: Statement
  private var selectDevice: Statement
  private var replaceDevice: Statement

  /// Opens the file, or makes it where there is none.
  ///
  /// - Parameters:
  ///   - directory: locked by this process
  ///   - thoroughly: whether every page is read and checked
  ///   - fileSystem: name of a registered sqlite3_vfs; nil is SQLite's default
  /// - Throws: ``OpenFailure``; whatever is wrong with the file, it is left as it is
  init(in directory: borrowing StateDirectory, thoroughly: Bool, fileSystem: String?) throws(OpenFailure) {
    let path = directory.credentialFile
    try CredentialSchema.createIfMissing(in: directory, fileSystem: fileSystem)
    var connection = try CredentialSchema.open(path, thoroughly: thoroughly, fileSystem: fileSystem)
    do throws(DatabaseError) {
      let select = "SELECT \(CredentialFile.columns) FROM credential WHERE"
      selectID = try connection.prepare("\(select) id = ?1")
      selectDiscoverable = try connection.prepare(
        "\(select) discoverable = 1 AND rp_tag = ?1 AND sequence < ?2 ORDER BY sequence DESC LIMIT 1")
      countDiscoverable = try connection.prepare(
        "SELECT count(*) FROM credential WHERE discoverable = 1 AND rp_tag = ?1 AND sequence < ?2")
      selectUser = try connection.prepare("\(select) discoverable = 1 AND user_tag = ?1")
      selectSequence = try connection.prepare("SELECT coalesce(max(sequence), 0) FROM credential")
      selectCount = try connection.prepare("SELECT count(*) FROM credential")
      insertRow = try connection.prepare(
        "INSERT INTO credential (\(CredentialFile.columns)) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
      deleteRow = try connection.prepare("DELETE FROM credential WHERE sequence = ?1")
      deleteRows = try connection.prepare("DELETE FROM credential")
      selectDevice = try connection.prepare("SELECT record FROM device WHERE slot = 1")
      replaceDevice = try connection.prepare("INSERT OR REPLACE INTO device (slot, record) VALUES (1, ?1)")
      count = Int(try selectCount.first { $0.integer(0) } ?? 0)
    } catch {
      throw OpenFailure(error, path: path)
    }
    isReadOnly = connection.isReadOnly
    self.connection = connection
    self.path = path
  }

  /// Runs `body` as one durable transaction.
  func transaction<Result>(_ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
    let result = try connection.transaction(translatingBy: note, body)
    count = try translated { () throws(DatabaseError) in Int(try selectCount.first { $0.integer(0) } ?? 0) }
    return result
  }

  func row(id: [UInt8]) throws(StoreError) -> SealedRow? {
    try translated { () throws(DatabaseError) in try selectID.first([.bytes(id)], CredentialFile.row) }
  }

  /// The newest discoverable row of a relying party before a sequence number.
  func discoverableRow(relyingPartyTag tag: [UInt8], olderThan sequence: Int64) throws(StoreError) -> SealedRow? {
    try translated { () throws(DatabaseError) in
      try selectDiscoverable.first([.bytes(tag), .integer(sequence)], CredentialFile.row)
    }
  }

  func discoverableCount(relyingPartyTag tag: [UInt8], olderThan sequence: Int64) throws(StoreError) -> Int {
    try translated { () throws(DatabaseError) in
      Int(try countDiscoverable.first([.bytes(tag), .integer(sequence)]) { $0.integer(0) } ?? 0)
    }
  }

  func discoverableRow(userTag tag: [UInt8]) throws(StoreError) -> SealedRow? {
    try translated { () throws(DatabaseError) in try selectUser.first([.bytes(tag)], CredentialFile.row) }
  }

  /// The sequence number of the newest row; 0 where there is none.
  func greatestSequence() throws(StoreError) -> Int64 {
    try translated { () throws(DatabaseError) in try selectSequence.first { $0.integer(0) } ?? 0 }
  }

  func insert(_ row: SealedRow) throws(StoreError) {
    _ = try translated { () throws(DatabaseError) in
      try insertRow.run([
        .integer(row.sequence), .bytes(row.id), .bytes(row.relyingPartyTag), .bytes(row.userTag),
        .integer(row.isDiscoverable ? 1 : 0), .bytes(row.record),
      ])
    }
  }

  func delete(sequence: Int64) throws(StoreError) {
    _ = try translated { () throws(DatabaseError) in try deleteRow.run([.integer(sequence)]) }
  }

  func deleteAll() throws(StoreError) {
    _ = try translated { () throws(DatabaseError) in try deleteRows.run() }
  }

  func deviceRecord() throws(StoreError) -> [UInt8]? {
    try translated { () throws(DatabaseError) in try selectDevice.first { $0.bytes(0) } }
  }

  func setDeviceRecord(_ record: [UInt8]) throws(StoreError) {
    _ = try translated { () throws(DatabaseError) in try replaceDevice.run([.bytes(record)]) }
  }

  private func translated<Result>(_ body: () throws(DatabaseError) -> Result) throws(StoreError) -> Result {
    do throws(DatabaseError) {
      return try body()
    } catch {
      throw note(error)
    }
  }

  private func note(_ error: DatabaseError) -> StoreError {
    hasFailed = true
    return StoreError(error, path: path)
  }

  private static func row(_ row: borrowing Row) -> SealedRow {
    SealedRow(
      sequence: row.integer(0), id: row.bytes(1), relyingPartyTag: row.bytes(2), userTag: row.bytes(3),
      isDiscoverable: row.integer(4) == 1, record: row.bytes(5))
  }
}
