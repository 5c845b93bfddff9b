package import Authenticator
internal import Crypto

extension CredentialDatabase {
  /// Bytes of large blobs that fit.
  package static let maximumLargeBlobs = 256 * 1024

  package func settings() throws(StoreError) -> AuthenticatorSettings? {
    guard let plaintext = try plaintext(in: .settings) else { return nil }
    do throws(RecordError) {
      return try SettingsRecord.decode(plaintext)
    } catch {
      throw damaged(.settings, error)
    }
  }

  package func save(_ settings: AuthenticatorSettings) throws(StoreError) {
    try save(try encoded(settings), in: .settings)
  }

  package func largeBlobs() throws(StoreError) -> [UInt8]? {
    try plaintext(in: .largeBlobs)
  }

  package func save(largeBlobs: [UInt8]) throws(StoreError) {
    guard largeBlobs.count <= CredentialDatabase.maximumLargeBlobs else {
      throw .full("large blobs of \(largeBlobs.count) bytes: \(CredentialDatabase.maximumLargeBlobs) fit")
    }
    try save(largeBlobs, in: .largeBlobs)
  }

  package func reset(
    to secret: DeviceSecret, record: [UInt8], settings: AuthenticatorSettings
  ) throws(StoreError) {
    // Everything that can fail comes before the transaction, so that keys and file change together.
    let keys = try derived(from: secret)
    let sealed = try sealed(try encoded(settings), in: .settings, keys)
    do throws(StoreError) {
      try change { file throws(StoreError) in
        try file.deleteAll()
        try file.set(sealed, in: .settings)
        try file.setDeviceRecord(record)
        try raiseChanges(in: file)
      }
    } catch {
      try unlessReset(error, record, sealed)
    }
    adopt(keys, record)
  }

  /// The sealed settings tell this reset from every other, and from what was before.
  private func unlessReset(_ error: StoreError, _ record: [UInt8], _ settings: [UInt8]) throws(StoreError) {
    try tolerating(record) { () throws(StoreError) in
      try unlessDone(error) { file throws(StoreError) in try file.sealed(in: .settings) == settings }
    }
  }

  // MARK: Slots

  /// What is sealed in a slot. What cannot be opened is never taken for what is not there: the PIN would be gone.
  private func plaintext(in slot: Slot) throws(StoreError) -> [UInt8]? {
    let keys = try unlocked()
    guard let sealed = try read({ file throws(StoreError) in try file.sealed(in: slot) }) else { return nil }
    do throws(RecordError) {
      return try keys.open(sealed, from: slot)
    } catch {
      throw damaged(slot, error)
    }
  }

  private func save(_ plaintext: [UInt8], in slot: Slot) throws(StoreError) {
    let sealed = try sealed(plaintext, in: slot, try unlocked())
    do throws(StoreError) {
      try change { file throws(StoreError) in try file.set(sealed, in: slot) }
    } catch {
      try unlessDone(error) { file throws(StoreError) in try file.sealed(in: slot) == sealed }
    }
  }

  private func damaged(_ slot: Slot, _ error: RecordError) -> StoreError {
    .damaged(directory.credentialFile, "its entry \(slot.rawValue) cannot be used: \(error)")
  }

  /// Refuses what could not be read again: whoever saved it would be locked out.
  private func encoded(_ settings: AuthenticatorSettings) throws(StoreError) -> [UInt8] {
    let bytes = SettingsRecord.encode(settings)
    guard (try? SettingsRecord.decode(bytes)) == settings else {
      throw .unavailable("settings of a wrong length cannot be saved")
    }
    return bytes
  }
}
