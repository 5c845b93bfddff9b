import FoundationEssentials
import Glibc
import TestSupport
import Platform
import Testing

@testable import AuditLog

@Suite struct AuditLineTests {
  private func text(_ record: AuditRecord) -> String { String(decoding: line(record), as: UTF8.self) }

  /// As the first line of a log.
  private func line(_ record: AuditRecord) -> [UInt8] {
    var position = ChainPosition()
    return position.link(AuditLine(record).bytes)
  }

  @Test func everyFieldInItsPlace() {
    var whole = AuditRecord(
      time: 1_700_000_000_123, outcome: .refused, operation: .register, connection: .max, user: 1000, group: .max,
      process: 42, unit: "ci.service", rule: "deploy", relyingPartyID: "example.com", credentialID: [0, 0xAB, 0xFF],
      userHandleHash: [], flags: 0x45, signatureCounter: .max, clientDataHash: [1, 2], reason: "no rule allows it")
    whole.detail = "u2f"
    whole.grant = "job-7"
    whole.claims = ["ref": "refs/heads/main", "repository": "a\"b", "Z": ""]
    whole.result = "CTAP2_ERR_OPERATION_DENIED"
    whole.latency = 812
    whole.suppressed = 3
    #expect(
      text(whole) == """
        {"time":"2023-11-14T22:13:20.123Z","outcome":"refused","operation":"register","detail":"u2f",\
        "connection":18446744073709551615,"uid":1000,"gid":4294967295,"pid":42,"unit":"ci.service","rule":"deploy",\
        "grant":"job-7","claims":{"Z":"","ref":"refs/heads/main","repository":"a\\"b"},\
        "rpId":"example.com","credentialId":"00abff","userHandleHash":"","flags":69,"signCount":4294967295,\
        "clientDataHash":"0102","reason":"no rule allows it",\
        "result":"CTAP2_ERR_OPERATION_DENIED","latency":812,"suppressed":3,"seq":1,\
        "previous":"0000000000000000000000000000000000000000000000000000000000000000"}

        """)
    #expect(
      text(record(1)) == """
        {"time":"2023-11-14T22:13:20.001Z","outcome":"allowed","operation":"authenticate","connection":1,\
        "uid":1000,"gid":1000,"seq":1,\
        "previous":"0000000000000000000000000000000000000000000000000000000000000000"}

        """)
  }

  @Test(arguments: [
    "a\"}\n{\"outcome\":\"allowed\"", "\\", "\\\"", "\u{0}\u{1}\u{8}\t\r\n\u{1B}[2J\u{7F}\u{85}\u{9F}",
    "\u{2028}\u{2029}\u{202E}\u{FEFF}", "ü€😀", "/", "",
  ])
  func noTextEndsALineOrAString(_ hostile: String) throws {
    var forged = record(1, reason: hostile)
    forged.relyingPartyID = hostile
    forged.unit = hostile
    forged.rule = hostile
    forged.detail = hostile
    forged.grant = hostile
    forged.claims = [hostile: hostile]
    forged.result = hostile
    try expectWhole(forged)
  }

  @Test func randomTextsComeBack() throws {
    var random = SeededGenerator()
    print("AuditLineTests.randomTextsComeBack: seed \(random.seed)")
    for _ in 0..<500 {
      var text = ""
      for _ in 0..<Int.random(in: 0...20, using: &random) {
        let limit: UInt32 = Bool.random(using: &random) ? 0x100 : 0x10_FFFF
        if let scalar = Unicode.Scalar(UInt32.random(in: 0...limit, using: &random)) {
          text.unicodeScalars.append(scalar)
        }
      }
      try expectWhole(record(1, reason: text))
    }
  }

  private struct Parsed: Decodable {
    let operation: String
    let detail: String?
    let unit: String?
    let rule: String?
    let rpId: String?
    let reason: String?
  }

  private func expectWhole(_ record: AuditRecord) throws {
    let bytes = line(record)
    #expect(bytes.dropLast().allSatisfy { (0x20..<0x7F).contains($0) })
    #expect(bytes.last == 0x0A)
    let parsed = try JSONDecoder().decode(Parsed.self, from: Data(bytes))
    #expect(scalars(parsed.operation) == scalars(record.operation.rawValue))
    #expect(scalars(parsed.detail) == scalars(record.detail))
    #expect(scalars(parsed.unit) == scalars(record.unit))
    #expect(scalars(parsed.rule) == scalars(record.rule))
    #expect(scalars(parsed.rpId) == scalars(record.relyingPartyID))
    #expect(scalars(parsed.reason) == scalars(record.reason))
  }

  private func scalars(_ text: String?) -> [UInt32]? { text.map { $0.unicodeScalars.map(\.value) } }

  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
      (951_782_399_999, "2000-02-28T23:59:59.999Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
      (951_868_800_000, "2000-03-01T00:00:00.000Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
      (253_402_300_799_999, "9999-12-31T23:59:59.999Z"), (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
    ] as [(Int64, String)])
  func timesAreRFC3339(_ time: Int64, _ text: String) {
    #expect(Timestamp.text(unixMilliseconds: time) == text)
  }

  @Test func timesAgreeWithTheLibrary() {
    var random = SeededGenerator()
    print("AuditLineTests.timesAgreeWithTheLibrary: seed \(random.seed)")
    for _ in 0..<2000 {
      let seconds = Int64.random(in: -62_167_219_200...253_402_300_799, using: &random)
      var time = time_t(seconds)
      var parts = tm()
      gmtime_r(&time, &parts)
      var buffer = [CChar](repeating: 0, count: 64)
      strftime(&buffer, buffer.count, "%m-%dT%H:%M:%S.000Z", &parts)
      let expected = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let year = String(Int(parts.tm_year) + 1900)
      let padded = String(repeating: "0", count: 4 - year.count) + year
      #expect(Timestamp.text(unixMilliseconds: seconds * 1000) == padded + "-" + expected)
    }
    for extreme in [Int64.min, .max] { #expect(Timestamp.text(unixMilliseconds: extreme).hasSuffix("Z")) }
  }
}
