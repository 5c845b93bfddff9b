internal import Configuration
internal import Crypto
internal import Platform
internal import Policy
internal import Transports

/// Reads executables on a thread of its own, each only once: what identifies a file's content is device, inode, size and
/// both times of change, of which the last is the kernel's alone.
actor ExecutableDigests: ExecutableReader {
  /// Bytes of the longest executable that is read.
  private static let maximumSize = 512 << 20
  private static let maximumCount = 256

  /// Whether a rule asks for one; a reload changes it.
  nonisolated let wanted: Lock<Bool>
  private let executor: ThreadExecutor
  private var known: [FileIdentity: [UInt8]] = [:]

  init(wanted: Bool) throws(SystemError) {
    self.wanted = Lock(wanted)
    executor = try ThreadExecutor(name: "digests")
  }

  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

  nonisolated var isWanted: Bool { wanted.withLock { $0 } }

  /// Ends the thread.
  nonisolated func stop() { executor.stop() }

  func digest(of file: ExecutableFile) -> [UInt8]? { digest(of: file.descriptor) }

  /// The operator's question in the words of policy. Here, since the user database may take its time, and executables do.
  ///
  /// - Throws: `QuestionError`
  func inquiry(_ question: PolicyQuestion) throws -> Inquiry {
    try question.inquiry(accounts: .system) { digest(of: $0) }
  }

  private func digest(of file: borrowing Descriptor) -> [UInt8]? {
    guard let identity = try? file.identity() else { return nil }
    if let digest = known[identity] { return digest }
    guard let digest = SHA256.digest(ofFile: file.raw, limit: Self.maximumSize),
      // Changed under our hands: then it is the digest of neither.
      let after = try? file.identity(), after == identity
    else { return nil }
    if known.count >= Self.maximumCount { known = [:] }
    known[identity] = digest
    return digest
  }
}
