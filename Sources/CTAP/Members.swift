internal import CBOR

/// The members of a map, on their way from CBOR to typed parameters.
///
/// Members with unknown keys are ignored, as CTAP 2.1 section 6 demands.
struct Members {
  private let map: CBORMap

  init(_ value: CBORValue) throws(CTAPStatus) {
    map = try Read.map(value)
  }

  init(map: CBORMap) {
    self.map = map
  }

  func required<Member>(
    _ key: CBORValue, _ read: (CBORValue) throws(CTAPStatus) -> Member
  ) throws(CTAPStatus) -> Member {
    guard let value = map[key] else { throw .missingParameter }
    return try read(value)
  }

  func optional<Member>(
    _ key: CBORValue, _ read: (CBORValue) throws(CTAPStatus) -> Member
  ) throws(CTAPStatus) -> Member? {
    guard let value = map[key] else { return nil }
    return try read(value)
  }
}

/// What a member may be. Everything else is CTAP2_ERR_CBOR_UNEXPECTED_TYPE.
enum Read {
  /// The first step: the one item that all parameters are in.
  static func item(_ bytes: Span<UInt8>) throws(CTAPStatus) -> CBORValue {
    do {
      return try CanonicalCBOR.decode(bytes)
    } catch {
      throw .invalidCBOR
    }
  }

  static func map(_ value: CBORValue) throws(CTAPStatus) -> CBORMap {
    guard case .map(let map) = value else { throw .cborUnexpectedType }
    return map
  }

  static func bytes(_ value: CBORValue) throws(CTAPStatus) -> [UInt8] {
    guard case .bytes(let bytes) = value else { throw .cborUnexpectedType }
    return bytes
  }

  static func text(_ value: CBORValue) throws(CTAPStatus) -> String {
    guard case .text(let text) = value else { throw .cborUnexpectedType }
    return text
  }

  static func boolean(_ value: CBORValue) throws(CTAPStatus) -> Bool {
    guard case .boolean(let boolean) = value else { throw .cborUnexpectedType }
    return boolean
  }

  static func unsigned(_ value: CBORValue) throws(CTAPStatus) -> UInt64 {
    guard case .unsigned(let number) = value else { throw .cborUnexpectedType }
    return number
  }

  static func count(_ value: CBORValue) throws(CTAPStatus) -> Int {
    guard let count = Int(exactly: try unsigned(value)) else { throw .cborUnexpectedType }
    return count
  }

  /// An integer of either sign, such as a COSE algorithm.
  static func integer(_ value: CBORValue) throws(CTAPStatus) -> Int64 {
    guard let number = value.integer else { throw .cborUnexpectedType }
    return number
  }

  /// Every element is read, so that a wrong one is found wherever it stands.
  static func array<Element>(
    of read: @escaping (CBORValue) throws(CTAPStatus) -> Element
  ) -> (CBORValue) throws(CTAPStatus) -> [Element] {
    { (value) throws(CTAPStatus) in
      guard case .array(let values) = value else { throw .cborUnexpectedType }
      var elements: [Element] = []
      for value in values {
        elements.append(try read(value))
      }
      return elements
    }
  }

  /// A map whose keys are texts.
  static func dictionary<Member>(
    of read: @escaping (CBORValue) throws(CTAPStatus) -> Member
  ) -> (CBORValue) throws(CTAPStatus) -> [String: Member] {
    { (value) throws(CTAPStatus) in
      var members: [String: Member] = [:]
      for entry in try map(value).entries {
        members[try text(entry.key)] = try read(entry.value)
      }
      return members
    }
  }

  /// Bytes of one length only, such as a hash.
  static func bytes(count: Int) -> (CBORValue) throws(CTAPStatus) -> [UInt8] {
    { (value) throws(CTAPStatus) in
      let bytes = try bytes(value)
      guard bytes.count == count else { throw .invalidLength }
      return bytes
    }
  }
}

extension CBORValue {
  static func texts(_ texts: [String]) -> CBORValue {
    .array(texts.map(CBORValue.text))
  }

  static func count(_ count: Int) -> CBORValue {
    precondition(count >= 0, "a count is not negative")
    return .unsigned(UInt64(count))
  }
}
