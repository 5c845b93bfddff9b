internal import Glibc
internal import Platform
internal import Secrets
internal import TPM

/// What the TPM itself needs: TPM2_Sign and nothing else, over the same wrapper and the same path as the daemon.
enum BareLoop {
  /// - Parameters:
  ///   - tcti: the TPM, whose storage root key is where the daemon has put it or found it
  ///   - nanoseconds: how long
  ///   - ending: asked between signatures whether to end early
  /// - Returns: the time of each signature
  /// - Throws: `TPMError`, `SecretMemoryError`
  static func run(tcti: String, nanoseconds: UInt64, _ ending: Interruption) throws -> Samples {
    var tpm = try TPMContext(tcti: tcti)
    guard let root = try tpm.reference(to: 0x8100_0001) else {
      throw BenchFailure("there is no storage root key at 0x81000001, so that there is nothing to compare with")
    }
    let authorization = try SecretBytes.random(count: 32)
    let wrapped = try tpm.withSession(saltedWith: root, encrypting: .command) { tpm, session throws(TPMError) in
      try tpm.createKey(.eccP256, under: root, session: session, authorization: authorization).wrapped
    }
    let key = try tpm.load(wrapped, under: root)
    defer { tpm.release(key) }
    let digest = [UInt8](repeating: 0x5a, count: 32)
    return try Samples(for: nanoseconds, ending) {
      _ = try tpm.sign(digest, with: key, scheme: .ecdsaSHA256, authorization: authorization)
    }
  }
}

/// What the disk itself needs: an append of a record's length, and fdatasync(2). Where it takes longer than the TPM, it is
/// what an assertion waits for, since no signature leaves the daemon before its record is on disk.
enum DiskLoop {
  /// Of an assertion's record.
  private static let recordCount = 500

  /// - Parameters:
  ///   - folder: on the disk of the audit log
  ///   - nanoseconds: how long
  ///   - ending: asked between records whether to end early
  /// - Returns: the time of each record
  /// - Throws: `SystemError`, ``Interrupted``
  static func run(folder: String, nanoseconds: UInt64, _ ending: Interruption) throws -> Samples {
    let path = folder + "/disk"
    let file = try Descriptor(opening: path, flags: O_WRONLY | O_CREAT | O_APPEND)
    defer { unsafe _ = unlink(path) }
    let record = [UInt8](repeating: UInt8(ascii: "x"), count: recordCount)
    return try Samples(for: nanoseconds, ending) {
      try file.write(record)
      try file.synchronize()
    }
  }
}
