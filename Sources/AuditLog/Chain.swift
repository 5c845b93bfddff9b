internal import Crypto
internal import Platform

/// The end of a chain: its last record, and the hash of that record's line.
package struct ChainEnd: Hashable, Sendable {
  /// Records are counted from 1, over all files; 0 where there is none yet.
  package var sequence: UInt64
  /// SHA-256 of the line with its line feed; zeros where there is none yet.
  package var hash: [UInt8]

  package init(sequence: UInt64, hash: [UInt8]) {
    self.sequence = sequence
    self.hash = hash
  }

  package static let beginning = ChainEnd(sequence: 0, hash: [UInt8](repeating: 0, count: SHA256.count))
}

/// Where the next line is linked to.
struct ChainPosition: Equatable {
  /// The last whole record.
  private(set) var end = ChainEnd.beginning
  /// The line of that record and what a crash has left behind it; empty before there is any.
  private(set) var region: [UInt8] = []
  /// The hash of `region`, zeros before there is any.
  private var predecessor = ChainEnd.beginning.hash
  /// Bytes behind the last record's line; nil where there are none, or none that a crash has left.
  private var torn: Int?

  init() {}

  /// - Parameters:
  ///   - end: the last record
  ///   - region: its line and what stands behind it
  ///   - torn: how much of that a crash has left
  init(_ end: ChainEnd, region: [UInt8], torn: Int?) {
    self.end = end
    self.region = region
    self.torn = torn
    predecessor = region.isEmpty ? ChainEnd.beginning.hash : SHA256.hash(region)
  }

  private init(sequence: UInt64, line: [UInt8]) {
    end = ChainEnd(sequence: sequence, hash: SHA256.hash(line))
    predecessor = end.hash
    region = line
  }

  /// Closes a record's line: its number, what a crash has left before it, and the hash of everything from the beginning
  /// of the record before it. Moves on.
  mutating func link(_ body: [UInt8]) -> [UInt8] {
    var line: [UInt8] = []
    line.reserveCapacity(body.count + ChainLine.maximumLink)
    line += body
    line.append(",\"seq\":")
    appendDecimal(end.sequence + 1, to: &line)
    if let torn {
      line.append(",\"torn\":")
      appendDecimal(UInt64(torn), to: &line)
    }
    line.append(",\"previous\":\"")
    appendHexadecimal(predecessor, to: &line)
    line.append("\"}\n")
    self = ChainPosition(sequence: end.sequence + 1, line: line)
    return line
  }
}

extension [UInt8] {
  /// Adds a text of ours, which is ASCII.
  mutating func append(_ text: StaticString) {
    unsafe append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }
}

