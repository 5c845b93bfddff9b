import Platform
import Secrets
import TPM

/// What the TPM itself needs: TPM2_Sign and nothing else, over the same wrapper and the same path as the daemon.
enum BareLoop {
  /// - Parameters:
  ///   - tcti: the TPM, which nobody else uses at the time
  ///   - count: signatures
  /// - Returns: the time of each
  /// - Throws: `TPMError`, `SecretMemoryError`
  static func run(tcti: String, count: Int) throws -> Samples {
    var tpm = try TPMContext(tcti: tcti)
    guard let root = try tpm.reference(to: 0x8100_0001) else { throw TPMError(operation: "storage root key", code: 1) }
    let authorization = try SecretBytes.random(count: 32)
    let wrapped = try tpm.withSession(saltedWith: root, encrypting: .command) { tpm, session throws(TPMError) in
      try tpm.createKey(.eccP256, under: root, session: session, authorization: authorization).wrapped
    }
    let key = try tpm.load(wrapped, under: root)
    defer { tpm.release(key) }
    let clock = SystemTime()
    let digest = [UInt8](repeating: 0x5a, count: 32)
    var values: [UInt64] = []
    let begin = clock.monotonicNanoseconds
    for _ in 0..<count {
      let before = clock.monotonicNanoseconds
      _ = try tpm.sign(digest, with: key, scheme: .ecdsaSHA256, authorization: authorization)
      values.append(clock.monotonicNanoseconds - before)
    }
    return Samples(values, elapsed: clock.monotonicNanoseconds - begin)
  }
}
