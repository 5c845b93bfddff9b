import Crypto
import Glibc
import Platform
import TestSupport
import Testing

@testable import AuditLog

/// The chain in files: across starts, crashes, failures, rotation.
@Suite struct ChainFileTests {
  let directory = TemporaryDirectory()
  let log = Lines()
  let signer = TestSigner()
  var path: String { directory.path + "/audit.jsonl" }

  private func file(
    _ medium: any AuditMedium = SystemMedium(), settings: AuditSettings = AuditSettings()
  ) throws -> AuditFile {
    try AuditFile(path: path, settings: settings, medium: medium, log: log.logger)
  }

  private func notary(_ file: AuditFile, settings: AuditSettings = AuditSettings()) -> AuditNotary {
    AuditNotary(file: file, signer: signer, settings: settings, clock: ManualTime(), log: log.logger)
  }

  private func write(_ numbers: Range<Int>, to file: AuditFile) async {
    for number in numbers { #expect(await outcome(file.submit(record(number))) == nil) }
  }

  private func verify(_ paths: [String], asking expectation: ChainExpectation? = nil) -> ChainVerifier {
    var verifier = ChainVerifier(key: signer.auditKey, expectation: expectation)
    for path in paths {
      verifier.beginFile()
      var splitter = LineSplitter()
      splitter.take(contents(of: path) ?? []) { verifier.take($0) }
      if let rest = splitter.finish() { verifier.take(rest, hasEnd: false) }
    }
    verifier.finish()
    return verifier
  }

  /// All that there is, in the order in which the command line reads it.
  private func verifyAll(asking expectation: ChainExpectation? = nil) throws -> ChainVerifier {
    verify(try LogFiles(path: path).earlier() + [path], asking: expectation)
  }

  @Test func everyLineHasTheHashOfTheOneBefore() async throws {
    let file = try file()
    await write(0..<20, to: file)
    file.close()
    var previous = [UInt8](repeating: 0, count: 32)
    for (index, line) in lines(of: path).dropLast().enumerated() {
      #expect(line.hasSuffix(",\"seq\":\(index + 1),\"previous\":\"\(hexadecimal(previous))\"}"))
      previous = SHA256.hash(Array((line + "\n").utf8))
    }
    #expect(file.end == ChainEnd(sequence: 20, hash: previous))
    #expect(file.figures.records == 20 && file.figures.synchronizations <= 20)
  }

  @Test func aLaterStartTakesTheChainUp() async throws {
    for part in 0..<4 {
      let file = try file()
      await write(part * 5..<part * 5 + 5, to: file)
      file.close()
    }
    #expect(try verifyAll().records == 20)
    #expect(tampering(try verifyAll()) == [])
  }

  @Test func aTornLineIsMarked() async throws {
    let first = try file()
    await write(0..<3, to: first)
    first.close()
    try overwrite(path, with: try #require(contents(of: path)) + Array("{\"time\":\"2023-1".utf8))
    let second = try file()
    await write(3..<5, to: second)
    second.close()
    let verifier = try verifyAll(asking: ChainExpectation(end: second.end, anchor: 40))
    #expect(tampering(verifier) == [] && notices(verifier) == ["torn 4", "unsigned 6"])
    #expect(lines(of: path)[4].contains(",\"seq\":4,\"torn\":16,\"previous\":"))
  }

  /// After power is lost, a file can end in zeros.
  @Test func aTailOfZerosIsATornLine() async throws {
    let first = try file()
    await write(0..<3, to: first)
    first.close()
    try overwrite(path, with: try #require(contents(of: path)) + [UInt8](repeating: 0, count: 300_000))
    let second = try file()
    await write(3..<5, to: second)
    second.close()
    #expect(tampering(try verifyAll()) == [])
  }

  @Test func whatStandsBehindTheChainIsNotTakenForIt() async throws {
    let first = try file()
    await write(0..<3, to: first)
    first.close()
    try overwrite(path, with: try #require(contents(of: path)) + Array("hello\n".utf8))
    let second = try file()
    await write(3..<5, to: second)
    second.close()
    #expect(tampering(try verifyAll()) == ["inserted 4"])
  }

  @Test func aFileThatIsChangedUnderTheDaemon() async throws {
    let file = try file()
    await write(0..<3, to: file)
    let older = try #require(contents(of: path))
    await write(3..<6, to: file)
    // Put back, in place and by its name.
    try overwrite(path, with: older)
    await write(6..<8, to: file)
    #expect(tampering(try verifyAll()) == ["cut out 4"])
    try overwrite(path, with: older)
    file.reopen()
    await write(8..<10, to: file)
    #expect(tampering(try verifyAll()) == ["cut out 4"])
    #expect(log.all.contains { $0.contains("does not end in the record that was written last") })
    file.close()
  }

  /// With each call failing once, twice and for good: what is in the file is one chain, and all that was acknowledged
  /// is in it.
  @Test(arguments: [1, 2, 1000], [EIO, ENOSPC]) func everyFailureKeepsTheChain(_ failures: Int, _ code: Int32)
    async throws
  {
    for place in 0..<12 {
      let path = directory.path + "/\(failures)-\(code)-\(place)"
      let medium = TestMedium()
      let file = try AuditFile(path: path, medium: medium, log: log.logger)
      #expect(await outcome(file.submit(record(0))) == nil)
      medium.arm(place..<place + failures, code: code)
      for batch in 0..<6 {
        let tickets = (1...3).map { file.submit(record(batch * 3 + $0)) }
        for ticket in tickets { _ = await outcome(ticket) }
      }
      medium.arm(0..<0)
      #expect(await outcome(file.submit(record(100))) == nil)
      #expect(await notary(file).sign())
      file.close()
      let verifier = verify([path], asking: ChainExpectation(end: file.end, anchor: 40))
      #expect(tampering(verifier) == [], "\(place): \(verifier.findings)")
    }
  }

  @Test func theDaemonRotates() async throws {
    var settings = AuditSettings()
    settings.rotateAfter = 1000
    let file = try file(settings: settings)
    await write(0..<30, to: file)
    file.close()
    let earlier = try LogFiles(path: path).earlier()
    #expect(earlier.count > 3)
    #expect(earlier[0].hasPrefix(path + ".00000000000"))
    let verifier = try verifyAll(asking: ChainExpectation(end: file.end, anchor: 40))
    #expect(tampering(verifier) == [] && verifier.records == 30)
    // One file is missing.
    #expect(tampering(verify([earlier[0]] + earlier[2...] + [path])) == ["cut out 1"])
  }

  @Test func aFileIsMovedAwayBehindASignature() async throws {
    var settings = AuditSettings()
    settings.rotateAfter = 2000
    let file = try file(settings: settings)
    let told = try EventCounter()
    file.observe { if $0 == .rotating { told.signal() } }
    await write(0..<11, to: file)
    told.wait()
    #expect(try LogFiles(path: path).earlier().isEmpty)
    #expect(await notary(file, settings: settings).sign())
    await write(11..<13, to: file)
    file.close()
    let earlier = try LogFiles(path: path).earlier()
    #expect(earlier.count == 1)
    #expect(lines(of: earlier[0]).dropLast().last?.contains("\"operation\":\"log.head\"") == true)
    #expect(tampering(try verifyAll()) == [])
  }

  @Test func asManyFilesAreKeptAsAsked() async throws {
    var settings = AuditSettings()
    settings.rotateAfter = 400
    settings.keep = 2
    let foreign = path + ".1"
    try overwrite(foreign, with: Array("not ours\n".utf8))
    let file = try file(settings: settings)
    await write(0..<30, to: file)
    file.close()
    #expect(try LogFiles(path: path).earlier().count == 2)
    #expect(contents(of: foreign) != nil)
    let verifier = try verifyAll()
    #expect(tampering(verifier) == [] && notices(verifier).contains("begins 0"))
  }

  @Test func nothingIsOverwrittenByRotation() async throws {
    var settings = AuditSettings()
    settings.rotateAfter = 400
    let file = try file(settings: settings)
    for number in 1...9 { try overwrite(LogFiles(path: path).rotated(at: UInt64(number)), with: [0x78]) }
    await write(0..<9, to: file)
    file.close()
    for number in 1...9 { #expect(contents(of: LogFiles(path: path).rotated(at: UInt64(number))) == [0x78]) }
    #expect(log.all.filter { $0.contains("goes on growing") }.count == 1)
    #expect(tampering(try verifyAll()) == [])
  }

  /// As logrotate(8) does it: its numbers begin again with each rotation.
  @Test func renamingFromOutsideKeepsTheChain() async throws {
    let file = try file()
    for part in 0..<3 {
      await write(part * 4..<part * 4 + 4, to: file)
      if rename(path + ".1", path + ".2") != 0 { #expect(part < 1 || errno == ENOENT) }
      #expect(rename(path, path + ".1") == 0)
      // Written to the file that was moved, until the signal comes.
      await write(100..<101, to: file)
      file.reopen()
    }
    await write(20..<22, to: file)
    file.close()
    #expect(try LogFiles(path: path).earlier() == [path + ".2", path + ".1"])
    #expect(tampering(try verifyAll()) == [])
  }

  /// Moved away, and the daemon ended before it wrote again.
  @Test func theChainIsFoundInAnEarlierFile() async throws {
    let first = try file()
    await write(0..<3, to: first)
    first.close()
    #expect(rename(path, path + ".1") == 0)
    let second = try file()
    await write(3..<5, to: second)
    second.close()
    #expect(tampering(try verifyAll()) == [])
    #expect(try verifyAll().records == 5)
    // In the middle of a line, which stays as it is.
    try overwrite(path, with: try #require(contents(of: path)) + Array("{\"ti".utf8))
    #expect(rename(path, path + ".2") == 0)
    let third = try file()
    await write(5..<7, to: third)
    third.close()
    let verifier = try verifyAll()
    #expect(tampering(verifier) == [] && notices(verifier).first == "torn 3")
  }

  // MARK: Signatures

  @Test func theChainIsSignedInTheEnd() async throws {
    let file = try file()
    let notary = notary(file)
    await write(0..<5, to: file)
    await notary.finish()
    file.close()
    let verifier = try verifyAll(asking: ChainExpectation(end: file.end, anchor: signer.now.anchor))
    #expect(verifier.findings.isEmpty && verifier.signatures == 1, "\(verifier.findings)")
    #expect(signer.now.anchor == 41)
    #expect(file.figures.unsigned == 0)
  }

  @Test func theChainIsSignedAfterSoManyRecords() async throws {
    var settings = AuditSettings()
    settings.signAfterRecords = 5
    settings.signAfterSeconds = 86_400
    let file = try file(settings: settings)
    let notary = notary(file, settings: settings)
    notary.start()
    await write(0..<5, to: file)
    while file.figures.unsigned > 0 { await Task.yield() }
    #expect(signer.now.signatures == 1 && signer.now.anchor == 40)
    await write(5..<9, to: file)
    #expect(signer.now.signatures == 1)
    await notary.finish()
    file.close()
    #expect(tampering(try verifyAll()) == [])
    #expect(try verifyAll().signatures == 2)
  }

  @Test func theChainIsSignedAfterSomeTime() async throws {
    var settings = AuditSettings()
    settings.signAfterSeconds = 0
    let file = try file(settings: settings)
    let notary = notary(file, settings: settings)
    notary.start()
    await write(0..<1, to: file)
    while file.figures.unsigned > 0 { await Task.yield() }
    await notary.finish()
    #expect(signer.now.signatures == 1, "nothing is signed twice")
    file.close()
  }

  @Test func theAnchorIsAdvancedOnceAnHour() async throws {
    let clock = ManualTime()
    let file = try file()
    let notary = AuditNotary(file: file, signer: signer, settings: AuditSettings(), clock: clock, log: log.logger)
    for minutes in [0, 20, 20, 21, 1, 58, 2] {
      clock.advance(by: .seconds(minutes * 60))
      await write(0..<1, to: file)
      #expect(await notary.sign())
    }
    #expect(signer.now.signatures == 7 && signer.now.anchor == 42)
    file.close()
    #expect(tampering(try verifyAll()) == [])
  }

  /// A TPM that is away stops nothing, and is asked again.
  @Test func aTPMThatIsAwayStopsNoRecord() async throws {
    signer.change { $0.isAway = true }
    let file = try file()
    let notary = notary(file)
    await write(0..<3, to: file)
    #expect(await !notary.sign())
    #expect(await !notary.sign())
    await write(3..<6, to: file)
    #expect(log.all.filter { $0.contains("is not signed for now") }.count == 1)
    signer.change { $0.isAway = false }
    #expect(await notary.sign())
    #expect(log.all.contains { $0.contains("signed again") })
    file.close()
    #expect(tampering(try verifyAll()) == [])
  }

  /// The line comes first: an anchor that no line has would look like a rollback.
  @Test func aCrashBeforeTheAnchorIsNoRollback() async throws {
    var log = LogFixture(signer: signer)
    log.add(record(1))
    log.sign(advancing: true)
    let ahead = ChainExpectation(end: log.end, anchor: 40)
    #expect(tampering(log.verify(asking: ahead)) == [])
    let file = try file()
    await write(0..<1, to: file)
    #expect(await notary(file).sign(anchoring: true))
    #expect(lines(of: path)[1].contains("\"anchor\":\(signer.now.anchor),"))
    file.close()
  }

  // MARK: What a start finds

  private func mismatch(at anchor: UInt64? = nil) throws(AuditError) -> String? {
    try LogTail(path: path, key: signer.auditKey).mismatch(with: anchor ?? signer.now.anchor)
  }

  private func writeSigned(_ numbers: Range<Int>, anchoring: Bool = true) async throws {
    let file = try file()
    await write(numbers, to: file)
    #expect(await notary(file).sign(anchoring: anchoring))
    file.close()
  }

  @Test func aLogThatItsTPMRemembersIsTakenUp() async throws {
    // Before there is any signature, and before there is a file.
    #expect(try mismatch() == nil)
    try await writeSigned(0..<3, anchoring: false)
    #expect(try mismatch() == nil)
    try await writeSigned(3..<6)
    #expect(try mismatch() == nil && signer.now.anchor == 41)
    // The line stands, and a crash has kept the anchor from following it.
    #expect(try mismatch(at: 40) == nil)
    // What comes after a signature, more than is read at first.
    let later = try file()
    for _ in 0..<2 { _ = later.submit(record(7, reason: String(repeating: "x", count: 60_000))) }
    await write(0..<30, to: later)
    let last = (0..<20).map { _ in later.submit(record(8, reason: String(repeating: "x", count: 60_000))) }
    for ticket in last { #expect(await outcome(ticket) == nil) }
    later.close()
    #expect(try mismatch() == nil)
    // In a file of its own that has no signature yet.
    #expect(rename(path, path + "-20261128") == 0)
    #expect(try mismatch() == nil)
    let next = try file()
    await write(0..<3, to: next)
    next.close()
    #expect(try mismatch() == nil)
  }

  /// What is cheap enough for whoever looks often.
  @Test func theEndIsComparedWithoutTheRest() async throws {
    func flaw(_ expectation: ChainExpectation) throws -> String? {
      try LogTail(path: path, key: signer.auditKey).flaw(against: expectation)
    }
    try await writeSigned(0..<6)
    let later = try file()
    await write(6..<9, to: later)
    let expectation = ChainExpectation(end: later.end, anchor: signer.now.anchor)
    later.close()
    let whole = try #require(contents(of: path))
    #expect(try flaw(expectation) == nil)
    // The log goes on while it is looked at, and is moved away.
    let more = try file()
    await write(9..<12, to: more)
    more.close()
    #expect(try flaw(expectation) == nil)
    #expect(rename(path, path + "-20261128") == 0)
    #expect(try flaw(expectation) == nil)
    #expect(unlink(path + "-20261128") == 0)
    let lines = whole.split(separator: UInt8(ascii: "\n")).map { Array($0) + [UInt8(ascii: "\n")] }
    try overwrite(path, with: Array(lines.dropLast(2).joined()))
    #expect(try flaw(expectation)?.hasPrefix("truncated: ends with record ") == true)
    var altered = lines
    altered[lines.count - 2][30] ^= 1
    try overwrite(path, with: Array(altered.joined()))
    #expect(try flaw(expectation)?.hasPrefix("altered: ") == true)
    try overwrite(path, with: whole)
    var older = expectation
    older.anchor += 2
    #expect(try flaw(older)?.hasPrefix("rolled back: ") == true)
  }

  @Test func aLogThatOthersHavePutThereIsNot() async throws {
    try await writeSigned(0..<3)
    let older = try #require(contents(of: path))
    try await writeSigned(3..<6)
    let newer = try #require(contents(of: path))
    try overwrite(path, with: older)
    #expect(try mismatch()?.contains("anchor 41, and the TPM is at 42") == true)
    try overwrite(path, with: [])
    #expect(try mismatch()?.contains("no signature") == true)
    // A chain from some record on, without any signature.
    var position = ChainPosition(ChainEnd(sequence: 499, hash: SHA256.hash([1])), region: [1], torn: nil)
    let forged = position.link(AuditLine(record(1)).bytes)
    try overwrite(path, with: forged)
    #expect(try mismatch()?.contains("no signature") == true)
    // With the last signature before it, its break shows by itself.
    let head = try #require(newer.split(separator: 0x0A).last)
    try overwrite(path, with: Array(head) + [0x0A] + forged)
    #expect(try mismatch() == nil && tampering(verify([path])) == ["cut out 2"])
  }
}

@Suite struct JournalTests {
  let directory = TemporaryDirectory()

  @Test func recordsAreCopiedAndNothingWaits() async throws {
    let log = Lines()
    let socket = directory.path + "/journal"
    #expect(JournalCopies(path: socket, log: log.logger) == nil)
    let receiver = try DatagramReceiver(at: socket)
    let journal = try #require(JournalCopies(path: socket, log: log.logger))
    let file = try AuditFile(path: directory.path + "/audit.jsonl", log: log.logger, journal: journal)
    var copied = record(1, reason: "a\nCOUNTERSIGN_UID=0")
    copied.claims = ["ref": "main"]
    #expect(await outcome(file.submit(copied)) == nil)
    let message = receiver.next()
    #expect(
      message == """
        MESSAGE=audit: allowed authenticate for uid 1000: a?COUNTERSIGN_UID=0
        PRIORITY=6
        SYSLOG_IDENTIFIER=countersignd
        COUNTERSIGN_OUTCOME=allowed
        COUNTERSIGN_OPERATION=authenticate
        COUNTERSIGN_TIME=2023-11-14T22:13:20.001Z
        COUNTERSIGN_CONNECTION=1
        COUNTERSIGN_UID=1000
        COUNTERSIGN_GID=1000
        COUNTERSIGN_CLAIM=ref=main
        COUNTERSIGN_REASON=a?COUNTERSIGN_UID=0

        """)
    // Nobody reads: the queue of a datagram socket is short.
    for number in 0..<5000 { _ = file.submit(record(number)) }
    #expect(await outcome(file.submit(record(1))) == nil)
    file.close()
    #expect(file.figures.lostCopies > 0 && file.figures.records == 5002)
    #expect(log.all.filter { $0.contains("journald does not take") }.count == 1)
  }
}

/// A datagram socket that takes what is sent when it is asked.
private final class DatagramReceiver {
  private let raw: Int32

  init(at path: String) throws {
    raw = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let raw = raw
    try withUnsafePointer(to: &address) { address throws(SystemError) in
      try address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address throws(SystemError) in
        _ = try checked("bind") { bind(raw, address, socklen_t(MemoryLayout<sockaddr_un>.size)) }
      }
    }
  }

  deinit {
    close(raw)
  }

  func next() -> String {
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = recv(raw, &bytes, bytes.count, 0)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }
}
