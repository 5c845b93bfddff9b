import AuditLog
import Glibc
import Platform
import TestSupport
import Testing

@Suite struct AuditFileTests {
  let directory = TemporaryDirectory()
  let log = Lines()
  var path: String { directory.path + "/audit.jsonl" }

  private func file(_ medium: any AuditMedium = SystemMedium(), maximumQueue: Int = 4 << 20) throws -> AuditFile {
    try AuditFile(path: path, maximumQueue: maximumQueue, medium: medium, log: log.logger)
  }

  /// The line of ``record(_:reason:)``, as far as it tells records apart.
  private func number(of line: String) -> Int? {
    guard line.hasPrefix("{\"time\":\""), line.hasSuffix("}"),
      let start = line.firstRange(of: "\"connection\":")?.upperBound
    else { return nil }
    return Int(line[start...].prefix { $0.isNumber })
  }

  @Test func recordsStandInTheOrderOfSubmission() async throws {
    let file = try file()
    defer { file.close() }
    let tickets = (0..<2000).map { file.submit(record($0)) }
    for ticket in tickets.reversed() { #expect(await outcome(ticket) == nil) }
    #expect(await outcome(tickets[0]) == nil, "a ticket can be asked again")
    #expect(lines(of: path).compactMap(number) == Array(0..<2000))
    #expect(lines(of: path).last == "", "the last line has an end")
  }

  @Test func manyWaitForOneTicket() async throws {
    let file = try file()
    defer { file.close() }
    let ticket = file.submit(record(1))
    await withTaskGroup(of: AuditError?.self) { group in
      for _ in 0..<50 { group.addTask { await outcome(ticket) } }
      for await error in group { #expect(error == nil) }
    }
  }

  @Test func recordsShareASync() async throws {
    let (reached, open) = (try EventCounter(), try EventCounter())
    let medium = TestMedium(gate: (reached, open))
    let file = try file(medium)
    let first = file.submit(record(0))
    reached.wait()
    // The first is in its sync: these come together after it.
    let others = (1...50).map { file.submit(record($0)) }
    #expect(medium.now.durable.isEmpty)
    #expect(file.waiting == 50)
    open.signal()
    #expect(await outcome(first) == nil)
    #expect(lines(of: path).compactMap(number).first == 0)
    reached.wait()
    #expect(file.waiting == 0)
    open.signal()
    for other in others { #expect(await outcome(other) == nil) }
    #expect(medium.now.calls == [.write, .synchronize, .write, .synchronize])
    file.close()
  }

  @Test(arguments: ["hastened", "awaited", "followed", "closed"])
  func recordsWaitForTheFirstThatIsWanted(_ how: String) async throws {
    let (reached, open) = (try EventCounter(), try EventCounter())
    let medium = TestMedium(gate: (reached, open))
    let file = try AuditFile(path: path, patience: -1, medium: medium, log: log.logger)
    let first = file.submit(record(0))
    try await onItsOwnThread { reached.wait() }
    // From here the thread does not sleep for good.
    let tickets = (1...50).map { file.submit(record($0), .whenWanted) }
    open.signal()
    #expect(await outcome(first) == nil)
    #expect(file.waiting == 50)
    #expect(medium.now.calls == [.write, .synchronize])
    switch how {
    case "hastened": tickets[24].hasten()
    case "awaited": Task { _ = await outcome(tickets[24]) }
    case "followed": _ = file.submit(record(51))
    default: Task { try await onItsOwnThread { file.close() } }
    }
    try await onItsOwnThread { reached.wait() }
    open.signal()
    for ticket in tickets {
      #expect(await outcome(ticket) == nil)
      ticket.hasten()
    }
    try await onItsOwnThread { file.close() }
    #expect(lines(of: path).compactMap(number) == Array(0...(how == "followed" ? 51 : 50)))
    #expect(medium.now.calls == [.write, .synchronize, .write, .synchronize])
  }

  /// What waits for others takes no room from what does not.
  @Test func theyDoNotWaitWhereTheyWouldFillTheQueue() async throws {
    let (reached, open) = (try EventCounter(), try EventCounter())
    let file = try AuditFile(
      path: path, maximumQueue: 16_000, patience: -1, medium: TestMedium(gate: (reached, open)), log: log.logger)
    let first = file.submit(record(0))
    try await onItsOwnThread { reached.wait() }
    let waiting = file.submit(record(1), .whenWanted)
    open.signal()
    #expect(await outcome(first) == nil)
    #expect(file.waiting == 1)
    // With this there are more than 1,000 bytes.
    _ = file.submit(record(2, reason: String(repeating: "x", count: 1000)), .whenWanted)
    try await onItsOwnThread { reached.wait() }
    open.signal()
    #expect(await outcome(waiting) == nil)
    try await onItsOwnThread { file.close() }
  }

  @Test func aRecordThatNobodyWantsIsWrittenAllTheSame() async throws {
    let (reached, open) = (try EventCounter(), try EventCounter())
    let file = try AuditFile(path: path, patience: 1, medium: TestMedium(gate: (reached, open)), log: log.logger)
    // Now and then the thread sleeps for good when the next one comes, and now and then not yet.
    for number in 0..<50 {
      _ = file.submit(record(number), .whenWanted)
      try await onItsOwnThread { reached.wait() }
      open.signal()
    }
    try await onItsOwnThread { file.close() }
    #expect(lines(of: path).compactMap(number) == Array(0..<50))
  }

  @Test func noAcknowledgementBeforeTheSyncReturned() async throws {
    let (reached, open) = (try EventCounter(), try EventCounter())
    let medium = TestMedium(gate: (reached, open))
    let file = try file(medium)
    let ticket = file.submit(record(7))
    let waiting = Task { () -> [UInt8] in
      _ = await outcome(ticket)
      return medium.now.durable
    }
    reached.wait()
    open.signal()
    #expect(String(decoding: await waiting.value, as: UTF8.self).contains("\"connection\":7,"))
    file.close()
  }

  @Test func aTornLineIsKeptAndEnded() async throws {
    let torn = "{\"time\":\"2023-11-14T22:13:20.001Z\",\"outc"
    try overwrite(path, with: Array("{\"whole\":1}\n\(torn)".utf8))
    let file = try file()
    #expect(await outcome(file.submit(record(1))) == nil)
    file.close()
    let found = lines(of: path)
    #expect(found.count == 4)
    #expect(found[0] == "{\"whole\":1}")
    #expect(found[1] == torn)
    #expect(number(of: found[2]) == 1)
    #expect(log.all.contains { $0.contains("ends in the middle of a line") })
  }

  /// Verification takes a line beyond this length for no record, so none is written.
  @Test func aRecordThatIsTooLongIsRefused() async throws {
    let file = try file()
    let long = await outcome(file.submit(record(1, reason: String(repeating: "é", count: 11_000))))
    #expect(long?.description.contains("too long") == true)
    #expect(await outcome(file.submit(record(2, reason: String(repeating: "x", count: 60_000)))) == nil)
    file.close()
    let found = lines(of: path).dropLast()
    #expect(found.compactMap(number) == [2])
    #expect(found.allSatisfy { ChainLine(Array($0.utf8)) != nil })
  }

  @Test func anEarlierLogIsContinued() async throws {
    let first = try file()
    #expect(await outcome(first.submit(record(1))) == nil)
    first.close()
    let second = try file()
    #expect(await outcome(second.submit(record(2))) == nil)
    second.close()
    #expect(lines(of: path).compactMap(number) == [1, 2])
    #expect(log.all.isEmpty)
  }

  /// With each call failing once, twice and for good: what is acknowledged is durable, once, whole and in order.
  @Test(arguments: [1, 2, 1000], [EIO, ENOSPC])
  func everyFailureIsTold(_ failures: Int, _ code: Int32) async throws {
    for place in 0..<12 {
      let path = directory.path + "/\(failures)-\(code)-\(place)"
      let medium = TestMedium()
      let file = try AuditFile(path: path, medium: medium, log: log.logger)
      #expect(await outcome(file.submit(record(0))) == nil)
      medium.arm(place..<place + failures, code: code)
      var acknowledged = [0]
      var refused = 0
      for batch in 0..<6 {
        let numbers = (1...3).map { batch * 3 + $0 }
        let tickets = numbers.map { ($0, file.submit(record($0))) }
        for (number, ticket) in tickets {
          if let error = await outcome(ticket) {
            refused += 1
            #expect(error.description.contains(code == EIO ? "Input/output error" : "No space left on device"))
            #expect(error.description.contains(path))
          } else {
            acknowledged.append(number)
          }
        }
      }
      medium.arm(0..<0)
      #expect(await outcome(file.submit(record(100))) == nil, "it works again")
      acknowledged.append(100)
      file.close()

      let durable = String(decoding: medium.now.durable, as: UTF8.self)
      for number in acknowledged { #expect(durable.contains("\"connection\":\(number),"), "\(place): \(number)") }
      let inFile = lines(of: path).compactMap(number)
      #expect(inFile.filter(acknowledged.contains).removingRepetitions() == acknowledged, "\(place)")
      if failures == 1000, place < 2 { #expect(refused > 0) }
    }
    #expect(log.all.contains { $0.contains("nothing is signed until it can be written") })
    #expect(log.all.contains { $0.contains("can be written again") })
  }

  @Test func aFailedSyncIsNotTrustedTwice() async throws {
    let medium = TestMedium()
    let file = try file(medium)
    medium.arm(0..<1, kinds: [.synchronize])
    #expect(await outcome(file.submit(record(1))) == nil)
    #expect(medium.now.calls == [.write, .synchronize, .truncate, .write, .synchronize])
    #expect(String(decoding: medium.now.durable, as: UTF8.self).contains("\"connection\":1,"))
    #expect(lines(of: path).compactMap(number) == [1])
    medium.arm(0..<2, kinds: [.synchronize])
    #expect(await outcome(file.submit(record(2))) != nil)
    #expect(await outcome(file.submit(record(3))) == nil)
    file.close()
    #expect(lines(of: path).compactMap(number) == [1, 3])
  }

  @Test func aFullDiskKeepsWhatFits() async throws {
    let (reached, open) = (try EventCounter(), try EventCounter())
    let medium = TestMedium(gate: (reached, open))
    let file = try file(medium)
    let first = file.submit(record(10))
    reached.wait()
    let others = (11...13).map { file.submit(record($0)) }
    medium.arm(0..<1, kinds: [.write], code: ENOSPC)
    open.signal()
    #expect(await outcome(first) == nil)
    // Two thirds of three lines of one length are two lines.
    reached.wait()
    open.signal()
    #expect(await outcome(others[0]) == nil)
    #expect(await outcome(others[1]) == nil)
    #expect(await outcome(others[2])?.description.contains("No space left on device") == true)
    open.signal()
    #expect(await outcome(file.submit(record(14))) == nil)
    file.close()
    #expect(lines(of: path).compactMap(number) == [10, 11, 12, 14])
    #expect(lines(of: path).count == 5)
  }

  @Test func aTornLineThatCannotBeTakenBackIsEnded() async throws {
    let medium = TestMedium()
    let file = try file(medium)
    medium.arm(0..<2, kinds: [.write, .truncate])
    #expect(await outcome(file.submit(record(1))) != nil)
    medium.arm(0..<0)
    #expect(await outcome(file.submit(record(2))) == nil)
    file.close()
    let found = lines(of: path)
    #expect(found.count == 3)
    #expect(number(of: found[0]) == nil)
    #expect(number(of: found[1]) == 2)
  }

  @Test func theQueueIsBounded() async throws {
    let (reached, open) = (try EventCounter(), try EventCounter())
    let file = try file(TestMedium(gate: (reached, open)), maximumQueue: 1000)
    let first = file.submit(record(0))
    reached.wait()
    var tickets: [any AuditTicket] = []
    for number in 1...20 { tickets.append(file.submit(record(number))) }
    let overflow = await outcome(tickets[19])
    #expect(overflow?.description.contains("does not keep up") == true)
    open.signal()
    open.signal()
    #expect(await outcome(first) == nil)
    reached.wait()
    open.signal()
    #expect(await outcome(tickets[0]) == nil)
    open.signal()
    #expect(await outcome(file.submit(record(21))) == nil)
    file.close()
  }

  @Test func aRotatedFileIsLeft() async throws {
    let file = try file()
    #expect(await outcome(file.submit(record(1))) == nil)
    #expect(rename(path, path + ".1") == 0)
    #expect(await outcome(file.submit(record(2))) == nil)
    file.reopen()
    #expect(await outcome(file.submit(record(3))) == nil)
    file.close()
    #expect(lines(of: path + ".1").compactMap(number) == [1, 2])
    #expect(lines(of: path).compactMap(number) == [3])
  }

  @Test func aShortenedFileIsContinuedAtItsEnd() async throws {
    let file = try file()
    for number in 1...3 { #expect(await outcome(file.submit(record(number))) == nil) }
    #expect(truncate(path, 0) == 0)
    #expect(await outcome(file.submit(record(4))) == nil)
    file.close()
    #expect(lines(of: path).compactMap(number) == [4])
  }

  @Test func closingWritesWhatWaits() async throws {
    let file = try file()
    let tickets = (0..<100).map { file.submit(record($0)) }
    file.close()
    file.close()
    for ticket in tickets { #expect(await outcome(ticket) == nil) }
    #expect(await outcome(file.submit(record(100)))?.description.contains("closed") == true)
    #expect(lines(of: path).compactMap(number) == Array(0..<100))
  }

  @Test func theModeIsAsAsked() async throws {
    let file = try AuditFile(path: path, mode: 0o640, log: log.logger)
    file.close()
    var status = stat()
    #expect(stat(path, &status) == 0)
    #expect(status.st_mode & 0o7777 == 0o640)
  }

  @Test func aWrongPathIsSaid() throws {
    let missing = #expect(throws: AuditError.self) {
      _ = try AuditFile(path: directory.path + "/none/audit.jsonl", log: log.logger)
    }
    #expect(missing?.description.contains("No such file or directory") == true)
    let advice = "there must be a folder \(directory.path("none")) that is the daemon's own"
    #expect(missing?.description.contains(advice) == true)
    #expect(throws: AuditError.self) { _ = try AuditFile(path: directory.path, log: log.logger) }
    #expect(mkfifo(path, 0o600) == 0)
    #expect(throws: AuditError.self) { _ = try AuditFile(path: path, log: log.logger) }
    #expect(throws: AuditError.self) { _ = try AuditFile(path: "/dev/full", log: log.logger) }
  }
}

extension [Int] {
  /// A failed sync may leave a line twice; the first counts.
  fileprivate func removingRepetitions() -> [Int] {
    var seen: Set<Int> = []
    return filter { seen.insert($0).inserted }
  }
}
