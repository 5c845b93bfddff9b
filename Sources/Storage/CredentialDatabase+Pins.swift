package import Authenticator
internal import Glibc
internal import Platform

/// The record of pinned keys is a file of its own in the state folder, so that a reset of the credentials does not take
/// with it what is still in the TPM.
extension CredentialDatabase: PinRecordStore {
  private static let maximumPinRecord = 65_536

  private var pinFile: String { directory.path + "/pins" }

  package func pinRecord() throws(StoreError) -> [UInt8]? {
    do throws(SystemError) {
      let file = try Descriptor(opening: pinFile, flags: O_RDONLY)
      return try file.bytes(at: 0, count: Self.maximumPinRecord)
    } catch {
      if error.code == ENOENT { return nil }
      throw StoreError(error, path: pinFile)
    }
  }

  package func savePinRecord(_ record: [UInt8]) throws(StoreError) {
    do throws(SystemError) {
      let file = try AtomicFile(path: pinFile, mode: 0o600)
      try file.commit(record)
      try directory.synchronize()
    } catch {
      throw StoreError(error, path: pinFile)
    }
  }
}