/// What a line says of its place in the chain.
package struct ChainLine: Equatable, Sendable {
  package let sequence: UInt64
  /// SHA-256 of the line before it, with what a crash has left between.
  package let previous: [UInt8]
  /// Bytes that a crash has left between the record before and this one; nil for none.
  package let torn: Int?
  /// Where the record is a signature over the chain.
  package let head: SignedHead?
  /// Whether it has been such a signature, as far as can be seen, and cannot be read as one any more.
  package let isDamagedHead: Bool
  /// Whether the daemon says that the log before is not what its TPM has signed.
  package let isBreak: Bool

  /// The longest line that counts as a record; the daemon's are far shorter.
  package static let maximumCount = 1 << 16
  /// More than ``ChainPosition/link(_:)`` adds to a line: three names, two numbers of at most 20 digits, a hash.
  static let maximumLink = 256

  /// Reads any bytes, from their end: exactly what ``ChainPosition/link(_:)`` writes, or nothing.
  ///
  /// - Parameter line: without its line feed
  package init?(_ line: [UInt8]) {
    guard line.count <= ChainLine.maximumCount, line.first == UInt8(ascii: "{") else { return nil }
    var reader = ReverseReader(line)
    guard reader.take("\"}"), let previous = reader.hexadecimal(count: SHA256.count), reader.take(",\"previous\":\""),
      var number = reader.number()
    else { return nil }
    if reader.take(",\"torn\":") {
      guard let torn = Int(exactly: number), torn > 0, let sequence = reader.number() else { return nil }
      self.torn = torn
      number = sequence
    } else {
      torn = nil
    }
    guard reader.take(",\"seq\":"), number > 0 else { return nil }
    sequence = number
    self.previous = previous
    let head = SignedHead(&reader, of: line)
    self.head = head
    isDamagedHead = head == nil && ChainLine.resemblesHead(line)
    // Behind the time, which has no comma: where no caller's text can stand.
    let body = line.drop { $0 != UInt8(ascii: ",") }
    let operation = AuditRecord.Operation.chainBreak.rawValue
    isBreak = body.starts(with: ",\"outcome\":\"failed\",\"operation\":\"\(operation)\",".utf8)
  }

  /// No text in a record can hold these with bare quotation marks; a single alteration leaves one of them. Names and
  /// values of claims can be the same, in a record that has a connection, which no signature has.
  private static func resemblesHead(_ line: [UInt8]) -> Bool {
    let (operation, member) = (Array("\"\(AuditRecord.Operation.head.rawValue)\"".utf8), Array("\"attested\":\"".utf8))
    let connection = Array("\"connection\":".utf8)
    for index in line.indices.dropLast(operation.count) where line[index] == UInt8(ascii: "\"") {
      let rest = line[index...]
      if rest.starts(with: connection) { return false }
      if rest.starts(with: operation) || rest.starts(with: member) { return true }
    }
    return false
  }
}

/// Takes what is known from the end of a line. In a line of ours no text holds a bare quotation mark, so that nothing
/// which a caller wrote can pass for what stands behind it.
struct ReverseReader {
  private let bytes: [UInt8]
  /// What has not been taken ends here.
  private(set) var end: Int

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    end = bytes.count
  }

  mutating func take(_ text: StaticString) -> Bool {
    let count = text.utf8CodeUnitCount
    guard end >= count else { return false }
    let expected = unsafe UnsafeBufferPointer(start: text.utf8Start, count: count)
    let matches = unsafe expected.elementsEqual(bytes[end - count..<end])
    if matches { end -= count }
    return matches
  }

  /// Whether what has not been taken ends so.
  func ends(in text: StaticString) -> Bool {
    var copy = self
    return copy.take(text)
  }

  /// A decimal number in the only way of writing it.
  mutating func number() -> UInt64? {
    var start = end
    while start > 0, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[start - 1]) { start -= 1 }
    guard start < end, end - start <= 20, end - start == 1 || bytes[start] != UInt8(ascii: "0") else { return nil }
    var number: UInt64 = 0
    for digit in bytes[start..<end] {
      let (tens, overflows) = number.multipliedReportingOverflow(by: 10)
      let (sum, carries) = tens.addingReportingOverflow(UInt64(digit - UInt8(ascii: "0")))
      guard !overflows, !carries else { return nil }
      number = sum
    }
    end = start
    return number
  }

  /// So many bytes in lower-case hexadecimal; as many as there are where nil.
  mutating func hexadecimal(count: Int? = nil) -> [UInt8]? {
    var start = end
    while start > 0, ReverseReader.value(bytes[start - 1]) != nil { start -= 1 }
    if let count {
      guard end - start >= 2 * count else { return nil }
      start = end - 2 * count
    }
    guard (end - start).isMultiple(of: 2) else { return nil }
    var result: [UInt8] = []
    result.reserveCapacity((end - start) / 2)
    for index in stride(from: start, to: end, by: 2) {
      guard let high = ReverseReader.value(bytes[index]), let low = ReverseReader.value(bytes[index + 1]) else {
        return nil
      }
      result.append(high << 4 | low)
    }
    end = start
    return result
  }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    default: nil
    }
  }
}
