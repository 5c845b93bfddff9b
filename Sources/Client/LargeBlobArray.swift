internal import CBOR
internal import CTAP
internal import Crypto
internal import Platform
internal import Secrets

/// The serialized large-blob array (CTAP 2.1 section 6.10.2): the blobs of all relying parties, each encrypted for whoever
/// has its credential's key. Entries that are not understood are kept.
struct LargeBlobArray {
  /// More is unpacked for nobody, whatever an entry says of its size.
  private static let largestBlob: UInt64 = 1 << 20

  private enum Key {
    static let ciphertext: CBORValue = 1
    static let nonce: CBORValue = 2
    static let originalSize: CBORValue = 3
  }

  private var entries: [CBORValue]

  /// nil where the bytes are whole but no array. Bytes that are not whole count as an empty array, as the standard says.
  init?(_ bytes: [UInt8]) {
    guard let encoded = SerializedLargeBlobArray.array(in: bytes) else {
      entries = []
      return
    }
    guard case .array(let entries)? = try? CanonicalCBOR.decode(encoded) else { return nil }
    self.entries = entries
  }

  func encoded() -> [UInt8] {
    SerializedLargeBlobArray.serialize(CanonicalCBOR.encode(.array(entries)))
  }

  /// The blob of a largeBlobKey; nil where there is none.
  func blob(_ key: borrowing SecretBytes) -> [UInt8]? {
    for entry in entries {
      if let (compressed, size) = LargeBlobArray.open(entry, key), size <= LargeBlobArray.largestBlob,
        let blob = Deflate.decompress(compressed, count: Int(size))
      {
        return blob
      }
    }
    return nil
  }

  /// Puts a blob in the place of those that the key has had.
  mutating func replace(_ key: borrowing SecretBytes, by blob: [UInt8]) throws(CryptoError) {
    var others: [CBORValue] = []
    for entry in entries where LargeBlobArray.open(entry, key) == nil { others.append(entry) }
    let nonce = SystemRandom().bytes(AESGCM.nonceCount)
    let size = UInt64(blob.count)
    guard let compressed = Deflate.compress(blob) else { throw CryptoError(call: "DEFLATE") }
    let ciphertext = try AESGCM.seal(
      compressed, key: key, nonce: nonce, authenticating: LargeBlobArray.associated(size))
    entries =
      others + [
        .map([Key.ciphertext: .bytes(ciphertext), Key.nonce: .bytes(nonce), Key.originalSize: .unsigned(size)])
      ]
  }

  /// nil where the entry is another credential's.
  private static func open(_ entry: CBORValue, _ key: borrowing SecretBytes) -> (compressed: [UInt8], size: UInt64)? {
    guard case .map(let map) = entry, case .bytes(let ciphertext)? = map[Key.ciphertext],
      case .bytes(let nonce)? = map[Key.nonce], case .unsigned(let size)? = map[Key.originalSize],
      let plain = try? AESGCM.open(ciphertext, key: key, nonce: nonce, authenticating: associated(size))
    else { return nil }
    return (plain, size)
  }

  private static func associated(_ size: UInt64) -> [UInt8] {
    [UInt8]("blob".utf8) + (0..<8).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) }
  }
}
