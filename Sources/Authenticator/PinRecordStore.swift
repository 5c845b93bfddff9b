/// Where the key store writes down which keys it has made persistent in the TPM: opaque bytes, nothing secret. Apart
/// from the credentials, because a reset takes those away at once and these one by one.
package protocol PinRecordStore: Sendable {
  /// nil where nothing was ever pinned.
  func pinRecord() async throws(StoreError) -> [UInt8]?
  /// Durable when it returns.
  func savePinRecord(_ record: [UInt8]) async throws(StoreError)
}
