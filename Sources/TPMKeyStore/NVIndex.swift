internal import Authenticator
internal import TPM

/// One of this device's NV indices, and how it is known.
struct NVIndex: Sendable {
  /// What it is for.
  enum Role: Sendable {
    case signatureCounter
    /// The ``RetryRecord``.
    case retryRecord
    /// How often the audit log was anchored.
    case auditAnchor

    var kind: NVIndexKind {
      switch self {
      case .signatureCounter, .auditAnchor: .counter
      case .retryRecord: .data(count: RetryRecord.encodedCount)
      }
    }

    fileprivate var name: String {
      switch self {
      case .signatureCounter: "signature counter"
      case .retryRecord: "PIN retry record"
      case .auditAnchor: "audit anchor"
      }
    }
  }

  let role: Role
  let number: UInt32
  /// The random tag in its public area.
  let tag: [UInt8]
  let authorization: SharedSecret

  var isGone: KeyStoreError {
    .failed(
      "the TPM no longer has this device's \(place): somebody has removed it; begin anew with an empty state folder and "
        + "a new audit log")
  }

  var isAnother: KeyStoreError {
    .failed(
      "this device's \(place) has been removed from the TPM, and another index defined in its place; begin anew with "
        + "an empty state folder and a new audit log")
  }

  /// Its tag is ours, which anybody can read in the TPM.
  func isDefinedAnew(_ error: TPMError) -> KeyStoreError {
    .failed(
      "the TPM's \(place) does not take this device's authorization: somebody has defined it anew; begin anew with an "
        + "empty state folder and a new audit log: \(error)")
  }

  var isUnknown: KeyStoreError {
    .failed("the TPM's \(place) holds what this version does not know: has a newer one written it?")
  }

  fileprivate func isBehind(_ reading: UInt64, _ known: UInt64) -> KeyStoreError {
    .failed(
      "the TPM's \(place) went backwards: it is at \(reading) and has been at \(known); begin anew with an empty state "
        + "folder and a new audit log")
  }

  private var place: String { "\(role.name) (NV index 0x\(String(number, radix: 16)))" }
}

extension TPMDevice {
  /// Increments the counter: each of its values is given out once.
  ///
  /// - Returns: its value, which is greater than those before
  /// - Throws: ``KeyStoreError``
  func advance(_ counter: NVIndex) throws(KeyStoreError) -> UInt64 {
    let reading = try withTPM { tpm throws in try tpm.advance(counter) }
    guard reading > highestReading else { throw counter.isBehind(reading, highestReading) }
    highestReading = reading
    return reading
  }

  /// Reads the counter.
  ///
  /// - Parameters:
  ///   - counter: which
  ///   - known: a value that it has had
  /// - Returns: its value, which is not smaller than those before
  /// - Throws: ``KeyStoreError``
  func read(_ counter: NVIndex, notBelow known: UInt64 = 0) throws(KeyStoreError) -> UInt64 {
    let reading = try withTPM { tpm throws in try tpm.read(counter) }
    let known = max(known, highestReading)
    guard reading >= known else { throw counter.isBehind(reading, known) }
    highestReading = reading
    return reading
  }

  /// Reads the audit anchor.
  ///
  /// - Throws: ``KeyStoreError``
  func readAnchor(_ index: NVIndex) throws(KeyStoreError) -> UInt64 {
    try withTPM { tpm throws in try tpm.read(index) }
  }

  /// Advances the audit anchor. Where the connection broke in between it may advance twice, so that a value that is
  /// expected is not exceeded.
  ///
  /// - Parameters:
  ///   - index: which
  ///   - value: what it shall be
  /// - Returns: what it is
  /// - Throws: ``KeyStoreError``
  func advanceAnchor(_ index: NVIndex, to value: UInt64) throws(KeyStoreError) -> UInt64 {
    try withTPM { tpm throws in
      let now = try tpm.read(index)
      return now < value ? try tpm.advance(index) : now
    }
  }

  /// Reads the retry record.
  ///
  /// - Throws: ``KeyStoreError``
  func readRecord(_ index: NVIndex) throws(KeyStoreError) -> RetryRecord {
    try withTPM { tpm throws in try tpm.readRecord(index) }
  }

  /// Writes the retry record. Where the connection broke it is written again, which is the same.
  ///
  /// - Throws: ``KeyStoreError``
  func write(_ record: RetryRecord, to index: NVIndex) throws(KeyStoreError) {
    try withTPM { tpm throws in try tpm.write(record, to: index) }
  }
}

extension RetryRecord {
  /// More than is used: an index keeps its size for life, since it is never defined again.
  static let encodedCount = 16
  private static let usedCount = 9

  /// The generation (8 bytes, big-endian), the failures (1), and zeros.
  var encoded: [UInt8] {
    let number = (0..<8).map { UInt8(truncatingIfNeeded: generation >> UInt64(56 - 8 * $0)) }
    return number + [failures] + [UInt8](repeating: 0, count: RetryRecord.encodedCount - RetryRecord.usedCount)
  }

  /// Reads what ``encoded`` gives; nil for every other sequence of bytes.
  init?(encoded bytes: [UInt8]) {
    guard bytes.count == RetryRecord.encodedCount, bytes[RetryRecord.usedCount...].allSatisfy({ $0 == 0 }) else {
      return nil
    }
    self.init(generation: bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }, failures: bytes[8])
  }
}
