internal import Configuration
internal import Crypto
internal import Platform
internal import Policy
internal import Transports

/// Reads on a thread of its own what may take its time: executables, the user database and the configuration. Each
/// executable only once: what identifies a file's content is device, inode, size and both times of change, of which the
/// last is the kernel's alone.
actor MachineReader: ExecutableReader {
  /// Bytes of the longest executable that is read.
  private static let maximumSize = 512 << 20
  private static let maximumCount = 256

  /// Whether a rule asks for the digest of an executable; a reload changes it.
  nonisolated let wanted: Lock<Bool>
  private let executor: ThreadExecutor
  private var known: [FileIdentity: [UInt8]] = [:]

  init(wanted: Bool) throws(SystemError) {
    self.wanted = Lock(wanted)
    executor = try ThreadExecutor(name: "reader")
  }

  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

  nonisolated var isWanted: Bool { wanted.withLock { $0 } }

  /// Ends the thread.
  nonisolated func stop() { executor.stop() }

  func digest(of file: ExecutableFile) -> [UInt8]? { digest(of: file.descriptor) }

  /// The operator's question in the words of policy.
  ///
  /// - Throws: `QuestionError`
  func inquiry(_ question: PolicyQuestion) throws -> Inquiry {
    try question.inquiry(accounts: .system) { digest(of: $0) }
  }

  /// Whom of the question this machine does not know.
  func strangers(_ question: PolicyQuestion) -> [String] { question.strangers(to: .system) }

  /// The configuration, whose names of users are looked up.
  ///
  /// - Throws: `ConfigurationError`
  func load(_ configured: Configured) throws(ConfigurationError) -> LoadedSettings { try configured.load() }

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
