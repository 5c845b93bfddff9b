internal import Authenticator
internal import Database

/// The open file credentials.db: its statements, rows in and out. Knows no keys.
final class CredentialFile {
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
  private var selectIDOfRelyingParty: Statement
  private var selectDiscoverable: Statement
  private var selectOpen: Statement
  private var countDiscoverable: Statement
  private var countOpen: Statement
  private var countAll: Statement
  private var selectUser: Statement
  private var selectNext: Statement
  private var selectRelyingParty: Statement
  private var selectSequence: Statement
  private var insertRow: Statement
  private var updateRow: Statement
  private var deleteRow: Statement
  private var deleteRows: Statement
  private var selectDevice: Statement
  private var replaceDevice: Statement
  private var selectSlot: Statement
  private var replaceSlot: Statement
  private var deleteSlots: Statement
  private var selectChanges: Statement
  private var replaceChanges: Statement

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
    var connection = try CredentialSchema.open(directory, thoroughly: thoroughly, fileSystem: fileSystem)
    do throws(DatabaseError) {
      selectID = try connection.prepare(CredentialQueries.byID)
      selectIDOfRelyingParty = try connection.prepare(CredentialQueries.byIDOfRelyingParty)
      selectDiscoverable = try connection.prepare(CredentialQueries.discoverable(verified: true))
      selectOpen = try connection.prepare(CredentialQueries.discoverable(verified: false))
      countDiscoverable = try connection.prepare(CredentialQueries.discoverableCount(verified: true))
      countOpen = try connection.prepare(CredentialQueries.discoverableCount(verified: false))
      countAll = try connection.prepare(CredentialQueries.countOfRelyingParty)
      selectUser = try connection.prepare(CredentialQueries.byUser)
      selectNext = try connection.prepare(CredentialQueries.next)
      selectRelyingParty = try connection.prepare(CredentialQueries.nextRelyingParty)
      selectSequence = try connection.prepare(CredentialQueries.greatestSequence)
      insertRow = try connection.prepare(
        "INSERT INTO credential (\(CredentialQueries.columns)) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")
      updateRow = try connection.prepare(
        "UPDATE credential SET protection = ?2, record = ?3, user_tag = ?4, discoverable = ?5 WHERE sequence = ?1")
      deleteRow = try connection.prepare("DELETE FROM credential WHERE sequence = ?1")
      deleteRows = try connection.prepare("DELETE FROM credential")
      selectDevice = try connection.prepare("SELECT record FROM device WHERE slot = 1")
      replaceDevice = try connection.prepare("INSERT OR REPLACE INTO device (slot, record) VALUES (1, ?1)")
      selectSlot = try connection.prepare("SELECT record FROM sealed WHERE slot = ?1")
      replaceSlot = try connection.prepare("INSERT OR REPLACE INTO sealed (slot, record) VALUES (?1, ?2)")
      deleteSlots = try connection.prepare("DELETE FROM sealed")
      selectChanges = try connection.prepare("SELECT changes FROM tally WHERE slot = 1")
      replaceChanges = try connection.prepare("INSERT OR REPLACE INTO tally (slot, changes) VALUES (1, ?1)")
      count = Int(try connection.integer(CredentialQueries.count) ?? 0)
    } catch {
      throw OpenFailure(error, path: path)
    }
    isReadOnly = connection.isReadOnly
    self.connection = connection
    self.path = path
  }

  /// Runs `body` as one durable transaction.
  func transaction<Result>(_ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
    // Where the very last step fails, the file is opened again, and counted.
    let before = count
    do throws(StoreError) {
      return try connection.transaction(translatingBy: note, body)
    } catch {
      count = before
      throw error
    }
  }

  // MARK: Credentials

  /// Of any relying party where no tag is given.
  func row(id: [UInt8], relyingPartyTag tag: [UInt8]? = nil) throws(StoreError) -> SealedRow? {
    try translated { () throws(DatabaseError) in
      guard let tag else { return try selectID.first([.bytes(id)], CredentialFile.row) }
      return try selectIDOfRelyingParty.first([.bytes(id), .bytes(tag)], CredentialFile.row)
    }
  }

  /// The oldest row behind a sequence number.
  func row(after sequence: Int64) throws(StoreError) -> SealedRow? {
    try translated { () throws(DatabaseError) in try selectNext.first([.integer(sequence)], CredentialFile.row) }
  }

  /// The newest discoverable row of a relying party before a sequence number.
  func discoverableRow(
    relyingPartyTag tag: [UInt8], olderThan sequence: Int64, verified: Bool
  ) throws(StoreError) -> SealedRow? {
    let values: [DatabaseValue] = [.bytes(tag), .integer(sequence)]
    return try translated { () throws(DatabaseError) in
      verified
        ? try selectDiscoverable.first(values, CredentialFile.row) : try selectOpen.first(values, CredentialFile.row)
    }
  }

  func discoverableCount(
    relyingPartyTag tag: [UInt8], olderThan sequence: Int64, verified: Bool
  ) throws(StoreError) -> Int {
    let values: [DatabaseValue] = [.bytes(tag), .integer(sequence)]
    return try translated { () throws(DatabaseError) in
      Int(
        (verified
          ? try countDiscoverable.first(values) { $0.integer(0) } : try countOpen.first(values) { $0.integer(0) }) ?? 0)
    }
  }

  /// All rows of a relying party.
  func count(relyingPartyTag tag: [UInt8]) throws(StoreError) -> Int {
    try translated { () throws(DatabaseError) in Int(try countAll.first([.bytes(tag)]) { $0.integer(0) } ?? 0) }
  }

  func discoverableRow(userTag tag: [UInt8]) throws(StoreError) -> SealedRow? {
    try translated { () throws(DatabaseError) in try selectUser.first([.bytes(tag)], CredentialFile.row) }
  }

  /// The relying party whose oldest discoverable row is the next behind a sequence number, and that row's number.
  func relyingParty(after sequence: Int64) throws(StoreError) -> (sequence: Int64, tag: [UInt8])? {
    try translated { () throws(DatabaseError) in
      try selectRelyingParty.first([.integer(sequence)]) { ($0.integer(0), $0.bytes(1)) }
    }
  }

  /// The sequence number of the newest row; 0 where there is none.
  func greatestSequence() throws(StoreError) -> Int64 {
    try translated { () throws(DatabaseError) in try selectSequence.first { $0.integer(0) } ?? 0 }
  }

  func insert(_ row: SealedRow) throws(StoreError) {
    count += try translated { () throws(DatabaseError) in
      try insertRow.run([
        .integer(row.sequence), .bytes(row.id), .bytes(row.relyingPartyTag), .bytes(row.userTag),
        .integer(row.isDiscoverable ? 1 : 0), .integer(row.protection), .bytes(row.record),
      ])
    }
  }

  /// Replaces what may change of the row with the same sequence number: not its ID, nor its relying party.
  func update(_ row: SealedRow) throws(StoreError) {
    _ = try translated { () throws(DatabaseError) in
      try updateRow.run([
        .integer(row.sequence), .integer(row.protection), .bytes(row.record), .bytes(row.userTag),
        .integer(row.isDiscoverable ? 1 : 0),
      ])
    }
  }

  func delete(sequence: Int64) throws(StoreError) {
    count -= try translated { () throws(DatabaseError) in try deleteRow.run([.integer(sequence)]) }
  }

  /// Removes every row and what is in the slots.
  func deleteAll() throws(StoreError) {
    _ = try translated { () throws(DatabaseError) in try deleteRows.run() + (try deleteSlots.run()) }
    count = 0
  }

  /// Changes of rows there have been.
  func changes() throws(StoreError) -> Int64 {
    try translated { () throws(DatabaseError) in try selectChanges.first { $0.integer(0) } ?? 0 }
  }

  func setChanges(_ number: Int64) throws(StoreError) {
    _ = try translated { () throws(DatabaseError) in try replaceChanges.run([.integer(number)]) }
  }

  // MARK: Beside the credentials

  func deviceRecord() throws(StoreError) -> [UInt8]? {
    try translated { () throws(DatabaseError) in try selectDevice.first { $0.bytes(0) } }
  }

  func setDeviceRecord(_ record: [UInt8]) throws(StoreError) {
    _ = try translated { () throws(DatabaseError) in try replaceDevice.run([.bytes(record)]) }
  }

  func sealed(in slot: Slot) throws(StoreError) -> [UInt8]? {
    try translated { () throws(DatabaseError) in try selectSlot.first([.text(slot.rawValue)]) { $0.bytes(0) } }
  }

  func set(_ record: [UInt8], in slot: Slot) throws(StoreError) {
    _ = try translated { () throws(DatabaseError) in try replaceSlot.run([.text(slot.rawValue), .bytes(record)]) }
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
      isDiscoverable: row.integer(4) == 1, protection: row.integer(5), record: row.bytes(6))
  }
}
