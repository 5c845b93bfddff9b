/// SQLite's answer to a call that failed.
package struct DatabaseError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What a caller may have to tell apart.
  package enum Kind: Sendable {
    /// SQLITE_FULL, or an input/output error with ENOSPC or EDQUOT.
    case full
    /// SQLITE_READONLY and its extensions.
    case readOnly
    /// SQLITE_IOERR and its extensions, SQLITE_CANTOPEN, SQLITE_PERM, SQLITE_NOLFS, SQLITE_PROTOCOL.
    case inputOutput
    /// SQLITE_CORRUPT and its extensions.
    case damaged
    /// SQLITE_NOTADB.
    case notADatabase
    /// SQLITE_BUSY, SQLITE_LOCKED: another program holds the file.
    case busy
    /// SQLITE_CONSTRAINT and its extensions.
    case constraint
    /// Anything else: a mistake in the program, or no memory.
    case other
  }

  package let kind: Kind
  /// SQLite's extended result code.
  package let code: Int32
  /// errno(3) of the system call that failed; 0 where none is known.
  package let systemCode: Int32
  /// SQLite's text.
  package let description: String

  package init(kind: Kind, code: Int32, systemCode: Int32, description: String) {
    self.kind = kind
    self.code = code
    self.systemCode = systemCode
    self.description = description
  }
}
