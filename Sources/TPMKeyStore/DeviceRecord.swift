internal import TPM

/// What the key store keeps in the ``DeviceRecordStore``. Nothing in it is secret: the sealed part only the TPM opens.
enum DeviceRecord: Equatable {
  /// Saved before the NV indices are defined: a start that finds this removes them and begins again, so that a crash
  /// in between leaves no orphan in the TPM. Once it is sealed they are never defined again.
  case provisioning(IndexPlaces)
  case sealed(SealedDevice)
}

/// The NV indices of a device.
struct IndexPlaces: Equatable {
  /// That of the signature counter.
  var counter: UInt32
  /// That of the ``RetryRecord``.
  var retries: UInt32
  /// The random tag in the public area of both.
  var tag: [UInt8]

  func counter(_ authorization: SharedSecret) -> NVIndex {
    NVIndex(role: .signatureCounter, number: counter, tag: tag, authorization: authorization)
  }

  func retries(_ authorization: SharedSecret) -> NVIndex {
    NVIndex(role: .retryRecord, number: retries, tag: tag, authorization: authorization)
  }
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
}

extension DeviceRecord {
  private static let magic: [UInt8] = Array("CSDR".utf8)
  private static let version: UInt8 = 2
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
      writer.integer(device.parentHandle)
      writer.string(device.parentName)
      DeviceRecord.encode(device.indices, &writer)
      writer.string(device.secret.publicArea)
      writer.string(device.secret.privateArea)
    }
    return writer.bytes
  }

  private static func encode(_ indices: IndexPlaces, _ writer: inout ByteWriter) {
    writer.integer(indices.counter)
    writer.integer(indices.retries)
    writer.string(indices.tag)
  }

  /// Whether it is of the version before this one, which had no retry record and which no release wrote.
  static func isOfVersion1(_ bytes: [UInt8]) -> Bool {
    bytes.starts(with: magic + [1])
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
    default: return nil
    }
    return reader.isAtEnd ? record : nil
  }

  private static func decodeIndices(_ reader: inout ByteReader) -> IndexPlaces? {
    guard let counter = reader.integer(), let retries = reader.integer(), let tag = reader.string(upTo: tagCount),
      tag.count == tagCount
    else { return nil }
    return IndexPlaces(counter: counter, retries: retries, tag: tag)
  }

  private static func decodeSealed(_ reader: inout ByteReader) -> SealedDevice? {
    guard let parentHandle = reader.integer(),
      let parentName = reader.string(upTo: 66),  // a Name with SHA-512
      let indices = decodeIndices(&reader),
      let publicArea = reader.string(upTo: 1024),
      let privateArea = reader.string(upTo: 2048)
    else { return nil }
    return SealedDevice(
      parentHandle: parentHandle, parentName: parentName, indices: indices,
      secret: WrappedObject(publicArea: publicArea, privateArea: privateArea))
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
