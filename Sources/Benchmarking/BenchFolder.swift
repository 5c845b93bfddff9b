internal import Glibc
internal import Platform
internal import TPM

/// The folder of a run, and what of it has to be taken out of a TPM that others use.
struct BenchFolder {
  private static let prefix = "countersign-bench-"
  /// Holds the TPM that the run uses, so that whoever cleans up need not know it.
  private static let marker = "tpm-in-use"

  /// Absolute.
  let path: String
  /// nil where the TPM goes with the folder.
  let tcti: String?

  /// Makes a folder that nobody else can look into.
  ///
  /// - Parameters:
  ///   - parent: absolute
  ///   - tcti: a TPM that stays
  /// - Throws: `SystemError`
  init(in parent: String, tcti: String?) throws(SystemError) {
    path = parent + "/" + BenchFolder.prefix + hexadecimal(SystemRandom().bytes(4))
    self.tcti = tcti
    try makeFolder(path)
    if let tcti {
      try AtomicFile(path: path + "/" + BenchFolder.marker, mode: 0o600).commit(Array(tcti.utf8))
    }
  }

  /// A folder that a run has left. Only what this user's own run has made is taken for one: a daemon is started on what
  /// lies there, and the TPM is told to forget what that says.
  ///
  /// - Parameter path: as the run has named it
  /// - Throws: ``BenchFailure``, `SystemError`
  init(leftAt path: String) throws {
    let name = path.split(separator: "/").last ?? ""
    let folder = try Descriptor(opening: path, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    let status = try folder.status()
    guard name.hasPrefix(BenchFolder.prefix), path.hasPrefix("/"), status.owner == geteuid(),
      status.permissions & 0o077 == 0
    else {
      throw BenchFailure(
        "\(quoted(path)) is no folder of a run of yours: give the absolute path of \(BenchFolder.prefix)…")
    }
    self.path = path
    let marker = path + "/" + BenchFolder.marker
    tcti =
      isThere(marker)
      ? String(decoding: try Descriptor(opening: marker, flags: O_RDONLY | O_NOFOLLOW).read(upTo: 4096), as: UTF8.self)
      : nil
  }

  /// Takes out of the TPM what daemons of this folder have defined there, then removes the folder.
  ///
  /// - Parameter program: `countersignd`
  /// - Throws: ``BenchFailure``; then the folder is still there
  func remove(program: String) throws {
    if let tcti, isThere(path + "/state/credentials.db") {
      do {
        let defined = try defined(program, tcti)
        try BenchFolder.undefine(defined.indices, pins: defined.pins, tcti)
      } catch {
        throw BenchFailure(
          "the TPM may still hold what the run has defined there (\(error)): when it can be reached, "
            + "countersign bench --clean \(path)")
      }
    }
    for place in [path, "/dev/shm/\(name)", "/dev/shm/\(name)-store"] where isThere(place) {
      Benchmarking.remove(place)
    }
  }

  /// Of the run's folder, for what has to be elsewhere.
  private var name: String { path.split(separator: "/").last.map(String.init) ?? "" }

  /// What the daemon says that it has defined. Where an earlier one was killed while it set the TPM up, this one begins
  /// anew, and removes what that one had defined.
  private func defined(_ program: String, _ tcti: String) throws -> DaemonStatus {
    let setup = DaemonSetup(
      program: program, folder: path, tcti: tcti, stateDirectory: path + "/state", auditLog: path + "/audit.jsonl")
    // A signal that ended the run does not end this.
    let daemon = try DaemonProcess(setup, Interruption())
    defer { daemon.stop() }
    let status = try daemon.status()
    guard status.indices.count == 3 else {
      throw BenchFailure("the daemon does not say which NV indices are its own")
    }
    return status
  }

  private static func undefine(_ indices: [UInt32], pins: [UInt32], _ tcti: String) throws {
    var tpm = try TPMContext(tcti: tcti)
    for handle in pins {
      try tpm.withSession(saltedWith: nil, encrypting: []) { tpm, session throws(TPMError) in
        try tpm.removePersistent(at: handle, session: session)
      }
    }
    for index in indices {
      try tpm.withSession(saltedWith: nil, encrypting: []) { tpm, session throws(TPMError) in
        try tpm.undefineIndex(index, session: session)
      }
    }
  }
}
