package import TPMStructures

/// What an attestation key's certificate says of its TPM (2.23.133.2.1 to 2.23.133.2.3).
package struct AttestedTPM: Equatable, Sendable {
  package var vendor: TPMVendor
  package var model: String
  /// In the vendor's own sense.
  package var version: String

  package init(vendor: TPMVendor, model: String, version: String) {
    self.vendor = vendor
    self.model = model
    self.version = version
  }
}
