import Crypto
import Platform
import TestSupport
import Testing

@testable import AuditLog

/// Each kind of tampering, where it is found and under which name.
@Suite struct ChainVerifierTests {
  private let log = LogFixture.signed()

  private func altered(_ line: [UInt8], _ old: String, _ new: String) throws -> [UInt8] {
    let text = String(decoding: line, as: UTF8.self)
    try #require(text.contains(old))
    return Array(text.replacing(old, with: new, maxReplacements: 1).utf8)
  }

  @Test func aLogThatNobodyHasChangedIsVerified() {
    let verifier = log.verify(asking: log.expectation)
    #expect(verifier.findings.isEmpty, "\(verifier.findings)")
    #expect(!verifier.isTampered)
    #expect(verifier.records == 33 && verifier.signatures == 3)
    #expect(verifier.first == 1 && verifier.end == log.end && verifier.signedThrough == 32)
  }

  @Test func anEmptyLog() {
    #expect(tampering(log.verify([])) == [])
    #expect(tampering(log.verify([], asking: log.expectation)) == ["rolled back 0"])
  }

  /// Every field that a line has.
  @Test(arguments: [
    ("\"time\":\"2023", "\"time\":\"2024"), ("\"outcome\":\"allowed\"", "\"outcome\":\"refused\""),
    ("authenticate", "register"), ("\"connection\":4", "\"connection\":5"), ("\"uid\":1000", "\"uid\":1001"),
    ("\"gid\":1000", "\"gid\":1001"), ("\"previous\":\"", "\"previous\":\"0"), ("{", "[["), ("}", "} "),
  ])
  func anAlteredFieldIsFound(_ old: String, _ new: String) throws {
    var lines = log.lines
    lines[4] = try altered(lines[4], old, new)
    let verifier = log.verify(lines)
    #expect(tampering(verifier).first == "altered 5", "\(verifier.findings)")
    #expect(verifier.findings[0].file == 0)
  }

  @Test func anAlteredFirstLine() throws {
    var lines = log.lines
    lines[0] = try altered(lines[0], "\"uid\":1000", "\"uid\":0")
    #expect(tampering(log.verify(lines)).first == "altered 1")
  }

  @Test func anAlteredNumberIsFound() throws {
    for new in ["\"seq\":4,", "\"seq\":6,", "\"seq\":50,", "\"seq\":1,"] {
      var lines = log.lines
      lines[4] = try altered(lines[4], "\"seq\":5,", new)
      #expect(tampering(log.verify(lines)).first == "altered 5", "\(new)")
    }
  }

  @Test func linesThatAreCutOut() {
    for range in [0..<1, 4..<5, 4..<9, 9..<12] {
      var lines = log.lines
      lines.removeSubrange(range)
      let verifier = log.verify(lines)
      if range.lowerBound == 0 {
        #expect(notices(verifier).contains("begins 0"))
        continue
      }
      #expect(tampering(verifier).contains("cut out \(range.lowerBound + 1)"), "\(verifier.findings)")
    }
  }

  /// Without the daemon only what is signed later shows it; with it, everything.
  @Test func anEndThatIsCutOff() {
    var more = log
    for number in 100..<103 { more.add(record(number)) }
    let expectation = more.expectation
    var lines = more.lines
    lines.removeLast()
    #expect(tampering(more.verify(lines)) == [])
    #expect(notices(more.verify(lines)).contains("unknown 0"))
    #expect(tampering(more.verify(lines, asking: expectation)) == ["truncated 35"])
    lines = Array(log.lines.dropLast(2))
    #expect(tampering(log.verify(lines, asking: log.expectation)) == ["rolled back 31"])
  }

  @Test func anEndThatIsCutInTheMiddleOfALine() {
    var lines = log.lines
    lines[32].removeLast(40)
    #expect(notices(log.verify(lines)).contains("torn 33"))
    #expect(tampering(log.verify(lines)) == [])
    #expect(tampering(log.verify(lines, asking: log.expectation)).contains("rolled back 32"))
  }

  @Test func reorderedLines() {
    var lines = log.lines
    lines.swapAt(4, 5)
    #expect(tampering(log.verify(lines)) == ["reordered 6"])
    lines = log.lines
    lines.insert(lines.remove(at: 3), at: 8)
    #expect(tampering(log.verify(lines)) == ["reordered 9"])
  }

  @Test func aRepeatedLine() {
    var lines = log.lines
    lines.insert(lines[4], at: 5)
    #expect(tampering(log.verify(lines)) == ["repeated 6"])
    lines = log.lines
    lines.insert(lines[1], at: 20)
    #expect(tampering(log.verify(lines)) == ["repeated 21"])
  }

