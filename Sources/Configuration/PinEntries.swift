internal import Platform

extension SourceFile {
  /// The owner's range of persistent handles, as the storage root key's conventional one shows it.
  private static let ownerHandles: ClosedRange<UInt32> = 0x8100_0000...0x817F_FFFF

  func applyPins(to pins: inout PinConfiguration) throws(ConfigurationError) {
    guard let entry = document.tpm?.pins else { return }
    if let handles = entry.handles { pins.handles = try checkedHandles(handles, "tpm.pins.handles") }
    if let count = entry.count { pins.count = try checkedCount(count, "tpm.pins.count", in: 0...64) }
    if let writes = entry.writesPerDay {
      pins.writesPerDay = try checkedCount(writes, "tpm.pins.writesPerDay", in: 0...10_000)
    }
    if let burst = entry.burst { pins.burst = try checkedCount(burst, "tpm.pins.burst", in: 0...10_000) }
  }

  /// `0x8100c600-0x8100c63f`, both ends included.
  private func checkedHandles(_ text: String, _ keyPath: String) throws(ConfigurationError) -> ClosedRange<UInt32> {
    let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { end -> UInt32? in
      guard end.hasPrefix("0x"), end.utf8.count == 10 else { return nil }
      return UInt32(end.dropFirst(2), radix: 16)
    }
    guard ends.count == 2, let first = ends[0], let last = ends[1], first <= last,
      Self.ownerHandles.contains(first), Self.ownerHandles.contains(last)
    else {
      throw error(
        keyPath, "\(quoted(text)) is not a range of the owner's persistent handles",
        "write one such as \"0x8100c600-0x8100c63f\", from 0x81000000 to 0x817fffff")
    }
    return first...last
  }
}
