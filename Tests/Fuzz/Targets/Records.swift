import CBOR

@testable import Storage
@testable import TPMKeyStore

/// The same bytes as each of the stored records: what is read is exactly what would be written.
func checkRecords(_ input: [UInt8]) throws {
  if let record = DeviceRecord.decode(input) {
    try require(record.encoded() == input, "a device record re-encodes byte for byte")
  }
  if let object = KeyBlob.decode(input) {
    try require(KeyBlob.encode(object) == input, "a key blob re-encodes byte for byte")
  }
  if let credential = try? Storage.CredentialRecord.decode(input, id: [9], isOnWalks: true) {
    try require(Storage.CredentialRecord.encode(credential) == input, "a credential record re-encodes byte for byte")
  }
  if let settings = try? SettingsRecord.decode(input) {
    try require(SettingsRecord.encode(settings) == input, "the settings re-encode byte for byte")
  }
}
