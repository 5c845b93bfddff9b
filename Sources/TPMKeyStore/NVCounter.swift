internal import Authenticator
internal import TPM

/// The signature counter in the TPM, and how it is known.
struct NVCounter: Sendable {
  let index: UInt32
  /// The random tag in its public area.
  let tag: [UInt8]
  let authorization: SharedSecret

  var isGone: KeyStoreError {
    .failed(
      "the TPM no longer has this device's signature counter (\(place)): somebody has removed it; begin anew with an "
        + "empty state folder")
  }

  var isAnother: KeyStoreError {
    .failed(
      "this device's signature counter (\(place)) has been removed from the TPM, and another index defined in its "
        + "place; begin anew with an empty state folder")
  }

  fileprivate func isBehind(_ reading: UInt64, _ known: UInt64) -> KeyStoreError {
    .failed(
      "the TPM's signature counter (\(place)) went backwards: it is at \(reading) and has been at \(known); begin anew "
        + "with an empty state folder")
  }

  private var place: String { "NV index 0x" + String(index, radix: 16) }
}

extension TPMDevice {
  /// Increments the counter: each of its values is given out once.
  ///
  /// - Returns: its value, which is greater than those before
  /// - Throws: ``KeyStoreError``
  func advance(_ counter: NVCounter) throws(KeyStoreError) -> UInt64 {
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
  func read(_ counter: NVCounter, notBelow known: UInt64 = 0) throws(KeyStoreError) -> UInt64 {
    let reading = try withTPM { tpm throws in try tpm.read(counter) }
    let known = max(known, highestReading)
    guard reading >= known else { throw counter.isBehind(reading, known) }
    highestReading = reading
    return reading
  }
}
