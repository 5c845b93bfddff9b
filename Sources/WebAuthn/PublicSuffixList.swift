internal import CPublicSuffix

/// The public suffix list of this machine (libpsl).
@safe struct PublicSuffixList: @unchecked Sendable {
  /// Read once; lives as long as the program. libpsl only reads it, from any thread.
  private let list: OpaquePointer?

  static let shared = unsafe PublicSuffixList(list: cs_public_suffix_list())

  /// Whether nobody can register `domain` itself. Where the machine has no list every domain counts as public, so that
  /// a missing list can only refuse.
  ///
  /// - Parameter domain: lower-case ASCII without a final dot
  /// - Returns: true also for domains of no list with one label, by the list's default rule
  func isPublicSuffix(_ domain: String) -> Bool {
    guard let list = unsafe list else { return true }
    return unsafe psl_is_public_suffix(list, domain) != 0
  }
}
