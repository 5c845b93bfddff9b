internal import Authenticator
internal import Database
internal import Glibc
internal import Platform

/// Why credentials.db could not be opened.
struct OpenFailure: Error {
  let error: StoreError
  /// Whether another attempt is useless before the operator has put another file in its place.
  let isFinal: Bool

  init(_ error: StoreError, isFinal: Bool = false) {
    self.error = error
    self.isFinal = isFinal
  }

  init(_ error: DatabaseError, path: String) {
    self.init(StoreError(error, path: path), isFinal: error.kind == .damaged || error.kind == .notADatabase)
  }
}

/// What credentials.db looks like, how it comes to be, and how one is recognised.
///
/// A rollback journal (TRUNCATE, synchronous=EXTRA) rather than a write-ahead log: between transactions everything is
/// in one file, which a plain copy backs up; a damaged log cannot silently take acknowledged rows with it; and erased
/// records do not live on in one. It costs a few fsync(2) more for each change, little beside a key made in a TPM.
enum CredentialSchema {
  /// "CSgn", at offset 68 of the file.
  static let applicationID: Int64 = 0x4353_676E
  /// PRAGMA user_version. A change of `statements` raises it and comes with the step from the version before. There is
  /// none from format 1, which no release has written.
  static let version: Int64 = 2
  /// What builds before the first release wrote.
  private static let previewVersion: Int64 = 1

  static let statements = [
    "CREATE TABLE device (slot INTEGER PRIMARY KEY CHECK (slot = 1), record BLOB NOT NULL) STRICT",
    // The sequence is the row's place in the tree, so that rows are appended; the ID has an index of its own.
    "CREATE TABLE credential (sequence INTEGER PRIMARY KEY, id BLOB NOT NULL, rp_tag BLOB NOT NULL, "
      + "user_tag BLOB NOT NULL, discoverable INTEGER NOT NULL CHECK (discoverable IN (0, 1)), "
      + "protection INTEGER NOT NULL CHECK (protection IN (1, 2, 3)), record BLOB NOT NULL) STRICT",
    "CREATE UNIQUE INDEX credential_id ON credential (id)",
    // What the conditions name stands in the index too, so that counting reads no rows.
    "CREATE INDEX credential_rp ON credential (rp_tag, sequence, discoverable) WHERE discoverable = 1",
    // The relying parties in the order in which they came.
    "CREATE INDEX credential_order ON credential (sequence, rp_tag, discoverable) WHERE discoverable = 1",
    // Those that users who are not verified may see: they are found without passing over the others.
    "CREATE INDEX credential_open ON credential (rp_tag, sequence, discoverable, protection) "
      + "WHERE discoverable = 1 AND protection = 1",
    "CREATE UNIQUE INDEX credential_user ON credential (user_tag) WHERE discoverable = 1",
    "CREATE TABLE sealed (slot TEXT PRIMARY KEY CHECK (slot IN ('settings', 'largeBlobs')), "
      + "record BLOB NOT NULL) STRICT",
    "CREATE TABLE tally (slot INTEGER PRIMARY KEY CHECK (slot = 1), changes INTEGER NOT NULL) STRICT",
  ]

  private static let pageSize = 4096

  /// Set before the file is read. About 1 MB of pages is kept, however many rows there are.
  private static let settings = """
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA cache_size = -1024;
    PRAGMA mmap_size = 0;
    PRAGMA temp_store = MEMORY;
    PRAGMA secure_delete = ON;
    PRAGMA synchronous = EXTRA;
    """

  /// Opens a file that is there, and refuses one that is not ours, newer or damaged.
  static func open(
    _ directory: borrowing StateDirectory, thoroughly: Bool, fileSystem: String?
  ) throws(OpenFailure) -> Connection {
    let path = directory.credentialFile
    var connection = try connect(path, fileSystem: fileSystem)
    let refusal: StoreError?
    do throws(DatabaseError) {
      refusal = try reasonToRefuse(&connection, in: directory, thoroughly: thoroughly)
      // Switching over may change the file, so it comes after the file has been recognised.
      if refusal == nil, !connection.isReadOnly { try connection.execute("PRAGMA journal_mode = TRUNCATE") }
    } catch {
      throw OpenFailure(error, path: path)
    }
    if let refusal { throw OpenFailure(refusal, isFinal: true) }
    return connection
  }

