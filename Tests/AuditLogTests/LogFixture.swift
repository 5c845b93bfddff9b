import Crypto
import Platform
import TestSupport
import Testing

@testable import AuditLog

/// A log in memory, as the daemon writes it.
struct LogFixture {
  let signer: TestSigner
  var lines: [[UInt8]] = []
  private var position = ChainPosition()

  init(signer: TestSigner = TestSigner()) {
    self.signer = signer
  }

  /// A log of 30 records with a signature after each ten, the last one at the end; each advances the anchor.
  static func signed(_ signer: TestSigner = TestSigner(), records count: Int = 10) -> LogFixture {
    var log = LogFixture(signer: signer)
    for part in 0..<3 {
      for number in 0..<count { log.add(record(part * count + number)) }
      log.sign(advancing: true)
    }
    return log
  }

  var end: ChainEnd { position.end }
  var expectation: ChainExpectation { ChainExpectation(end: end, anchor: signer.now.anchor) }

  mutating func add(_ record: AuditRecord) {
    lines.append(position.link(AuditLine(record).bytes))
  }

  mutating func add(raw body: [UInt8]) {
    lines.append(position.link(body))
  }

  /// What a crash leaves, ended by the next start.
  mutating func tear(_ bytes: [UInt8]) {
    lines.append(bytes + [0x0A])
    position = ChainPosition(
      position.end, region: position.region + bytes + [0x0A],
      torn: position.region.count - lines[lines.count - 2].count + bytes.count + 1)
  }

  mutating func sign(advancing: Bool = false, over end: ChainEnd? = nil, by other: TestSigner? = nil) {
    let signer = other ?? signer
    if advancing {
      signer.change {
        $0.anchor += 1
        $0.clock += 100
      }
    }
    var line = AuditLine(
      time: 1_700_000_000_000, head: end ?? self.end, anchor: signer.now.anchor, key: signer.auditKey.identifier)
    line.sign(signer.statement(line.digest))
    lines.append(position.link(line.bytes))
  }

  func verify(
    _ lines: [[UInt8]]? = nil, key: AuditKey? = nil, asking expectation: ChainExpectation? = nil
  ) -> ChainVerifier {
    verify(files: [lines ?? self.lines], key: key, asking: expectation)
  }

  func verify(
    files: [[[UInt8]]], key: AuditKey? = nil, asking expectation: ChainExpectation? = nil
  ) -> ChainVerifier {
    var verifier = ChainVerifier(key: key ?? signer.auditKey, expectation: expectation)
    for lines in files {
      verifier.beginFile()
      var splitter = LineSplitter()
      splitter.take(Array(lines.joined())) { verifier.take($0) }
      if let rest = splitter.finish() { verifier.take(rest, hasEnd: false) }
    }
    verifier.finish()
    return verifier
  }
}

/// Kinds and lines of what was found to be tampered with.
func tampering(_ verifier: ChainVerifier) -> [String] {
  verifier.findings.filter(\.kind.isTampering).map { "\($0.kind.rawValue) \($0.line)" }
}

func notices(_ verifier: ChainVerifier) -> [String] {
  verifier.findings.filter { !$0.kind.isTampering }.map { "\($0.kind.rawValue) \($0.line)" }
}
