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
    time("time", record.time)
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
    number("forUid", record.grantTerms?.user)
    number("forPid", record.grantTerms?.process)
    text("forCgroup", record.grantTerms?.controlGroup)
    time("endsAt", record.grantTerms?.end)
    text("rpId", record.relyingPartyID)
    digits("credentialId", record.credentialID)
    digits("userHandleHash", record.userHandleHash)
    number("flags", record.flags)
    number("signCount", record.signatureCounter)
    digits("clientDataHash", record.clientDataHash)
    text("reason", record.reason)
    text("result", record.result)
    number("latency", record.latency)
    number("suppressed", record.suppressed)
  }

  /// What a signature is over: see ``SignedHead``.
  init(time: Int64, head: ChainEnd, anchor: UInt64, key: [UInt8]) {
    bytes.append(UInt8(ascii: "{"))
    self.time("time", time)
    text("outcome", AuditRecord.Outcome.done.rawValue)
    text("operation", AuditRecord.Operation.head.rawValue)
    number("head", head.sequence)
    digits("headHash", head.hash)
    number("anchor", anchor)
    digits("key", key)
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
    digits("attested", statement.attested)
    digits("signature", statement.signature)
  }

  // No text is made on the way: this stands in the way of every signature.

  private mutating func key(_ name: StaticString) {
    if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
    bytes.append(UInt8(ascii: "\""))
    bytes.append(name)
    bytes.append("\":")
  }

  private mutating func number(_ name: StaticString, _ value: (some BinaryInteger)?) {
    guard let value else { return }
    key(name)
    if value < 0 { bytes.append(UInt8(ascii: "-")) }
    appendDecimal(UInt64(value.magnitude), to: &bytes)
  }

  private mutating func time(_ name: StaticString, _ value: Int64?) {
    guard let value else { return }
    key(name)
    bytes.append(UInt8(ascii: "\""))
    Timestamp.append(unixMilliseconds: value, to: &bytes)
    bytes.append(UInt8(ascii: "\""))
  }

  private mutating func digits(_ name: StaticString, _ value: [UInt8]?) {
    guard let value else { return }
    key(name)
    bytes.append(UInt8(ascii: "\""))
    appendHexadecimal(value, to: &bytes)
    bytes.append(UInt8(ascii: "\""))
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
    if value.utf8.allSatisfy(AuditLine.isPlain) {
      bytes.append(contentsOf: value.utf8)
    } else {
      for unit in value.utf16 {
        switch unit {
        case 0x22, 0x5C: bytes += [UInt8(ascii: "\\"), UInt8(unit)]
        case 0x20..<0x7F: bytes.append(UInt8(unit))
        default:
          bytes.append("\\u")
          appendHexadecimal([UInt8(unit >> 8), UInt8(unit & 0xFF)], to: &bytes)
        }
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  /// Whether it stands for itself in a string.
  private static func isPlain(_ byte: UInt8) -> Bool {
    (0x20..<0x7F).contains(byte) && byte != 0x22 && byte != 0x5C
  }
}
