internal import CSQLite
internal import Glibc

/// An open SQLite file. Calls that SQLite forbids to overlap are `mutating`: Swift's exclusivity is its threading rule,
/// so the connection has no mutex of its own.
@safe package struct Connection: ~Copyable {
  /// What to do where the file is missing or cannot be written.
  package enum Mode: Sendable {
    /// The file must be there; it is opened for reading only where it cannot be written.
    case existing
    /// The file is created where it is missing.
    case create
  }

  private let handle: OpaquePointer

  /// - Parameters:
  ///   - path: file name
  ///   - mode: whether a missing file is created
  ///   - fileSystem: name of a registered sqlite3_vfs; nil is SQLite's default
  /// - Throws: ``DatabaseError``; SQLite touches the file only with the first statement, so a damaged one opens
  package init(opening path: String, mode: Mode, fileSystem: String? = nil) throws(DatabaseError) {
    var opened: OpaquePointer?
    var flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE
    if mode == .create { flags |= SQLITE_OPEN_CREATE }
    var status = unsafe sqlite3_open_v2(path, &opened, flags, fileSystem)
    if status == SQLITE_OK { status = unsafe cs_sqlite3_distrust_file(opened) }
    guard status == SQLITE_OK, let handle = unsafe opened else {
      let error = unsafe DatabaseError(code: status, of: opened)
      unsafe sqlite3_close_v2(opened)
      throw error
    }
    unsafe self.handle = handle
  }

  deinit {
    // Statements that outlive the connection keep it alive inside SQLite: the order of deinits does not matter.
    unsafe sqlite3_close_v2(handle)
  }

  /// Whether the file could be opened for reading only.
  package var isReadOnly: Bool { unsafe sqlite3_db_readonly(handle, "main") == 1 }

  /// Runs statements without parameters and discards their rows.
  package mutating func execute(_ sql: String) throws(DatabaseError) {
    try check(unsafe sqlite3_exec(handle, sql, nil, nil, nil))
  }

  /// The first column of the first row as an integer; nil where there is no row.
  package mutating func integer(_ sql: String) throws(DatabaseError) -> Int64? {
    var statement = try prepare(sql)
    return try statement.first { row in row.integer(0) }
  }

  /// The first column of every row as text.
  package mutating func texts(_ sql: String) throws(DatabaseError) -> [String] {
    var statement = try prepare(sql)
    var texts: [String] = []
    try statement.query { row in
      texts.append(row.text(0))
      return true
    }
    return texts
  }

  /// Compiles one statement, to be kept and run often.
  package mutating func prepare(_ sql: String) throws(DatabaseError) -> Statement {
    var compiled: OpaquePointer?
    try check(unsafe sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &compiled, nil))
    guard let statement = unsafe compiled else {
      throw DatabaseError(kind: .other, code: SQLITE_MISUSE, systemCode: 0, description: "an empty statement")
    }
    return unsafe Statement(owning: statement, of: handle)
  }

  /// Runs `body` in one transaction: all of it is durable when this returns, and none of it has happened where it
  /// throws.
  package mutating func transaction<Result, Failure: Error>(
    translatingBy translate: (DatabaseError) -> Failure, _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    do throws(DatabaseError) {
      try execute("BEGIN IMMEDIATE")
    } catch {
      throw translate(error)
    }
    do throws(Failure) {
      let result = try body()
      do throws(DatabaseError) {
        try execute("COMMIT")
      } catch {
        throw translate(error)
      }
      return result
    } catch {
      // Some errors have already rolled back. Where rolling back fails too, the journal does it at the next opening.
      if unsafe sqlite3_get_autocommit(handle) == 0 { try? execute("ROLLBACK") }
      throw error
    }
  }

  private func check(_ status: Int32) throws(DatabaseError) {
    guard status == SQLITE_OK else { throw unsafe DatabaseError(code: status, of: handle) }
  }
}

extension DatabaseError {
  /// The error of the last call on `connection`.
  init(code: Int32, of connection: OpaquePointer?) {
    let systemCode = unsafe connection.map { connection in unsafe sqlite3_system_errno(connection) } ?? 0
    var text = unsafe String(cString: sqlite3_errstr(code))
    if let connection = unsafe connection, let message = unsafe sqlite3_errmsg(connection) {
      text = unsafe String(cString: message)
    }
    let kind = Kind(code: code, systemCode: systemCode)
    if kind == .full || kind == .inputOutput || kind == .readOnly, systemCode != 0 {
      text += " (\(unsafe String(cString: strerror(systemCode))))"
    }
    self.init(kind: kind, code: code, systemCode: systemCode, description: text)
  }
}

extension DatabaseError.Kind {
  fileprivate init(code: Int32, systemCode: Int32) {
    switch code & 0xFF {
    case SQLITE_FULL: self = .full
    case SQLITE_IOERR where systemCode == ENOSPC || systemCode == EDQUOT || systemCode == EFBIG: self = .full
    case SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_PERM, SQLITE_NOLFS, SQLITE_PROTOCOL: self = .inputOutput
    case SQLITE_READONLY: self = .readOnly
    case SQLITE_CORRUPT: self = .damaged
    case SQLITE_NOTADB: self = .notADatabase
    case SQLITE_BUSY, SQLITE_LOCKED: self = .busy
    case SQLITE_CONSTRAINT: self = .constraint
    default: self = .other
    }
  }
}
