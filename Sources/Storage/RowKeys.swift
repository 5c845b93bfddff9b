internal import Authenticator
internal import Crypto
internal import Platform
internal import Secrets
internal import WebAuthn

/// One row as it lies in the file. Everything but the record is clear, and is authenticated by the record's seal.
struct SealedRow: Equatable {
  var sequence: Int64
  var id: [UInt8]
  var relyingPartyTag: [UInt8]
  var userTag: [UInt8]
  /// Whether walks come by it: discoverable, and not disabled.
  var isDiscoverable: Bool
  /// credProtect, 1 to 3.
  var protection: Int64
  /// Nonce, then ciphertext and tag.
  var record: [UInt8]
}

/// What is sealed outside the rows; the raw values are its names in the file.
enum Slot: String, CaseIterable {
  case settings
  case largeBlobs
}

/// What the device secret gives the store: the seal of records, and look-up tags that tell nobody an RP ID or a user.
final class RowKeys: Sendable {
  private let recordKey: SecretBytes
  private let indexKey: SecretBytes

  init(_ secret: DeviceSecret) throws {
    recordKey = try secret.recordKey()
    indexKey = try secret.indexKey()
  }

  func relyingPartyTag(_ hash: [UInt8]) -> [UInt8] {
    HMACSHA256.authenticate(Array("rp".utf8) + hash, key: indexKey)
  }

  /// The hash, of fixed length, comes first: no two users share an encoding.
  func userTag(_ binding: KeyBinding, _ userHandle: [UInt8]) -> [UInt8] {
    HMACSHA256.authenticate(Array("user".utf8) + binding.relyingPartyIDHash + userHandle, key: indexKey)
  }

  /// The one place that a user has at a relying party; an outgoing credential has given it up.
  func userTag(_ credential: Credential) -> [UInt8] {
    guard credential.state == .outgoing else { return userTag(credential.key.binding, credential.userHandle) }
    return HMACSHA256.authenticate(Array("outgoing".utf8) + credential.id, key: indexKey)
  }

  /// - Throws: `CryptoError`
  func seal(_ credential: Credential, sequence: Int64, random: any RandomSource) throws(CryptoError) -> SealedRow {
    let binding = credential.key.binding
    var row = SealedRow(
      sequence: sequence, id: credential.id, relyingPartyTag: relyingPartyTag(binding.relyingPartyIDHash),
      userTag: userTag(credential), isDiscoverable: credential.isOnWalks,
      protection: Int64(credential.protection.rawValue), record: [])
    row.record = try seal(CredentialRecord.encode(credential), clearColumns(row), random)
    return row
  }

  /// The credential of a row; refuses rows that were changed, moved, or sealed under another device secret.
  func open(_ row: SealedRow) throws(RecordError) -> Credential {
    let plaintext = try open(row.record, clearColumns(row))
    let credential = try CredentialRecord.decode(plaintext, id: row.id, isOnWalks: row.isDiscoverable)
    guard Int64(credential.protection.rawValue) == row.protection else {
      throw RecordError(description: "its protection is not that of its row")
    }
    return credential
  }

  /// - Throws: `CryptoError`
  func seal(_ plaintext: [UInt8], in slot: Slot, random: any RandomSource) throws(CryptoError) -> [UInt8] {
    try seal(plaintext, name(of: slot), random)
  }

  /// What is sealed in a slot; refuses what was changed, moved, or sealed under another device secret.
  func open(_ sealed: [UInt8], from slot: Slot) throws(RecordError) -> [UInt8] {
    try open(sealed, name(of: slot))
  }

  /// A fresh nonce, then ciphertext and tag.
  ///
  /// Random nonces stay within NIST's bound of 2^32 seals per key: each seal is a transaction of its own with several
  /// fsync(2), for a caller whom the policy lets make it, so that a thousand rewritten records in a second without a
  /// pause would take fifty days; and every reset brings another key.
  func seal(
    _ plaintext: [UInt8], _ associated: [UInt8], _ random: any RandomSource
  ) throws(CryptoError) -> [UInt8] {
    let nonce = random.bytes(AESGCM.nonceCount)
    return nonce + (try AESGCM.seal(plaintext, key: recordKey, nonce: nonce, authenticating: associated))
  }

  private func open(_ sealed: [UInt8], _ associated: [UInt8]) throws(RecordError) -> [UInt8] {
    do throws(CryptoError) {
      return try AESGCM.open(
        Array(sealed.dropFirst(AESGCM.nonceCount)), key: recordKey, nonce: Array(sealed.prefix(AESGCM.nonceCount)),
        authenticating: associated)
    } catch {
      throw RecordError(description: "its seal is broken: changed, or sealed under another device secret")
    }
  }

  func clearColumns(_ row: SealedRow) -> [UInt8] {
    Array("countersign credential v2".utf8) + prefixed(row.id) + prefixed(row.relyingPartyTag) + prefixed(row.userTag)
      + [row.isDiscoverable ? 1 : 0] + bigEndian(row.protection) + bigEndian(row.sequence)
  }

  private func name(of slot: Slot) -> [UInt8] {
    Array("countersign slot v2".utf8) + prefixed(Array(slot.rawValue.utf8))
  }

  /// Length first, so that no two lists of fields share an encoding.
  private func prefixed(_ bytes: [UInt8]) -> [UInt8] {
    bigEndian(UInt32(truncatingIfNeeded: bytes.count)) + bytes
  }

  private func bigEndian(_ number: some FixedWidthInteger) -> [UInt8] {
    stride(from: number.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> $0) }
  }
}
