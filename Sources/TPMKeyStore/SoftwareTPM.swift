internal import Authenticator
internal import Glibc
internal import Platform

/// swtpm as a supervised child. It is reached through a socket pair, so that nobody else can reach it. It ends when the
/// daemon's end closes; tied to the TPM thread as well, because swtpm spins for ever where the daemon was killed between
/// a command and its answer.
final class SoftwareTPM: Sendable {
  let directory: String
  private let program: String
  private let child = Lock<ChildProcess?>(nil)
  /// Held while there is a child, so that whoever starts another one on the same state learns why it would fail.
  private let claim = Lock<Claim?>(nil)

  private final class Claim: Sendable {
    let file: Descriptor

    init(_ file: consuming Descriptor) { self.file = file }
    deinit { file.unlock() }
  }

  /// - Parameters:
  ///   - directory: absolute; made with mode 0700 where it is missing
  ///   - program: swtpm, or in tests what stands for it
  /// - Throws: ``KeyStoreError``
  init(directory: String, program: String = "swtpm") throws(KeyStoreError) {
    // swtpm's options are separated by commas.
    guard directory.hasPrefix("/"), !directory.contains(",") else {
      throw .failed("software TPM: \(directory): the folder must be an absolute path without a comma")
    }
    // With a slash at its end, a link would be followed after all.
    self.directory = "/" + directory.split(separator: "/").joined(separator: "/")
    self.program = program
    let owner: UInt32
    do throws(SystemError) {
      owner = try prepare()
    } catch {
      throw .failed("software TPM: \(directory): \(error)")
    }
    guard owner == geteuid() else {
      throw .failed(
        "software TPM: \(directory): the folder belongs to uid \(owner), not to uid \(geteuid()), under which the "
          + "daemon runs: name another, or give it to that user")
    }
  }

  /// Makes the folder where it is missing, and for the daemon alone where it is the daemon's: the state holds the seeds
  /// of every key.
  ///
  /// - Returns: the folder's owner
  /// - Throws: ``SystemError``, for one where a link stands there
  private func prepare() throws(SystemError) -> UInt32 {
    if unsafe mkdir(directory, 0o700) != 0, errno != EEXIST {
      throw SystemError(call: "mkdir", code: errno)
    }
    let folder = try Descriptor(opening: directory, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    let owner = try folder.status().owner
    if owner == geteuid() { try folder.setMode(0o700) }
    return owner
  }

  /// Starts swtpm, after the end of the one before.
  ///
  /// - Returns: a stream socket to it; the caller closes it
  /// - Throws: ``KeyStoreError``
  func start() throws(KeyStoreError) -> Int32 {
    end(within: 2000)
    try claimState()
    do throws(SystemError) {
      var pair: (Int32, Int32) = (-1, -1)
      try checked("socketpair") {
        unsafe withUnsafeMutableBytes(of: &pair) {
          unsafe socketpair(
            AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0,
            $0.bindMemory(to: Int32.self).baseAddress)
        }
      }
      let ours = Descriptor(owning: pair.0)
      let its = Descriptor(owning: pair.1)
      let null = try Descriptor(opening: "/dev/null", flags: O_RDWR)
      let log = try Descriptor(opening: logPath, flags: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW)
      let process = try ChildProcess(
        program,
        arguments: [
          "socket", "--tpm2", "--tpmstate", "dir=\(directory),mode=0600", "--fd", "3",
          "--flags", "not-need-init,startup-clear",
        ],
        descriptors: [null.raw, log.raw, log.raw, its.raw], isTied: true)
      child.withLock { $0 = process }
      return ours.release()
    } catch {
      if error.code == ENOENT, error.call.hasPrefix("posix_spawnp") {
        throw .unavailable("software TPM: swtpm is not installed: install the package swtpm, or name a TPM with --tpm")
      }
      throw .unavailable("software TPM: \(error)")
    }
  }

  /// - Throws: ``KeyStoreError`` where another daemon has a child on this state
  private func claimState() throws(KeyStoreError) {
    let isOurs: Bool
    do throws(SystemError) {
      let file = try Descriptor(
        opening: directory + "/countersignd.lock", flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
      isOurs = try file.lock()
      if isOurs {
        let held = Claim(file)
        claim.withLock { $0 = held }
      }
    } catch {
      throw .unavailable("software TPM: \(directory): \(error)")
    }
    guard isOurs else {
      throw .unavailable(
        "software TPM: another countersignd uses \(directory): stop it, or give this one a folder of its own "
          + "(tpm.softwareDirectory, --software-tpm)")
    }
  }

  private var logPath: String { directory + "/swtpm.log" }

  /// The last line that swtpm wrote, where it has ended.
  var lastWords: String? {
    guard let log = try? Descriptor(opening: logPath, flags: O_RDONLY | O_NOFOLLOW),
      let bytes = try? log.read(upTo: 4096)
    else {
      return nil
    }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").last.map(String.init)
  }

  /// For poll(2): readable once the child has ended; nil while there is none.
  var descriptor: Int32? { child.withLock { $0?.raw } }

  var processIdentifier: Int32? { child.withLock { $0?.identifier } }

  /// For the watchdog: ends a child that does not answer, and with it the read that waits for it.
  func kill() {
    child.withLock { $0?.kill() }
  }

  /// Waits for the end of the child, whose socket has been closed, and kills it where it takes too long.
  func end(within milliseconds: Int32) {
    let process = child.withLock { child in
      defer { child = nil }
      return child
    }
    process?.end(within: milliseconds)
    claim.withLock { $0 = nil }
  }
}
