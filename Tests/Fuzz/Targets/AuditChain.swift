import Crypto
import Platform

@testable import AuditLog

/// A log of any bytes, with a key that has signed nothing: what is taken for a record is exactly what the daemon would
/// have written, and nothing passes for a signature.
func checkAuditLog(_ input: [UInt8]) throws {
  let key = try require(
    AuditKey(
      publicKey: SubjectPublicKeyInfo.encodeP256(
        x: [UInt8](repeating: 1, count: 32), y: [UInt8](repeating: 2, count: 32)), firstAnchor: 1), "a key")
  // The first byte says in pieces of which size it is read, the second what the daemon says of it.
  let size = Int(input.first ?? 0) + 1
  let expectation =
    (input.dropFirst().first ?? 0) < 128
    ? ChainExpectation(end: ChainEnd(sequence: 3, hash: SHA256.hash(input)), anchor: 1) : nil
  let log = Array(input.dropFirst(2))
  var verifier = ChainVerifier(key: key, expectation: expectation)
  var splitter = LineSplitter()
  var lines: [[UInt8]] = []
  verifier.beginFile()
  for start in stride(from: 0, to: log.count, by: size) {
    splitter.take(Array(log[start..<min(start + size, log.count)])) { line in
      lines.append(line)
      verifier.take(line)
    }
  }
  let rest = splitter.finish()
  if let rest { verifier.take(rest, hasEnd: false) }
  verifier.finish()
  let whole = lines.flatMap { $0 + [0x0A] } + (rest ?? [])
  try require(whole == log, "the lines are the log")
  try require(verifier.signatures == 0, "nobody has signed")
  if expectation != nil { try require(verifier.isTampered, "this is not the log that the daemon has written") }
  for line in lines {
    guard let record = ChainLine(line) else { continue }
    var link = ",\"seq\":\(record.sequence)"
    if let torn = record.torn { link += ",\"torn\":\(torn)" }
    link += ",\"previous\":\"\(hexadecimal(record.previous))\"}"
    try require(line.suffix(link.utf8.count).elementsEqual(link.utf8), "a link is written in one way only")
    if let clock = record.head.flatMap({ AttestedClock($0.statement.attested) }) {
      try require(clock.canFollow(clock), "a clock may stand still")
    }
  }
}
