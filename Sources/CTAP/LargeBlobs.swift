internal import CBOR
internal import Crypto

/// The parameters of authenticatorLargeBlobs (CTAP 2.1 section 6.10). Which of them go together is the authenticator's
/// business.
package struct LargeBlobsRequest: Equatable, Sendable {
  /// How many bytes to read.
  package var get: UInt64?
  /// The bytes to write.
  package var set: [UInt8]?
  package var offset: UInt64?
  /// Of the whole array, with its first fragment.
  package var length: UInt64?
  package var pinUvAuthParam: [UInt8]?
  package var pinUvAuthProtocol: UInt64?

  package init(
    get: UInt64? = nil, set: [UInt8]? = nil, offset: UInt64? = nil, length: UInt64? = nil,
    pinUvAuthParam: [UInt8]? = nil, pinUvAuthProtocol: UInt64? = nil
  ) {
    self.get = get
    self.set = set
    self.offset = offset
    self.length = length
    self.pinUvAuthParam = pinUvAuthParam
    self.pinUvAuthProtocol = pinUvAuthProtocol
  }
}

extension LargeBlobsRequest {
  private enum Key {
    static let get: CBORValue = 0x01
    static let set: CBORValue = 0x02
    static let offset: CBORValue = 0x03
    static let length: CBORValue = 0x04
    static let pinUvAuthParam: CBORValue = 0x05
    static let pinUvAuthProtocol: CBORValue = 0x06
  }

  init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    get = try members.optional(Key.get, Read.unsigned)
    set = try members.optional(Key.set, Read.bytes)
    offset = try members.optional(Key.offset, Read.unsigned)
    length = try members.optional(Key.length, Read.unsigned)
    pinUvAuthParam = try members.optional(Key.pinUvAuthParam, Read.bytes)
    pinUvAuthProtocol = try members.optional(Key.pinUvAuthProtocol, Read.unsigned)
  }

  var value: CBORValue {
    var map = CBORMap()
    map[Key.get] = get.map(CBORValue.unsigned)
    map[Key.set] = set.map(CBORValue.bytes)
    map[Key.offset] = offset.map(CBORValue.unsigned)
    map[Key.length] = length.map(CBORValue.unsigned)
    map[Key.pinUvAuthParam] = pinUvAuthParam.map(CBORValue.bytes)
    map[Key.pinUvAuthProtocol] = pinUvAuthProtocol.map(CBORValue.unsigned)
    return .map(map)
  }
}

/// The serialized large-blob array (CTAP 2.1 section 6.10): a CBOR array and LEFT(SHA-256, 16) of its bytes.
package enum SerializedLargeBlobArray {
  private static let checkCount = 16

  /// What is there before anything is written, and the shortest that can be.
  package static let empty = serialize([0x80])

  /// Appends the check to an array in CBOR.
  package static func serialize(_ array: [UInt8]) -> [UInt8] {
    array + SHA256.hash(array).prefix(checkCount)
  }

  /// The array, which may be any bytes; nil where its check is wrong or missing.
  package static func array(in bytes: [UInt8]) -> [UInt8]? {
    let array = Array(bytes.dropLast(checkCount))
    return serialize(array) == bytes ? array : nil
  }
}

extension LargeBlobsRequest {
  /// How many bytes of a message are not a fragment's (section 6.10).
  package static let messageOverhead = 64

  /// What pinUvAuthParam is computed over (section 6.10.2).
  ///
  /// - Parameters:
  ///   - fragment: `set`
  ///   - offset: `offset`, of which 32 bits count
  /// - Returns: the message
  package static func authenticatedMessage(writing fragment: [UInt8], at offset: UInt64) -> [UInt8] {
    let little = [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: offset >> $0) }
    return PINUVAuthProtocol.messageHead(.largeBlobs) + [0] + little + SHA256.hash(fragment)
  }
}

/// What authenticatorLargeBlobs returns: nothing at all where it has written.
package struct LargeBlobsResponse: Equatable, Sendable {
  /// A fragment of the large-blob array, possibly empty.
  package var config: [UInt8]?

  package init(config: [UInt8]? = nil) {
    self.config = config
  }
}

extension LargeBlobsResponse {
  private static let config: CBORValue = 0x01

  init(_ value: CBORValue) throws(CTAPStatus) {
    config = try Members(value).optional(Self.config, Read.bytes)
  }

  var value: CBORMap {
    var map = CBORMap()
    map[Self.config] = config.map(CBORValue.bytes)
    return map
  }
}
