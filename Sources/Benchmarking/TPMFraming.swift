/// The head of a TPM command or response (TPM 2.0 Library, part 1, section 18): tag, size of the whole, and command code
/// or response code, all big-endian.
struct TPMHead: Equatable {
  static let count = 10
  /// Longer than any command or response of a TPM (TPM_PT_MAX_COMMAND_SIZE is 4,096).
  static let greatestSize = 8192

  /// Bytes of the command or response with its head.
  let size: Int
  /// The command code, or the response code.
  let code: UInt32

  /// nil where these are no head, or announce less than a head or more than ``greatestSize``.
  ///
  /// - Parameter bytes: ``count`` bytes
  init?(_ bytes: [UInt8]) {
    guard bytes.count == TPMHead.count else { return nil }
    func number(_ range: Range<Int>) -> UInt32 { bytes[range].reduce(0) { $0 << 8 | UInt32($1) } }
    let size = Int(number(2..<6))
    guard (TPMHead.count...TPMHead.greatestSize).contains(size) else { return nil }
    self.size = size
    code = number(6..<10)
  }
}
