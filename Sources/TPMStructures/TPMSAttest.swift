/// TPMS_ATTEST (TPM 2.0 Library, part 2, section 10.12.12): what a TPM signs with a restricted key, and nothing but a TPM
/// can have made, since of other data that begins with the same number it signs none.
package struct TPMSAttest: Equatable, Sendable {
  /// TPM_GENERATED_VALUE.
  package static let magic: UInt32 = 0xFF54_4347

  /// TPMS_CLOCK_INFO (section 10.11.1).
  package struct Clock: Equatable, Sendable {
    /// Milliseconds.
    package var clock: UInt64
    package var resetCount: UInt32
    package var restartCount: UInt32
    package var isSafe: Bool

    package init(clock: UInt64, resetCount: UInt32, restartCount: UInt32, isSafe: Bool) {
      self.clock = clock
      self.resetCount = resetCount
      self.restartCount = restartCount
      self.isSafe = isSafe
    }
  }

  /// One TPMS_PCR_SELECTION (section 10.6.2).
  package struct Selection: Equatable, Sendable {
    /// TPM_ALG_ID of the bank.
    package var hash: UInt16
    /// A bit for each PCR, PCR 0 in the lowest of the first byte.
    package var bits: [UInt8]

    package init(hash: UInt16, bits: [UInt8]) {
      self.hash = hash
      self.bits = bits
    }
  }

  /// TPMU_ATTEST with its selector.
  package enum Attested: Equatable, Sendable {
    /// TPM_ST_ATTEST_CERTIFY, 0x8017.
    case certify(name: [UInt8], qualifiedName: [UInt8])
    /// TPM_ST_ATTEST_QUOTE, 0x8018.
    case quote(selections: [Selection], digest: [UInt8])
  }

  package var qualifiedSigner: [UInt8]
  package var extraData: [UInt8]
  package var clock: Clock
  package var firmwareVersion: UInt64
  package var attested: Attested

  package init(
    qualifiedSigner: [UInt8], extraData: [UInt8], clock: Clock, firmwareVersion: UInt64, attested: Attested
  ) {
    self.qualifiedSigner = qualifiedSigner
    self.extraData = extraData
    self.clock = clock
    self.firmwareVersion = firmwareVersion
    self.attested = attested
  }
}

extension TPMSAttest {
  private enum Tag {
    static let certify: UInt16 = 0x8017
    static let quote: UInt16 = 0x8018
  }

  /// Two bytes of algorithm and SHA-512's digest.
  private static let maximumName = 66
  /// The longest digest, SHA-512's, as TPM2B_DATA may have.
  private static let maximumDigest = 66
  /// Banks of PCRs that an implementation may have.
  private static let maximumSelections = 16

  /// Parses any bytes: exactly a TPMS_ATTEST, without the size of a TPM2B_ATTEST before it.
  ///
  /// - Throws: ``TPMStructureError``; `.wrong("magic")` and `.wrong("type")` for what no TPM has certified or quoted
  package init(parsing bytes: [UInt8]) throws(TPMStructureError) {
    var reader = StructureReader(bytes)
    guard try reader.uint32("magic") == TPMSAttest.magic else { throw .wrong("magic") }
    let tag = try reader.uint16("type")
    guard tag == Tag.certify || tag == Tag.quote else { throw .wrong("type") }
    qualifiedSigner = try reader.sized("qualifiedSigner", upTo: TPMSAttest.maximumName)
    extraData = try reader.sized("extraData", upTo: TPMSAttest.maximumDigest)
    clock = try Clock(&reader)
    firmwareVersion = try reader.uint64("firmwareVersion")
    if tag == Tag.certify {
      let name = try reader.sized("attested.name", upTo: TPMSAttest.maximumName)
      attested = .certify(
        name: name, qualifiedName: try reader.sized("attested.qualifiedName", upTo: TPMSAttest.maximumName))
    } else {
      let selections = try TPMSAttest.selections(&reader)
      attested = .quote(
        selections: selections, digest: try reader.sized("attested.pcrDigest", upTo: TPMSAttest.maximumDigest))
    }
    try reader.end()
  }

  private static func selections(_ reader: inout StructureReader) throws(TPMStructureError) -> [Selection] {
    let count = Int(try reader.uint32("attested.pcrSelect"))
    guard count <= maximumSelections else { throw .wrong("attested.pcrSelect") }
    var selections: [Selection] = []
    for _ in 0..<count {
      let hash = try reader.uint16("attested.pcrSelect.hash")
      let size = Int(try reader.uint8("attested.pcrSelect.sizeofSelect"))
      guard size <= 4 else { throw .wrong("attested.pcrSelect.sizeofSelect") }
      selections.append(Selection(hash: hash, bits: try reader.take(size, "attested.pcrSelect.pcrSelect")))
    }
    return selections
  }

  /// As it is signed.
  package func serialized() -> [UInt8] {
    var writer = StructureWriter()
    writer.integer(TPMSAttest.magic)
    if case .certify = attested { writer.integer(Tag.certify) } else { writer.integer(Tag.quote) }
    writer.sized(qualifiedSigner)
    writer.sized(extraData)
    writer.integer(clock.clock)
    writer.integer(clock.resetCount)
    writer.integer(clock.restartCount)
    writer.integer(UInt8(clock.isSafe ? 1 : 0))
    writer.integer(firmwareVersion)
    switch attested {
    case .certify(let name, let qualifiedName):
      writer.sized(name)
      writer.sized(qualifiedName)
    case .quote(let selections, let digest):
      writer.integer(UInt32(selections.count))
      for selection in selections {
        writer.integer(selection.hash)
        writer.integer(UInt8(selection.bits.count))
        writer.raw(selection.bits)
      }
      writer.sized(digest)
    }
    return writer.bytes
  }
}

extension TPMSAttest.Clock {
  fileprivate init(_ reader: inout StructureReader) throws(TPMStructureError) {
    clock = try reader.uint64("clockInfo.clock")
    resetCount = try reader.uint32("clockInfo.resetCount")
    restartCount = try reader.uint32("clockInfo.restartCount")
    // TPMI_YES_NO has two values.
    let safe = try reader.uint8("clockInfo.safe")
    guard safe <= 1 else { throw .wrong("clockInfo.safe") }
    isSafe = safe == 1
  }
}
