internal import Attestation
internal import Crypto
internal import TPM

/// What the key store keeps in the ``DeviceRecordStore``. Nothing in it is secret: the sealed part only the TPM opens.
enum DeviceRecord: Equatable {
  /// Saved before the NV indices are defined: a start that finds this removes them and begins again, so that a crash
  /// in between leaves no orphan in the TPM. Once it is sealed they are never defined again.
  case provisioning(IndexPlaces)
  case sealed(SealedDevice)
  /// On its way out: no start signs for a job any more. The audit log is still signed.
  case decommissioning(SealedDevice)
  /// The secret and every key have gone from the state folder. What is in the TPM may still be there.
  case removing(FormerDevice)
  /// Nothing is left to be done.
  case decommissioned(FormerDevice)
}

/// What remains of a device: where it was in the TPM, and what verifies its audit log.
struct FormerDevice: Equatable {
  /// Persistent handle of the storage root key.
  var parentHandle: UInt32
  var parentName: [UInt8]
  var indices: IndexPlaces
  /// SubjectPublicKeyInfo of the key that signed the audit log.
  var auditKey: [UInt8]
  var firstAnchor: UInt64
  /// The anchor when the log ended.
  var anchor: UInt64
  /// Of the log's last record.
  var sequence: UInt64
  /// SHA-256 of that record's line.
  var hash: [UInt8]
}

/// The NV indices of a device.
struct IndexPlaces: Equatable {
  /// That of the signature counter.
  var counter: UInt32
  /// That of the ``RetryRecord``.
  var retries: UInt32
  /// That of the audit log's anchor.
  var anchor: UInt32
  /// The random tag in the public area of each.
  var tag: [UInt8]

  func counter(_ authorization: SharedSecret) -> NVIndex {
    NVIndex(role: .signatureCounter, number: counter, tag: tag, authorization: authorization)
  }

  func retries(_ authorization: SharedSecret) -> NVIndex {
    NVIndex(role: .retryRecord, number: retries, tag: tag, authorization: authorization)
  }

  func anchor(_ authorization: SharedSecret) -> NVIndex {
    NVIndex(role: .auditAnchor, number: anchor, tag: tag, authorization: authorization)
  }

  var all: [UInt32] { [counter, retries, anchor] }
}

/// A device secret as the TPM sealed it, and where its surroundings are in that TPM.
struct SealedDevice: Equatable {
  /// Persistent handle of the storage root key.
  var parentHandle: UInt32
  /// Name of that key: tells this TPM from every other, and from itself once it has been cleared.
  var parentName: [UInt8]
  var indices: IndexPlaces
  /// The secret, the indices' authorization value and the counter's base; see ``SealedPayload``.
  var secret: WrappedObject
  /// The key that signs the audit log. It outlives a reset, as the log does.
  var auditKey: WrappedObject
  /// The anchor when that key was made.
  var firstAnchor: UInt64
  /// The boots in which the TPM opens the secret; nil for every boot.
  var boot: BootPolicy?
}

extension SealedDevice {
  /// SHA-256 over what the record says of the TPM's indices and the audit log's key: sealed with the secret, so that
  /// whoever writes the record cannot pass off another anchor as the first, nor one counter as another.
  static func surroundings(_ indices: IndexPlaces, _ auditKey: WrappedObject, firstAnchor: UInt64) -> [UInt8] {
    var writer = ByteWriter()
    DeviceRecord.encode(indices, &writer)
    writer.string(auditKey.publicArea)
    writer.integer(UInt32(truncatingIfNeeded: firstAnchor >> 32))
    writer.integer(UInt32(truncatingIfNeeded: firstAnchor))
    return SHA256.hash(writer.bytes)
  }

  var surroundings: [UInt8] { SealedDevice.surroundings(indices, auditKey, firstAnchor: firstAnchor) }
}

