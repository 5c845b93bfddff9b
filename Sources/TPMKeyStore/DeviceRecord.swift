internal import TPM

/// What the key store keeps in the ``DeviceRecordStore``. Nothing in it is secret: the sealed part only the TPM opens.
enum DeviceRecord: Equatable {
  /// Saved before an NV index is defined: a start that finds this removes the index and begins again, so that a crash
  /// in between leaves no orphan in the TPM.
  case provisioning(counterIndex: UInt32, counterTag: [UInt8])
  case sealed(SealedDevice)
}

/// A device secret as the TPM sealed it, and where its surroundings are in that TPM.
struct SealedDevice: Equatable {
  /// Persistent handle of the storage root key.
  var parentHandle: UInt32
  /// Name of that key: tells this TPM from every other, and from itself once it has been cleared.
  var parentName: [UInt8]
  /// NV index of the signature counter.
  var counterIndex: UInt32
  /// The random tag in that index's public area.
  var counterTag: [UInt8]
  /// The secret, the counter's authorization value and its base; see ``SealedPayload``.
  var secret: WrappedObject

  func counter(_ payload: SealedPayload) -> NVCounter {
    NVCounter(index: counterIndex, tag: counterTag, authorization: payload.counterAuthorization)
  }
}

extension DeviceRecord {
  private static let magic: [UInt8] = Array("CSDR".utf8)
  private static let version: UInt8 = 1
  static let tagCount = 32

  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    DeviceRecord.magic.forEach { writer.byte($0) }
    writer.byte(DeviceRecord.version)
    switch self {
    case .provisioning(let index, let tag):
      writer.byte(1)
      writer.integer(index)
      writer.string(tag)
    case .sealed(let device):
      writer.byte(2)
      writer.integer(device.parentHandle)
      writer.string(device.parentName)
      writer.integer(device.counterIndex)
      writer.string(device.counterTag)
      writer.string(device.secret.publicArea)
      writer.string(device.secret.privateArea)
    }
    return writer.bytes
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
      guard let index = reader.integer(), let tag = reader.string(upTo: tagCount) else { return nil }
      record = .provisioning(counterIndex: index, counterTag: tag)
    case 2:
      guard let device = decodeSealed(&reader) else { return nil }
      record = .sealed(device)
    default: return nil
    }
    return reader.isAtEnd ? record : nil
  }

  private static func decodeSealed(_ reader: inout ByteReader) -> SealedDevice? {
    guard let parentHandle = reader.integer(),
      let parentName = reader.string(upTo: 66),  // a Name with SHA-512
      let counterIndex = reader.integer(),
      let counterTag = reader.string(upTo: tagCount),
      let publicArea = reader.string(upTo: 1024),
      let privateArea = reader.string(upTo: 2048)
    else { return nil }
    return SealedDevice(
      parentHandle: parentHandle, parentName: parentName, counterIndex: counterIndex, counterTag: counterTag,
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
