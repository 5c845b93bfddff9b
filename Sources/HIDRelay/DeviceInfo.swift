internal import CBOR
internal import CTAPHID

/// getInfo as it is true of the kernel's device, which takes shorter requests than the daemon.
///
/// The kernel keeps 32 reports for us and drops the next, without a word to the program that writes them: a request of
/// more packets arrives whole only if we are quick enough. So the device says what always arrives, and programs split
/// their lists and their large blobs by that, as they do for keys on a bus.
enum DeviceInfo {
  /// Bytes of a request: 21 packets. Keys on a bus say as much.
  static let maximumMessage = 1200
  /// Descriptors of credentials: with 16 bytes of ID each has 37 bytes, and the rest of a request is there too.
  static let maximumList: UInt64 = 24

  /// authenticatorGetInfo, which has no parameters (CTAP 2.1 section 6.4).
  static func isAsked(by frame: Frame) -> Bool { frame.command == .cbor && frame.payload == [0x04] }

  /// The answer with our limits in it.
  ///
  /// - Parameter answer: the daemon's: status, and where that is 0 the canonical CBOR of a map
  /// - Returns: the answer for programs; nil where the daemon's cannot be read
  static func limited(_ answer: [UInt8]) -> [UInt8]? {
    guard answer.first == 0 else { return answer }
    guard case .map(var info)? = try? CanonicalCBOR.decode(Array(answer.dropFirst())) else { return nil }
    limit(&info, key: 0x05, to: UInt64(maximumMessage))
    limit(&info, key: 0x07, to: maximumList)
    return [0] + CanonicalCBOR.encode(.map(info))
  }

  private static func limit(_ info: inout CBORMap, key: CBORValue, to maximum: UInt64) {
    // What is not there is bounded by the standard already: 1,024 bytes, and one descriptor.
    if case .unsigned(let value)? = info[key] { info[key] = .unsigned(min(value, maximum)) }
  }
}