extension DeviceRecord {
  private static let magic: [UInt8] = Array("CSDR".utf8)
  private static let version: UInt8 = 5
  static let tagCount = 32

  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    DeviceRecord.magic.forEach { writer.byte($0) }
    writer.byte(DeviceRecord.version)
    switch self {
    case .provisioning(let indices):
      writer.byte(1)
      DeviceRecord.encode(indices, &writer)
    case .sealed(let device):
      writer.byte(2)
      DeviceRecord.encode(device, &writer)
    case .decommissioning(let device):
      writer.byte(3)
      DeviceRecord.encode(device, &writer)
    case .removing(let device):
      writer.byte(4)
      DeviceRecord.encode(device, &writer)
    case .decommissioned(let device):
      writer.byte(5)
      DeviceRecord.encode(device, &writer)
    }
    return writer.bytes
  }

  private static func encode(_ device: SealedDevice, _ writer: inout ByteWriter) {
    writer.integer(device.parentHandle)
    writer.string(device.parentName)
    encode(device.indices, &writer)
    writer.string(device.secret.publicArea)
    writer.string(device.secret.privateArea)
    writer.string(device.auditKey.publicArea)
    writer.string(device.auditKey.privateArea)
    writer.long(device.firstAnchor)
    writer.bootPolicy(device.boot)
  }

  private static func encode(_ device: FormerDevice, _ writer: inout ByteWriter) {
    writer.integer(device.parentHandle)
    writer.string(device.parentName)
    encode(device.indices, &writer)
    writer.string(device.auditKey)
    writer.long(device.firstAnchor)
    writer.long(device.anchor)
    writer.long(device.sequence)
    writer.string(device.hash)
  }

  fileprivate static func encode(_ indices: IndexPlaces, _ writer: inout ByteWriter) {
    writer.integer(indices.counter)
    writer.integer(indices.retries)
    writer.integer(indices.anchor)
    writer.string(indices.tag)
  }

  /// Whether it is of a version before this one: 1 had no retry record, 2 no audit key, 3 no boot
  /// policy, and no release wrote them.
  static func isOfEarlierVersion(_ bytes: [UInt8]) -> Bool {
    (1..<version).contains { (number: UInt8) in bytes.starts(with: magic + [number]) }
  }

  /// Reads a record; nil for every other sequence of bytes.
  static func decode(_ bytes: [UInt8]) -> DeviceRecord? {
    var reader = ByteReader(bytes)
    for expected in magic + [version] {
      guard reader.byte() == expected else { return nil }
    }
    let record: DeviceRecord
    switch reader.byte() {
    case 1:
      guard let indices = decodeIndices(&reader) else { return nil }
      record = .provisioning(indices)
    case 2:
      guard let device = decodeSealed(&reader) else { return nil }
      record = .sealed(device)
    case 3:
      guard let device = decodeSealed(&reader) else { return nil }
      record = .decommissioning(device)
    case 4:
      guard let device = decodeFormer(&reader) else { return nil }
      record = .removing(device)
    case 5:
      guard let device = decodeFormer(&reader) else { return nil }
      record = .decommissioned(device)
    default: return nil
    }
    return reader.isAtEnd ? record : nil
  }

  private static func decodeIndices(_ reader: inout ByteReader) -> IndexPlaces? {
    guard let counter = reader.integer(), let retries = reader.integer(), let anchor = reader.integer(),
      let tag = reader.string(upTo: tagCount), tag.count == tagCount
    else { return nil }
    return IndexPlaces(counter: counter, retries: retries, anchor: anchor, tag: tag)
  }

  private static func decodeSealed(_ reader: inout ByteReader) -> SealedDevice? {
    guard let parentHandle = reader.integer(),
      let parentName = reader.string(upTo: 66),  // a Name with SHA-512
      let indices = decodeIndices(&reader),
      let publicArea = reader.string(upTo: 1024),
      let privateArea = reader.string(upTo: 2048),
      let auditPublicArea = reader.string(upTo: 1024),
      let auditPrivateArea = reader.string(upTo: 2048),
      let firstAnchor = reader.long(), let boot = reader.bootPolicy()
    else { return nil }
    return SealedDevice(
      parentHandle: parentHandle, parentName: parentName, indices: indices,
      secret: WrappedObject(publicArea: publicArea, privateArea: privateArea),
      auditKey: WrappedObject(publicArea: auditPublicArea, privateArea: auditPrivateArea),
      firstAnchor: firstAnchor, boot: boot.policy)
  }

  private static func decodeFormer(_ reader: inout ByteReader) -> FormerDevice? {
    guard let parentHandle = reader.integer(), let parentName = reader.string(upTo: 66),
      let indices = decodeIndices(&reader), let auditKey = reader.string(upTo: 256),
      let firstAnchor = reader.long(), let anchor = reader.long(), let sequence = reader.long(),
      let hash = reader.string(upTo: 32), hash.count == 32
    else { return nil }
    return FormerDevice(
      parentHandle: parentHandle, parentName: parentName, indices: indices, auditKey: auditKey,
      firstAnchor: firstAnchor, anchor: anchor, sequence: sequence, hash: hash)
  }
}

/// The encoding of a credential key in `CredentialKey.blob`.
enum KeyBlob {
  private static let version: UInt8 = 1

  static func encode(_ object: WrappedObject) -> [UInt8] {
    var writer = ByteWriter()
    writer.byte(version)
    writer.string(object.publicArea)
    writer.string(object.privateArea)
    return writer.bytes
  }

  /// Reads a key; nil for every other sequence of bytes.
  static func decode(_ bytes: [UInt8]) -> WrappedObject? {
    var reader = ByteReader(bytes)
    guard reader.byte() == version, let publicArea = reader.string(upTo: 1024),
      let privateArea = reader.string(upTo: 2048), reader.isAtEnd
    else { return nil }
    return WrappedObject(publicArea: publicArea, privateArea: privateArea)
  }
}