  private static func connect(_ path: String, fileSystem: String?) throws(OpenFailure) -> Connection {
    do throws(DatabaseError) {
      var connection = try Connection(opening: path, mode: .existing, fileSystem: fileSystem)
      try connection.execute(settings)
      return connection
    } catch {
      throw OpenFailure(error, path: path)
    }
  }

  private static func reasonToRefuse(
    _ connection: inout Connection, in directory: borrowing StateDirectory, thoroughly: Bool
  ) throws(DatabaseError) -> StoreError? {
    let path = directory.credentialFile
    guard try connection.integer("PRAGMA application_id") == applicationID else {
      return .unavailable(
        "\(path) belongs to another program: it has been left as it is; move it away, and start countersignd again")
    }
    let found = try connection.integer("PRAGMA user_version") ?? 0
    guard found <= version else {
      return .unavailable(
        "\(path) was written by a newer Countersign (format \(found), known is \(version)): it has been left as it is; "
          + "install that version again")
    }
    guard found != previewVersion else {
      return .unavailable(
        "\(path) was made by a preview of Countersign before format 2: it has been left as it is; move \(directory.path) "
          + "away and enrol again, or go back to the older build")
    }
    let schema = try connection.texts("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")
    guard found == version, Set(schema) == Set(statements) else {
      return .damaged(path, "its tables are not Countersign's")
    }
    guard thoroughly else { return nil }
    let report = try connection.texts("PRAGMA integrity_check(1)")
    guard report == ["ok"] else { return .damaged(path, report.joined(separator: "; ")) }
    // SQLite takes what is missing from the last page for zeros.
    let size = (try? fileSize(path)) ?? nil
    return size?.isMultiple(of: pageSize) == true ? nil : .damaged(path, "it is cut short")
  }

  /// Makes the file under another name and renames it when it is whole: so credentials.db is never half made, and an
  /// empty one is known to be damaged.
  static func createIfMissing(in directory: borrowing StateDirectory, fileSystem: String?) throws(OpenFailure) {
    let path = directory.credentialFile
    let journal = path + "-journal"
    let size: Int?
    let journalSize: Int?
    do throws(SystemError) {
      size = try fileSize(path)
      journalSize = try fileSize(journal)
    } catch {
      throw OpenFailure(StoreError(error, path: path))
    }
    if let size {
      if size < pageSize { throw OpenFailure(.damaged(path, "it is empty or cut short"), isFinal: true) }
      return
    }
    // SQLite would play the journal of a lost file into the new one.
    guard journalSize ?? 0 == 0 else {
      throw OpenFailure(
        .unavailable(
          "\(path) is missing, but \(journal) is there: put the file back, or move the journal away to begin anew"))
    }
    let unfinished = path + ".new"
    do throws(SystemError) {
      try prepare(unfinished)
    } catch {
      throw OpenFailure(StoreError(error, path: unfinished))
    }
    do throws(DatabaseError) {
      try fill(unfinished, fileSystem: fileSystem)
    } catch {
      throw OpenFailure(error, path: unfinished)
    }
    do throws(SystemError) {
      try checked("rename") { unsafe rename(unfinished, path) }
      try directory.synchronize()
    } catch {
      throw OpenFailure(StoreError(error, path: path))
    }
  }

  /// An empty file that only its owner may read; SQLite gives its journals the same mode.
  private static func prepare(_ path: String) throws(SystemError) {
    for leftover in [path, path + "-journal"] {
      guard unsafe unlink(leftover) == 0 || errno == ENOENT else { throw SystemError(call: "unlink", code: errno) }
    }
    _ = try Descriptor(opening: path, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
  }

  private static func fill(_ path: String, fileSystem: String?) throws(DatabaseError) {
    var connection = try Connection(opening: path, mode: .existing, fileSystem: fileSystem)
    try connection.execute(settings)
    try connection.execute("PRAGMA page_size = \(pageSize)")
    // Nothing is worth rolling back: an unfinished file is thrown away.
    try connection.execute("PRAGMA journal_mode = MEMORY")
    let script = statements + ["PRAGMA application_id = \(applicationID)", "PRAGMA user_version = \(version)"]
    try connection.execute((["BEGIN"] + script + ["COMMIT"]).joined(separator: ";\n"))
  }

  /// nil where there is no such file.
  private static func fileSize(_ path: String) throws(SystemError) -> Int? {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else {
      if errno == ENOENT { return nil }
      throw SystemError(call: "stat", code: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw SystemError(call: "open", code: EINVAL) }
    return Int(status.st_size)
  }
}
