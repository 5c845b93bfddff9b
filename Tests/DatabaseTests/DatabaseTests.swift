import CFaultyFiles
import Database
import TestSupport
import Testing

@Suite struct DatabaseTests {
  let directory = TemporaryDirectory()
  var path: String { directory.path + "/test.db" }

  private func table() throws -> Connection {
    var connection = try Connection(opening: path, mode: .create)
    try connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB, c TEXT)")
    return connection
  }

  @Test func valuesComeBack() throws {
    var connection = try table()
    var insert = try connection.prepare("INSERT INTO t VALUES (?1, ?2, ?3)")
    let bytes: [[UInt8]] = [[], [0], [0, 1, 0], [UInt8](repeating: 7, count: 100_000)]
    for (index, value) in bytes.enumerated() {
      let changed = try insert.run([.integer(Int64(index)), .bytes(value), .text("a\u{0}ü'\"\(index)")])
      #expect(changed == 1)
    }
    try insert.run([.integer(.min), .null, .null])
    var select = try connection.prepare("SELECT a, b, c, typeof(b), typeof(c) FROM t WHERE a = ?1")
    for (index, value) in bytes.enumerated() {
      let row = try select.first([.integer(Int64(index))]) { ($0.integer(0), $0.bytes(1), $0.text(2), $0.text(3)) }
      #expect(row?.0 == Int64(index))
      #expect(row?.1 == value)
      #expect(row?.2 == "a\u{0}ü'\"\(index)")
      #expect(row?.3 == "blob")
    }
    let null = try select.first([.integer(.min)]) {
      $0.text(3) == "null" && $0.text(4) == "null" && $0.bytes(1).isEmpty
    }
    #expect(null == true)
    #expect(try select.first([.integer(99)]) { $0.integer(0) } == nil)
  }

  @Test func aRunForgetsItsParameters() throws {
    var connection = try table()
    var insert = try connection.prepare("INSERT INTO t VALUES (?1, ?2, ?3)")
    try insert.run([.integer(1), .bytes([1]), .text("x")])
    try insert.run([.integer(2)])
    #expect(try connection.integer("SELECT count(*) FROM t WHERE a = 2 AND b IS NULL AND c IS NULL") == 1)
  }

  @Test func statementsSurviveErrors() throws {
    var connection = try table()
    var insert = try connection.prepare("INSERT INTO t (a) VALUES (?1)")
    try insert.run([.integer(1)])
    let error = #expect(throws: DatabaseError.self) { try insert.run([.integer(1)]) }
    #expect(error?.kind == .constraint)
    try insert.run([.integer(2)])
    #expect(try connection.integer("SELECT count(*) FROM t") == 2)
  }

  @Test func statementsOutliveTheirConnection() throws {
    var statement: Statement
    do {
      var connection = try table()
      statement = try connection.prepare("SELECT count(*) FROM t")
    }
    #expect(try statement.first { $0.integer(0) } == 0)
  }

  @Test func transactionsAreWholeOrNothing() throws {
    struct Changed: Error {}
    var connection = try table()
    var insert = try connection.prepare("INSERT INTO t (a) VALUES (?1)")
    #expect(throws: Changed.self) {
      try connection.transaction(translatingBy: { $0 as any Error }) {
        try insert.run([.integer(1)])
        throw Changed()
      }
    }
    #expect(try connection.integer("SELECT count(*) FROM t") == 0)
    try connection.transaction(translatingBy: { $0 as any Error }) { _ = try insert.run([.integer(1)]) }
    #expect(try connection.integer("SELECT count(*) FROM t") == 1)
  }

  @Test func errorsHaveTheirKinds() throws {
    let missing = #expect(throws: DatabaseError.self) {
      _ = try Connection(opening: directory.path + "/none.db", mode: .existing)
    }
    #expect(missing?.kind == .inputOutput)

    try overwrite(path, with: Array("not a database, but long enough to hold the header of one, as it were".utf8) + [0])
    var foreign = try Connection(opening: path, mode: .existing)
    let notADatabase = #expect(throws: DatabaseError.self) { try foreign.execute("SELECT * FROM sqlite_schema") }
    #expect(notADatabase?.kind == .notADatabase)

    let syntax = #expect(throws: DatabaseError.self) { try foreign.execute("SELEKT") }
    #expect(syntax?.kind == .other)
    #expect(throws: DatabaseError.self) { _ = try foreign.prepare("  -- nothing") }
  }

  @Test func anotherHolderIsBusy() throws {
    var first = try table()
    try first.execute("BEGIN EXCLUSIVE")
    var second = try Connection(opening: path, mode: .existing)
    let error = #expect(throws: DatabaseError.self) { try second.execute("SELECT * FROM t") }
    #expect(error?.kind == .busy)
  }

  @Test func fullAndReadOnlyDisks() throws {
    _ = try table()
    let name = "database-kinds"
    try #require(cs_faulty_register(name) == 0)
    var connection = try Connection(opening: path, mode: .existing, fileSystem: name)
    cs_faulty_arm(name, Int32(CS_FAULT_FULL), 0, -1)
    let full = #expect(throws: DatabaseError.self) { try connection.execute("INSERT INTO t (a) VALUES (1)") }
    #expect(full?.kind == .full)
    cs_faulty_arm(name, Int32(CS_FAULT_SYNC), 0, -1)
    let failed = #expect(throws: DatabaseError.self) { try connection.execute("INSERT INTO t (a) VALUES (1)") }
    #expect(failed?.kind == .inputOutput)
    cs_faulty_disarm(name)
    cs_faulty_set_read_only(name, 1)
    var reader = try Connection(opening: path, mode: .existing, fileSystem: name)
    let isReadOnly = reader.isReadOnly
    #expect(isReadOnly)
    let readOnly = #expect(throws: DatabaseError.self) { try reader.execute("INSERT INTO t (a) VALUES (1)") }
    #expect(readOnly?.kind == .readOnly)
  }
}
