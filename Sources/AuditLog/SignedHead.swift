internal import Crypto
internal import Platform
internal import TPMStructures

/// The key that signs the chain, as those know it who verify.
package struct AuditKey: Equatable, Sendable {
  /// SubjectPublicKeyInfo of a P-256 key.
  package let publicKey: [UInt8]
  /// The anchor when the key was made: a log that has been kept whole begins with this one.
  package let firstAnchor: UInt64

  private let x: [UInt8]
  private let y: [UInt8]

  /// nil where this is no P-256 key with an uncompressed point.
  ///
  /// - Parameters:
  ///   - publicKey: SubjectPublicKeyInfo
  ///   - firstAnchor: the anchor when the key was made
  package init?(publicKey: [UInt8], firstAnchor: UInt64) {
    guard publicKey.count == 91 else { return nil }
    let (x, y) = (Array(publicKey[27..<59]), Array(publicKey[59...]))
    guard SubjectPublicKeyInfo.encodeP256(x: x, y: y) == publicKey else { return nil }
    self.publicKey = publicKey
    self.firstAnchor = firstAnchor
    self.x = x
    self.y = y
  }

  /// SHA-256 of the SubjectPublicKeyInfo: the `key` of signed lines.
  package var identifier: [UInt8] { SHA256.hash(publicKey) }

  package func hasSigned(_ statement: AuditStatement) -> Bool {
    SignatureVerifier.isValidES256(x: x, y: y, signature: statement.signature, message: statement.attested)
  }
}

/// What a TPM has said and signed.
package struct AuditStatement: Equatable, Sendable {
  /// TPMS_ATTEST of TPM2_Quote.
  package var attested: [UInt8]
  /// A DER ECDSA-Sig-Value over SHA-256 of it.
  package var signature: [UInt8]

  package init(attested: [UInt8], signature: [UInt8]) {
    self.attested = attested
    self.signature = signature
  }
}

/// What signs the chain, and counts how often it was anchored. Each may fail while the TPM is away.
package protocol AuditSigner: Sendable {
  var auditKey: AuditKey { get }
  /// The anchor: a counter that nothing turns back.
  func anchor() async throws(AuditError) -> UInt64
  /// - Parameter digest: SHA-256 of what the statement shall be about
  /// - Returns: what the TPM has said and signed
  /// - Throws: ``AuditError``
  func attest(_ digest: [UInt8]) async throws(AuditError) -> AuditStatement
  /// Adds one to the anchor, which wears the TPM's memory.
  ///
  /// - Returns: the anchor from now on
  /// - Throws: ``AuditError``
  func advanceAnchor() async throws(AuditError) -> UInt64
}

/// A signature over the chain as it stands in a line.
///
/// The TPM has signed the SHA-256 of the line up to `,"attested"`: the time, the record and the hash of the line that
/// were the last when it was asked, the anchor and the key. The records that came while it worked stand between.
package struct SignedHead: Equatable, Sendable {
  /// The record that was the last.
  package let end: ChainEnd
  package let anchor: UInt64
  /// ``AuditKey/identifier``
  package let key: [UInt8]
  package let statement: AuditStatement
  /// SHA-256 of the line up to `,"attested"`.
  let digest: [UInt8]

  /// Takes the rest of a line whose link has been taken; nil where it is another record.
  init?(_ reader: inout ReverseReader, of line: [UInt8]) {
    guard reader.take("\""), let signature = reader.hexadecimal(), reader.take("\",\"signature\":\""),
      let attested = reader.hexadecimal(), reader.take(",\"attested\":\"")
    else { return nil }
    digest = SHA256.hash(Array(line[..<reader.end]))
    guard reader.take("\""), let key = reader.hexadecimal(count: SHA256.count), reader.take(",\"key\":\""),
      let anchor = reader.number(), reader.take(",\"anchor\":"),
      reader.take("\""), let hash = reader.hexadecimal(count: SHA256.count), reader.take(",\"headHash\":\""),
      let sequence = reader.number(), reader.take(",\"head\":"), reader.ends(in: "\"operation\":\"log.head\"")
    else { return nil }
    end = ChainEnd(sequence: sequence, hash: hash)
    self.anchor = anchor
    self.key = key
    statement = AuditStatement(attested: attested, signature: signature)
  }
}

/// A TPM's statement (TPMS_ATTEST, TPM 2.0 Library part 2, section 10.12), as far as it matters here.
package struct AttestedClock: Equatable, Sendable {
  /// What was given to TPM2_Quote as qualifyingData.
  package let extraData: [UInt8]
  /// Milliseconds that the TPM has been powered since it was last cleared.
  package let clock: UInt64
  /// Resets of the TPM since it was last cleared. The TPM adds a constant of its own for the key, modulo 2^32.
  package let resetCount: UInt32
  /// The same for TPM2_Shutdown(STATE) and resume.
  package let restartCount: UInt32
  /// Whether `clock` cannot have been greater before.
  package let isSafe: Bool
  /// With a constant of the TPM's added, modulo 2^64.
  package let firmwareVersion: UInt64

  /// Reads any bytes; nil for all that is not the whole statement of a TPM2_Quote.
  package init?(_ bytes: [UInt8]) {
    guard let statement = try? TPMSAttest(parsing: bytes), case .quote = statement.attested else { return nil }
    extraData = statement.extraData
    clock = statement.clock.clock
    resetCount = statement.clock.resetCount
    restartCount = statement.clock.restartCount
    isSafe = statement.clock.isSafe
    firmwareVersion = statement.firmwareVersion
  }

  /// Whether the TPM can have said this after the other.
  package func canFollow(_ other: AttestedClock) -> Bool {
    // The constant makes differences the only thing that can be known.
    let resets = Int32(bitPattern: resetCount &- other.resetCount)
    let restarts = Int32(bitPattern: restartCount &- other.restartCount)
    guard resets >= 0 else { return false }
    // restartCount begins again with each reset, and a clock that lost power may have lost time.
    if resets > 0 { return clock >= other.clock || !isSafe }
    return restarts >= 0 && clock >= other.clock
  }
}
