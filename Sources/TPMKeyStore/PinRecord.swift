internal import Authenticator
internal import Crypto

/// Which keys of ours stand at which persistent handles, and what that may still cost. Written before anything is changed
/// in the TPM, and again afterwards: so that a start after a crash finds whatever is ours there.
struct PinRecord: Equatable {
  enum Stage: UInt8 {
    /// May be there, or not yet.
    case coming = 1
    case standing = 2
    /// May be there still.
    case going = 3
  }

  struct Entry: Equatable {
    var handle: UInt32
    /// Of the key: what tells it from whatever else stands there.
    var name: [UInt8]
    var binding: KeyBinding
    var byOperator: Bool
    var stage: Stage
  }

  var budget: PinBudget
  /// At most ``limit``.
  var entries: [Entry] = []

  /// Persistent objects of any TPM are fewer.
  static let limit = 64
  private static let magic: [UInt8] = Array("CSPN".utf8)
  private static let version: UInt8 = 1

  /// With a code that only this device can make: whoever can write the state folder alone must not have the daemon, which
  /// may know the owner's authorization, take other programs' objects out of the TPM.
  ///
  /// - Parameter key: outlives a reset
  /// - Returns: for ``open(_:_:)``
  func sealed(_ key: SharedSecret) -> [UInt8] {
    let content = encoded()
    return content + PinRecord.code(content, key)
  }

  /// Reads what ``sealed(_:)`` made; nil for everything else.
  static func open(_ bytes: [UInt8], _ key: SharedSecret) -> PinRecord? {
    guard bytes.count > HMACSHA256.count else { return nil }
    let content = Array(bytes.dropLast(HMACSHA256.count))
    guard constantTimeEqual(code(content, key), Array(bytes.suffix(HMACSHA256.count))) else { return nil }
    return decode(content)
  }

  private static func code(_ content: [UInt8], _ key: SharedSecret) -> [UInt8] {
    HMACSHA256.authenticate(Array("countersign pins".utf8) + content, key: key.bytes)
  }

  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    for byte in PinRecord.magic + [PinRecord.version] { writer.byte(byte) }
    for number in [budget.credit, budget.written, UInt64(bitPattern: budget.asOf)] {
      writer.integer(UInt32(truncatingIfNeeded: number >> 32))
      writer.integer(UInt32(truncatingIfNeeded: number))
    }
    for entry in entries {
      writer.integer(entry.handle)
      writer.string(entry.name)
      writer.string(entry.binding.credentialID)
      writer.string(entry.binding.relyingPartyIDHash)
      writer.byte(entry.byOperator ? 1 : 0)
      writer.byte(entry.stage.rawValue)
    }
    return writer.bytes
  }

  /// Reads a record; nil for every other sequence of bytes.
  static func decode(_ bytes: [UInt8]) -> PinRecord? {
    var reader = ByteReader(bytes)
    for expected in magic + [version] {
      guard reader.byte() == expected else { return nil }
    }
    var numbers: [UInt64] = []
    for _ in 0..<3 {
      guard let high = reader.integer(), let low = reader.integer() else { return nil }
      numbers.append(UInt64(high) << 32 | UInt64(low))
    }
    var record = PinRecord(
      budget: PinBudget(credit: numbers[0], written: numbers[1], asOf: Int64(bitPattern: numbers[2])))
    while !reader.isAtEnd {
      guard record.entries.count < limit, let entry = decodeEntry(&reader),
        !record.entries.contains(where: { $0.handle == entry.handle || $0.binding == entry.binding })
      else { return nil }
      record.entries.append(entry)
    }
    return record
  }

  private static func decodeEntry(_ reader: inout ByteReader) -> Entry? {
    guard let handle = reader.integer(), PinSettings.ownerRange.contains(handle),
      let name = reader.string(upTo: 66),  // a Name with SHA-512
      let id = reader.string(upTo: 1023), let hash = reader.string(upTo: 32), hash.count == 32,
      let byOperator = reader.byte(), byOperator <= 1,
      let stage = reader.byte().flatMap(Stage.init(rawValue:))
    else { return nil }
    return Entry(
      handle: handle, name: name, binding: KeyBinding(credentialID: id, relyingPartyIDHash: hash),
      byOperator: byOperator == 1, stage: stage)
  }
}