  @Test func anInsertedLine() {
    var lines = log.lines
    lines.insert(Array("hello\n".utf8), at: 7)
    #expect(tampering(log.verify(lines)) == ["inserted 8"])
    // One that is linked to the line before it.
    lines = log.lines
    var forged = ChainPosition(ChainEnd(sequence: 7, hash: SHA256.hash(lines[6])), region: lines[6], torn: nil)
    lines.insert(forged.link(AuditLine(record(99)).bytes), at: 7)
    #expect(tampering(log.verify(lines)) == ["repeated 9", "altered 9"])
  }

  /// Everything behind the alteration is linked anew: the signature says so.
  @Test func aChainThatIsMadeAnew() throws {
    var position = ChainPosition()
    var lines: [[UInt8]] = []
    for (index, line) in log.lines.enumerated() {
      var body = Array(line.prefix(upTo: try #require(line.firstRange(of: Array(",\"seq\"".utf8))?.lowerBound)))
      if index == 4 { body = try altered(body, "\"uid\":1000", "\"uid\":1") }
      lines.append(position.link(body))
    }
    #expect(tampering(log.verify(lines)) == ["bad signature 11", "bad signature 22", "bad signature 33"])
    let last = ChainExpectation(end: log.end, anchor: log.signer.now.anchor)
    #expect(
      tampering(log.verify(lines, asking: last)).contains { $0.hasPrefix("rolled back") || $0.hasPrefix("altered") })
  }

  @Test func theWholeLogRolledBack() {
    let older = Array(log.lines[..<11])
    #expect(tampering(log.verify(older)) == [])
    #expect(tampering(log.verify(older, asking: log.expectation)) == ["rolled back 11"])
  }

  /// The daemon has gone on with an older log: nothing turns the anchor back, so the log shows it for ever.
  @Test func aLogThatWasRolledBackAndContinued() {
    let signer = TestSigner(firstAnchor: 40)
    var whole = LogFixture(signer: signer)
    for number in 0..<10 { whole.add(record(number)) }
    whole.sign(advancing: true)
    let copy = whole
    whole.add(record(11))
    whole.sign(advancing: true)
    var continued = copy
    continued.add(record(12))
    continued.sign(advancing: true)
    #expect(tampering(continued.verify()) == ["rolled back 13"])
    // And one that begins anew.
    var fresh = LogFixture(signer: signer)
    fresh.add(record(1))
    fresh.sign()
    #expect(tampering(fresh.verify()) == ["rolled back 2"])
  }

  /// Asked for before the log was read, the daemon's last record may stand before what is given: then the link counts.
  @Test func aLogThatBeginsBehindWhatTheDaemonHadWritten() {
    let end = ChainEnd(sequence: 11, hash: SHA256.hash(log.lines[10]))
    let lines = Array(log.lines[11...])
    let anchor = log.signer.now.anchor
    #expect(tampering(log.verify(lines, asking: ChainExpectation(end: end, anchor: anchor))) == [])
    let other = ChainEnd(sequence: 11, hash: SHA256.hash([1]))
    #expect(tampering(log.verify(lines, asking: ChainExpectation(end: other, anchor: anchor))) == ["cut out 0"])
    let earlier = ChainEnd(sequence: 10, hash: SHA256.hash(log.lines[9]))
    #expect(tampering(log.verify(lines, asking: ChainExpectation(end: earlier, anchor: anchor))) == ["cut out 0"])
  }

  /// Nobody's claim, not even in what a caller may have written.
  @Test func aBreakThatTheDaemonFound() {
    var log = log
    var found = record(1)
    found.outcome = .failed
    found.operation = .chainBreak
    log.add(found)
    #expect(tampering(log.verify(asking: log.expectation)) == ["rolled back 34"])
    var claimed = LogFixture.signed()
    var job = record(1)
    job.claims = ["operation": AuditRecord.Operation.chainBreak.rawValue, "outcome": "failed"]
    claimed.add(job)
    // A branch of this name is no damaged signature either.
    job.claims = ["ref": AuditRecord.Operation.head.rawValue, "attested": "yes"]
    claimed.add(job)
    #expect(tampering(claimed.verify(asking: claimed.expectation)) == [])
  }

  @Test func aChainAloneProvesNothing() {
    var forged = LogFixture()
    for number in 0..<10 { forged.add(record(number)) }
    let verifier = forged.verify()
    #expect(!verifier.isTampered && !verifier.isVouchedFor)
    #expect(forged.verify(asking: forged.expectation).isVouchedFor && log.verify().isVouchedFor)
  }

  @Test func anOlderSignatureThatWasValid() {
    var lines = log.lines
    // In the place of the last one.
    lines[32] = lines[10]
    #expect(!tampering(log.verify(lines)).isEmpty)
    // The TPM's clock going back.
    var replayed = log
    replayed.signer.change { $0.clock -= 150 }
    replayed.add(record(1))
    replayed.sign()
    #expect(tampering(replayed.verify()) == ["rolled back 35"])
  }

  @Test func anotherKey() {
    let other = TestSigner()
    #expect(
      tampering(log.verify(key: other.auditKey)) == ["foreign key 11", "foreign key 22", "foreign key 33"])
    // Another TPM's signature among ours, whatever it says of its key.
    var mixed = log
    mixed.add(record(1))
    mixed.sign(by: other)
    #expect(tampering(mixed.verify()) == ["foreign key 35"])
    var line = AuditLine(
      time: 0, head: mixed.end, anchor: other.now.anchor, key: log.signer.auditKey.identifier)
    line.sign(other.statement(line.digest))
    var posing = log
    posing.add(raw: line.bytes)
    #expect(tampering(posing.verify()) == ["bad signature 34"])
  }

