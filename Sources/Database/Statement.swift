internal import CSQLite

/// A value bound to a parameter.
package enum DatabaseValue: Equatable, Sendable {
  case integer(Int64)
  case text(String)
  case bytes([UInt8])
  case null
}

/// A compiled statement. It is reset and its parameters are forgotten at the end of every run.
@safe package struct Statement: ~Copyable {
  private let handle: OpaquePointer
  private let connection: OpaquePointer

  init(owning handle: OpaquePointer, of connection: OpaquePointer) {
    unsafe self.handle = handle
    unsafe self.connection = connection
  }

  deinit {
    unsafe sqlite3_finalize(handle)
  }

  /// Runs a statement that gives no rows.
  ///
  /// - Returns: the number of rows that it inserted, changed or deleted
  @discardableResult
  package mutating func run(_ values: [DatabaseValue] = []) throws(DatabaseError) -> Int {
    try query(values) { _ in true }
    return Int(unsafe sqlite3_changes64(connection))
  }

  /// Runs a query up to its first row.
  package mutating func first<Result>(
    _ values: [DatabaseValue] = [], _ body: (borrowing Row) -> Result
  ) throws(DatabaseError) -> Result? {
    var result: Result?
    try query(values) { row in
      result = body(row)
      return false
    }
    return result
  }

  /// Runs a query and lends each row to `body`, which says whether it wants another.
  package mutating func query(
    _ values: [DatabaseValue] = [], _ body: (borrowing Row) -> Bool
  ) throws(DatabaseError) {
    defer {
      unsafe sqlite3_reset(handle)
      unsafe sqlite3_clear_bindings(handle)
    }
    for (index, value) in values.enumerated() { try bind(value, at: Int32(index + 1)) }
    while true {
      let status = unsafe sqlite3_step(handle)
      switch status {
      case SQLITE_ROW:
        let row = unsafe Row(of: handle)
        guard body(row) else { return }
      case SQLITE_DONE: return
      default: throw unsafe DatabaseError(code: status, of: connection)
      }
    }
  }

  private func bind(_ value: DatabaseValue, at index: Int32) throws(DatabaseError) {
    let status =
      switch value {
      case .integer(let number): unsafe sqlite3_bind_int64(handle, index, number)
      case .text(let text): unsafe cs_sqlite3_bind_text_copy(handle, index, text, Int32(text.utf8.count))
      case .bytes(let bytes): unsafe cs_sqlite3_bind_blob_copy(handle, index, bytes, Int32(bytes.count))
      case .null: unsafe sqlite3_bind_null(handle, index)
      }
    guard status == SQLITE_OK else { throw unsafe DatabaseError(code: status, of: connection) }
  }
}

/// The row that a query stands at, lent for one call: it cannot be copied or kept. Columns count from 0 and convert as
/// SQLite does: a NULL is 0, "" or no bytes.
@safe package struct Row: ~Copyable {
  private let handle: OpaquePointer

  fileprivate init(of handle: OpaquePointer) {
    unsafe self.handle = handle
  }

  package func integer(_ column: Int32) -> Int64 {
    unsafe sqlite3_column_int64(handle, column)
  }

  package func text(_ column: Int32) -> String {
    guard let bytes = unsafe sqlite3_column_text(handle, column) else { return "" }
    let count = Int(unsafe sqlite3_column_bytes(handle, column))
    return unsafe String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
  }

  package func bytes(_ column: Int32) -> [UInt8] {
    guard let bytes = unsafe sqlite3_column_blob(handle, column) else { return [] }
    let count = Int(unsafe sqlite3_column_bytes(handle, column))
    return unsafe Array(UnsafeRawBufferPointer(start: bytes, count: count))
  }
}
