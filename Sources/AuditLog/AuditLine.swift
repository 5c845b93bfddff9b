internal import Crypto
internal import Platform

/// A record as it stands in its line: a JSON object in pure ASCII, keys always in the same order, absent values left
/// out. No text can end the line or the string that it stands in. The object is open: ``ChainPosition`` adds the link to
/// the line before it, last, over everything before it, and closes it.
struct AuditLine {
  /// Without the link, the closing brace and the line's end.
  private(set) var bytes: [UInt8] = []

  init(_ record: AuditRecord) {
    bytes.reserveCapacity(512)
    bytes.append(UInt8(ascii: "{"))
    text("time", Timestamp.text(unixMilliseconds: record.time))
    text("outcome", record.outcome.rawValue)
    text("operation", record.operation.rawValue)
    text("detail", record.detail)
    number("connection", record.connection)
    number("uid", record.user)
    number("gid", record.group)
    number("pid", record.process)
    text("unit", record.unit)
    text("rule", record.rule)
    text("grant", record.grant)
    texts("claims", record.claims)
    text("rpId", record.relyingPartyID)
    text("credentialId", record.credentialID.map { hexadecimal($0) })
    text("userHandleHash", record.userHandleHash.map { hexadecimal($0) })
    number("flags", record.flags)
    number("signCount", record.signatureCounter)
    text("clientDataHash", record.clientDataHash.map { hexadecimal($0) })
    text("reason", record.reason)
    text("result", record.result)
    number("latency", record.latency)
    number("suppressed", record.suppressed)
  }

  /// What a signature is over: see ``SignedHead``.
  init(time: Int64, head: ChainEnd, anchor: UInt64, key: [UInt8]) {
    bytes.append(UInt8(ascii: "{"))
    text("time", Timestamp.text(unixMilliseconds: time))
    text("outcome", AuditRecord.Outcome.done.rawValue)
    text("operation", AuditRecord.Operation.head.rawValue)
    number("head", head.sequence)
    text("headHash", hexadecimal(head.hash))
    number("anchor", anchor)
    text("key", hexadecimal(key))
  }

  /// How many bytes of each record these claims are.
  static func count(ofClaims claims: [String: String]) -> Int {
    var line = AuditLine()
    line.texts("claims", claims)
    return line.bytes.count
  }

  private init() {}

  /// SHA-256 of what there is.
  var digest: [UInt8] { SHA256.hash(bytes) }

  /// Adds the signature to what it is over.
  mutating func sign(_ statement: AuditStatement) {
    text("attested", hexadecimal(statement.attested))
    text("signature", hexadecimal(statement.signature))
  }

  private mutating func key(_ name: StaticString) {
    if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
    bytes += Array("\"\(name)\":".utf8)
  }

  private mutating func number(_ name: StaticString, _ value: (some BinaryInteger)?) {
    guard let value else { return }
    key(name)
    bytes += Array("\(value)".utf8)
  }

  private mutating func text(_ name: StaticString, _ value: String?) {
    guard let value else { return }
    key(name)
    string(value)
  }

  private mutating func texts(_ name: StaticString, _ values: [String: String]?) {
    guard let values else { return }
    key(name)
    bytes.append(UInt8(ascii: "{"))
    let sorted = values.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    for (index, (name, value)) in sorted.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      string(name)
      bytes.append(UInt8(ascii: ":"))
      string(value)
    }
    bytes.append(UInt8(ascii: "}"))
  }

  private mutating func string(_ value: String) {
    bytes.append(UInt8(ascii: "\""))
    for unit in value.utf16 {
      switch unit {
      case 0x22, 0x5C: bytes += [UInt8(ascii: "\\"), UInt8(unit)]
      case 0x20..<0x7F: bytes.append(UInt8(unit))
      default: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "u")] + AuditLine.digits(unit)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private static func digits(_ unit: UInt16) -> [UInt8] {
    [12, 8, 4, 0].map { digit(UInt8(unit >> $0 & 0xF)) }
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }
}