  @Test func aSignatureOverAnotherHead() {
    var log = log
    log.add(record(1))
    log.sign(over: ChainEnd(sequence: 34, hash: SHA256.hash([1])))
    #expect(tampering(log.verify()) == ["bad signature 35"])
    log.sign(over: ChainEnd(sequence: 40, hash: SHA256.hash([1])))
    #expect(tampering(log.verify()) == ["bad signature 35", "bad signature 36"])
  }

  @Test func aSignatureOverAnEarlierRecordIsGood() {
    var log = log
    log.add(record(1))
    let end = log.end
    for number in 2..<5 { log.add(record(number)) }
    log.sign(over: end)
    let verifier = log.verify(asking: log.expectation)
    #expect(tampering(verifier) == [])
    // Those that came meanwhile, and the signature's own line.
    #expect(notices(verifier) == ["unsigned 38"])
  }

  @Test func filesThatFollowEachOther() {
    let (first, second, third) = (Array(log.lines[..<11]), Array(log.lines[11..<20]), Array(log.lines[20...]))
    #expect(log.verify(files: [first, second, third], asking: log.expectation).findings.isEmpty)
    #expect(tampering(log.verify(files: [first, third])) == ["cut out 1"])
    #expect(log.verify(files: [first, third]).findings.first { $0.kind == .cutOut }?.file == 1)
    #expect(tampering(log.verify(files: [second, first, third])).first?.hasPrefix("repeated") == true)
    let without = log.verify(files: [second, third], asking: log.expectation)
    #expect(tampering(without) == [] && notices(without) == ["begins 0"])
  }

  @Test func whatACrashLeaves() {
    var log = LogFixture()
    log.add(record(1))
    log.tear(Array("{\"time\":\"20".utf8))
    log.add(record(2))
    log.sign()
    let verifier = log.verify(asking: log.expectation)
    #expect(tampering(verifier) == [] && notices(verifier) == ["torn 2"])
    // It is part of the chain.
    var lines = log.lines
    lines[1] = Array("{\"time\":\"21\n".utf8)
    #expect(!tampering(log.verify(lines)).isEmpty)
    lines.remove(at: 1)
    #expect(!tampering(log.verify(lines)).isEmpty)
    // So is the record before it.
    lines = log.lines
    lines[0] = Array(String(decoding: lines[0], as: UTF8.self).replacing("1000", with: "1001").utf8)
    #expect(!tampering(log.verify(lines)).isEmpty)
  }

  /// Any one byte, anywhere, in anything else: found, where the log ends in a signature.
  @Test func anyAlteredByteIsFound() throws {
    var random = SeededGenerator()
    print("ChainVerifierTests.anyAlteredByteIsFound: seed \(random.seed)")
    let log = LogFixture.signed(records: 2)
    let whole = Array(log.lines.joined())
    for index in whole.indices {
      var bytes = whole
      bytes[index] ^= UInt8.random(in: 1...255, using: &random)
      let verifier = log.verify([bytes])
      // Without its last line feed a log ends as a crash may leave it, and that is told.
      let isFound = verifier.isTampered || (index == whole.count - 1 && notices(verifier).contains("torn 9"))
      #expect(isFound, "byte \(index)")
    }
    for _ in 0..<200 {
      var bytes = whole
      let index = Int.random(in: whole.indices, using: &random)
      if Bool.random(using: &random) {
        bytes.remove(at: index)
      } else {
        bytes.insert(UInt8.random(in: .min ... .max, using: &random), at: index)
      }
      // The last line feed alone proves nothing, and its loss is told.
      let verifier = log.verify([bytes])
      let isFound = verifier.isTampered || verifier.findings.contains { $0.kind == .torn }
      let isFoundWithTheDaemon = log.verify([bytes], asking: log.expectation).isTampered
      #expect(isFound && isFoundWithTheDaemon, "byte \(index)")
    }
  }

  @Test func findingsAreBounded() {
    var lines = log.lines
    for _ in 0..<3000 { lines.insert([0x78, 0x0A], at: 5) }
    #expect(tampering(log.verify(lines)) == ["inserted 6"])
    for _ in 0..<3000 { lines.append(log.lines[3]) }
    let verifier = log.verify(lines)
    let counts = (verifier.findings.count, verifier.moreFindings)
    #expect(counts == (1000, 2001))
  }
}
