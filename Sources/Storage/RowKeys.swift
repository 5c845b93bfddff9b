internal import Authenticator
internal import Crypto
internal import Platform
internal import Secrets

/// One row as it lies in the file. Everything but the record is clear, and is authenticated by the record's seal.
struct SealedRow: Equatable {
  var sequence: Int64
  var id: [UInt8]
  var relyingPartyTag: [UInt8]
  var userTag: [UInt8]
  var isDiscoverable: Bool
  /// Nonce, then ciphertext and tag.
  var record: [UInt8]
}

/// What the device secret gives the store: the seal of records, and look-up tags that tell nobody an RP ID or a user.
final class RowKeys: Sendable {
  private let recordKey: SecretBytes
  private let indexKey: SecretBytes

  init(_ secret: DeviceSecret) throws {
    recordKey = try secret.recordKey()
    indexKey = try secret.indexKey()
  }

  func relyingPartyTag(_ relyingPartyID: String) -> [UInt8] {
    HMACSHA256.authenticate(Array("rp".utf8) + prefixed(relyingPartyID.utf8), key: indexKey)
  }

  func userTag(_ relyingPartyID: String, _ userHandle: [UInt8]) -> [UInt8] {
    HMACSHA256.authenticate(
      Array("user".utf8) + prefixed(relyingPartyID.utf8) + prefixed(userHandle), key: indexKey)
  }

  /// - Throws: `CryptoError`
  func seal(_ credential: Credential, sequence: Int64, random: any RandomSource) throws(CryptoError) -> SealedRow {
    var row = SealedRow(
      sequence: sequence, id: credential.id, relyingPartyTag: relyingPartyTag(credential.relyingPartyID),
      userTag: userTag(credential.relyingPartyID, credential.userHandle),
      isDiscoverable: credential.isDiscoverable, record: [])
    // Random nonces stay within NIST's bound of 2^32 seals per key: rows are written once, and 100,000 fit.
    let nonce = random.bytes(AESGCM.nonceCount)
    row.record =
      nonce
      + (try AESGCM.seal(
        CredentialRecord.encode(credential), key: recordKey, nonce: nonce, authenticating: clearColumns(row)))
    return row
  }

  /// The credential of a row; refuses rows that were changed, moved, or sealed under another device secret.
  func open(_ row: SealedRow) throws(RecordError) -> Credential {
    let plaintext: [UInt8]
    do throws(CryptoError) {
      plaintext = try AESGCM.open(
        Array(row.record.dropFirst(AESGCM.nonceCount)), key: recordKey,
        nonce: Array(row.record.prefix(AESGCM.nonceCount)), authenticating: clearColumns(row))
    } catch {
      throw RecordError(description: "its seal is broken: changed, or sealed under another device secret")
    }
    return try CredentialRecord.decode(plaintext, id: row.id, isDiscoverable: row.isDiscoverable)
  }

  private func clearColumns(_ row: SealedRow) -> [UInt8] {
    Array("countersign credential v1".utf8) + prefixed(row.id) + prefixed(row.relyingPartyTag) + prefixed(row.userTag)
      + [row.isDiscoverable ? 1 : 0] + bigEndian(UInt64(bitPattern: row.sequence))
  }

  /// Length first, so that no two lists of fields share an encoding.
  private func prefixed(_ bytes: some Collection<UInt8>) -> [UInt8] {
    bigEndian(UInt32(truncatingIfNeeded: bytes.count)) + bytes
  }

  private func bigEndian(_ number: some FixedWidthInteger) -> [UInt8] {
    stride(from: number.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> $0) }
  }
}
